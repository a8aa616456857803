"""Draw the initialisation study: error against depth for each start, and the signal that each start lets through."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tfcollapse.figures.style import (
    depth_axis,
    errors_axis,
    finish,
    legend,
    line,
    plain_log,
    series_look,
    units_axis,
    untrained_at,
)
from tfcollapse.records.statistics import Rows, arms, by
from tfcollapse.records.trained import marked

_Groups = Mapping[str, Rows]
"""The rows of each arm (`records.statistics.arms`)."""
_Styles = Mapping[str, Mapping[str, Any]]
"""The look of each arm's line."""


def initialisation_figure(rows: Rows) -> Figure:
    """Draw error and signal of the AEs from each start, and error and active units of the VAEs.

    The signal is that of the deepest networks: the standard deviation over images after each layer, before the first
    step of training. A smaller epsilon of Adam, and a larger number of steps, have lines of their own. Without VAEs two
    panels are drawn.

    Args:
      rows: the rows of AEs at several depths, at least one, and of VAEs; errors are squared errors per pixel on the
        training set.

    Example:
      >>> rows = [row for row in tc.read_table("results/long/fig1_left.csv") if row["objective"] == "AE"]
      >>> figure = tc.figures.initialisation_figure(rows)
      >>> [axes.get_xlabel() for axes in figure.axes]
      ['hidden layers in encoder and in decoder', 'layer, from the first hidden one to the pixels']
    """
    rows = marked(rows)
    groups = arms(rows)
    styles = {arm: series_look(i) for i, arm in enumerate(groups)}
    aes, vaes = (
        {arm: [row for row in chosen if (row["objective"] == "AE") == deterministic] for arm, chosen in groups.items()}
        for deterministic in (True, False)
    )
    with_vaes = any(vaes.values())
    figure = Figure(figsize=(10.4, 8.8 if with_vaes else 4.6), layout="constrained")
    errors, signals, *of_vaes = figure.subplots(2 if with_vaes else 1, 2).flat
    _errors(errors, aes, styles)
    panels = [(errors, "AE: reconstruction error"), (signals, _signals(signals, aes, styles))]
    if with_vaes:
        its_errors, units = of_vaes
        _errors(its_errors, vaes, styles)
        _against_depth(units, vaes, "active_units", styles)
        units_axis(units, rows)
        panels += [(its_errors, "VAE: reconstruction error"), (units, "VAE: active units")]
    legend(figure, errors)
    return finish(figure, panels, rows)


def _errors(axes: Axes, groups: _Groups, styles: _Styles) -> None:
    _against_depth(axes, groups, "train_error", styles)
    errors_axis(axes, [row for chosen in groups.values() for row in chosen])


def _against_depth(axes: Axes, groups: _Groups, measure: str, styles: _Styles) -> None:
    for arm, chosen in groups.items():
        if chosen:
            line(axes, by(chosen, "depth", measure), arm, styles[arm], untrained_at(chosen, "depth"))
    depth_axis(axes, [row for chosen in groups.values() for row in chosen])


def _signals(axes: Axes, groups: _Groups, styles: _Styles) -> str:
    """Draw the signal of the deepest networks, once for each initialiser, and return the panel's title."""
    deepest = max(row["depth"] for chosen in groups.values() for row in chosen)
    drawn = set()
    for arm, chosen in groups.items():
        for row in chosen:
            if row["depth"] != deepest or row.get("encoder_signal") is None or row["initializer"] in drawn:
                continue
            drawn.add(row["initializer"])
            values = [*row["encoder_signal"], *row["decoder_signal"]]
            axes.plot(range(1, len(values) + 1), values, label=arm, markersize=3, linewidth=1.2, **styles[arm])
            _mark_latents(axes, len(row["encoder_signal"]))
    plain_log(axes)
    axes.set(xlabel="layer, from the first hidden one to the pixels", ylabel="standard deviation over images")
    return f"Signal per layer before training, depth {deepest}"


def _mark_latents(axes: Axes, layer: int) -> None:
    axes.axvline(layer, color="#999999", linewidth=0.8)
    at: dict[str, Any] = {"xycoords": ("data", "axes fraction"), "textcoords": "offset points"}
    axes.annotate("z", (layer, 0), (3, 3), fontsize=8, **at)
