"""Draw a run's training curves from its metrics.csv, packed or not."""

from __future__ import annotations

import pathlib

import numpy as np
from matplotlib.figure import Figure

from tfcollapse.errors import RunError
from tfcollapse.figures.style import SERIES, dress, plain_log
from tfcollapse.records.labels import label
from tfcollapse.records.metrics import read_metrics

_POINTS = 200
_PANELS = ("loss", "reconstruction_error", "gamma", "kl")
_LOGARITHMIC = ("reconstruction_error", "gamma")
_ROUNDING = 1e-6
"""The relative difference that two float32 means of the same number may have."""


def curves(path: pathlib.Path) -> Figure | None:
    """Return the curves of metrics.csv, or of metrics.csv.gz, at 200 steps at most; None where there are too few.

    What does not change during the training is left out, such as the gamma of an AE; and so is a loss that is the
    reconstruction error.

    Args:
      path: of metrics.csv, whether it exists or only its packed form.

    Raises:
      RunError: the file cannot be read, or lacks a column or a number.
    """
    rows = read_metrics(path)
    if len(rows) < 2:
        return None
    chosen = [rows[i] for i in np.unique(np.linspace(0, len(rows) - 1, _POINTS).astype(int))]
    if not {"step", *_PANELS} <= set(chosen[0]):
        raise RunError(f"'{path}': expected columns step, {', '.join(_PANELS)}, received {', '.join(chosen[0])}")
    steps = [row["step"] for row in chosen]
    values = {name: np.array([row[name] for row in chosen]) for name in _PANELS}
    names = [name for name in _PANELS if np.ptp(values[name]) > _ROUNDING * np.abs(values[name]).max()]
    if np.array_equal(values["loss"], values["reconstruction_error"]):
        names = [name for name in names if name != "loss"]
    if not names:
        return None
    figure = Figure(figsize=(2.6 * max(len(names), 2), 2.6), layout="constrained")
    axes = figure.subplots(1, len(names), squeeze=False)[0]
    for panel, name in zip(axes, names, strict=True):
        panel.plot(steps, values[name], color=SERIES[0]["color"], linewidth=1.2)
        panel.set_xlabel("steps")
        if name in _LOGARITHMIC and (values[name] > 0).all():
            plain_log(panel)
    return dress(figure, zip(axes, map(label, names), strict=True), "")
