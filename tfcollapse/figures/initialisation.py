"""Draw the initialisation study: error against depth for each start, and the signal that each start lets through."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tfcollapse.figures.style import (
    OTHER,
    SERIES,
    depth_label,
    finish,
    legend,
    line,
    plain_log,
    reference_lines,
    untrained_at,
)
from tfcollapse.records.statistics import Rows, by
from tfcollapse.records.trained import marked


def initialisation_figure(rows: Rows) -> Figure:
    """Draw error against depth, with one line for each initialiser, and the signal after each layer.

    The errors stand at the left. The right panel shows the signal of the deepest network: the standard deviation over
    images after each layer, before the first step of training.

    Args:
      rows: the rows of AEs at several depths, at least one; errors are squared errors per pixel on the training set.
    """
    rows = marked(rows)
    figure = Figure(figsize=(10.4, 4.6), layout="constrained")
    errors, signals = figure.subplots(1, 2)
    starts = dict.fromkeys(row["initializer"] for row in rows)
    styles: dict[str, dict[str, Any]] = {
        start: SERIES[i] if i < len(SERIES) else OTHER for i, start in enumerate(starts)
    }
    for start, style in styles.items():
        chosen = [row for row in rows if row["initializer"] == start]
        line(errors, by(chosen, "depth", "train_error"), start, style, untrained_at(chosen, "depth"))
        _signal(signals, chosen, start, style)
    reference_lines(errors, rows)
    plain_log(errors)
    errors.set(xlabel=depth_label(rows), ylabel="squared error per pixel, training set")
    errors.set_xticks(sorted({row["depth"] for row in rows}))
    legend(figure, errors)
    plain_log(signals)
    deepest = max(row["depth"] for row in rows)
    signals.set(xlabel="layer, from the first hidden one to the pixels", ylabel="standard deviation over images")
    panels = [(errors, "AE: reconstruction error"), (signals, f"Signal per layer before training, depth {deepest}")]
    return finish(figure, panels, rows)


def _signal(axes: Axes, rows: Rows, label: str, style: dict[str, Any]) -> None:
    deepest = max(row["depth"] for row in rows)
    for row in rows:
        if row["depth"] != deepest or row.get("encoder_signal") is None:
            continue
        values = [*row["encoder_signal"], *row["decoder_signal"]]
        axes.plot(range(1, len(values) + 1), values, label=label, markersize=3, linewidth=1.2, **style)
        latent = len(row["encoder_signal"])
        axes.axvline(latent, color="#999999", linewidth=0.8)
        axes.annotate(
            "z", (latent, 0), xycoords=("data", "axes fraction"), fontsize=8, xytext=(3, 3), textcoords="offset points"
        )
