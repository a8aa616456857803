"""Figures as SVG within a page, and a run's training curves."""

from __future__ import annotations

import csv
import gzip
import io
import pathlib
import re
import zlib

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from tfcollapse.errors import RunError
from tfcollapse.figures.style import SERIES, dress

_POINTS = 200
_LARGEST = 1 << 26
"""Characters of a packed metrics.csv: no run writes more."""
_PANELS = (("loss", "loss"), ("reconstruction_error", "error per pixel"), ("gamma", "gamma"), ("kl", "KL (nats)"))


def svg(figure: Figure, salt: str) -> str:
    """A figure as an SVG element with text as text; ids that nothing uses are dropped, and the others salted."""
    written = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": salt, "svg.fonttype": "none"}):
        figure.savefig(written, format="svg", transparent=True, metadata={"Date": None})
    text = written.getvalue()
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text[text.index("<svg") :], flags=re.DOTALL)
    used = set(re.findall(r'(?:href="|url\()#([^")]+)', text))
    return re.sub(r' id="([^"]+)"', lambda found: found[0] if found[1] in used else "", text)


def _text(path: pathlib.Path, packed: pathlib.Path) -> str:
    """The first of two files that is there. Raises RunError for an archive that is damaged or that is too large."""
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


def curves(path: pathlib.Path) -> Figure | None:
    """The curves of metrics.csv, or .csv.gz, thinned to 200 points; None where there is nothing to draw."""
    packed = path.with_name(f"{path.name}.gz")
    if not path.exists() and not packed.exists():
        return None
    rows = [row for row in csv.DictReader(io.StringIO(_text(path, packed))) if None not in row.values()]
    if len(rows) < 2:
        return None
    chosen = [rows[i] for i in np.unique(np.linspace(0, len(rows) - 1, _POINTS).astype(int))]
    figure = Figure(figsize=(10.4, 2.6), layout="constrained")
    panels = []
    for axes, (name, title) in zip(figure.subplots(1, len(_PANELS)), _PANELS, strict=True):
        values = np.array([float(row[name]) for row in chosen])
        axes.plot([int(row["step"]) for row in chosen], values, color=SERIES[0]["color"], linewidth=1.2)
        axes.set_xlabel("steps")
        if name in ("reconstruction_error", "gamma") and (values > 0).all():
            axes.set_yscale("log")
        panels.append((axes, title))
    return dress(figure, panels, "")
