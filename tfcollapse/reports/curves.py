"""Draw a run's training curves from its metrics.csv, packed or not."""

from __future__ import annotations

import csv
import gzip
import io
import pathlib
import zlib

import numpy as np
from matplotlib.figure import Figure

from tfcollapse.errors import RunError
from tfcollapse.figures.style import SERIES, dress
from tfcollapse.records.labels import label

_POINTS = 200
_LARGEST = 1 << 26
"""The most characters in a packed metrics.csv. No run writes more."""
_PANELS = ("loss", "reconstruction_error", "gamma", "kl")
_LOGARITHMIC = ("reconstruction_error", "gamma")


def curves(path: pathlib.Path) -> Figure | None:
    """Return the curves of metrics.csv, or of metrics.csv.gz, at 200 steps at most; None where there are too few.

    Args:
      path: of metrics.csv, whether it exists or only its packed form.

    Raises:
      RunError: the file cannot be read, or lacks a column or a number.
    """
    packed = path.with_name(f"{path.name}.gz")
    if not path.exists() and not packed.exists():
        return None
    rows = [row for row in csv.DictReader(io.StringIO(_text(path, packed))) if None not in row.values()]
    if len(rows) < 2:
        return None
    chosen = [rows[i] for i in np.unique(np.linspace(0, len(rows) - 1, _POINTS).astype(int))]
    try:
        steps = [int(row["step"]) for row in chosen]
        values = {name: np.array([float(row[name]) for row in chosen]) for name in _PANELS}
    except (KeyError, ValueError) as error:
        raise RunError(f"'{path}': expected numbers under {', '.join(_PANELS)}, received {error}") from None
    figure = Figure(figsize=(10.4, 2.6), layout="constrained")
    axes = figure.subplots(1, len(_PANELS))
    for panel, name in zip(axes, _PANELS, strict=True):
        panel.plot(steps, values[name], color=SERIES[0]["color"], linewidth=1.2)
        panel.set_xlabel("steps")
        if name in _LOGARITHMIC and (values[name] > 0).all():
            panel.set_yscale("log")
    return dress(figure, zip(axes, map(label, _PANELS), strict=True), "")


def _text(path: pathlib.Path, packed: pathlib.Path) -> str:
    """Return the text of the first of two files that exists. Raises RunError."""
    if path.exists():
        return path.read_text()
    try:
        with gzip.open(packed, "rt", newline="") as file:
            text = file.read(_LARGEST + 1)
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise RunError(f"'{packed}' cannot be read ({error}): collect it again") from None
    if len(text) > _LARGEST:
        raise RunError(f"'{packed}': expected at most {_LARGEST} characters, received more")
    return text
