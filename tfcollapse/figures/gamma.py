"""Draw the gamma study: active units and error of deep VAEs against gamma, beside those of the affine VAE."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tfcollapse.figures.style import OTHER, errors_axis, finish, legend, line, series_look, units_axis, untrained_at
from tfcollapse.records.statistics import Rows, by
from tfcollapse.records.trained import marked, not_trained


def gamma_figure(rows: Rows) -> Figure:
    """Draw active units and error against gamma, with one line for each depth.

    A further line shows what the affine VAE has at the same gamma. Single markers, in the colour of their depth, show
    where a gamma ended that was learned or set in closed form.

    Args:
      rows: the rows of a sweep over depths and gamma, at least one; errors are squared errors per pixel on the training
        set.

    Example:
      >>> rows = [row for row in tc.read_table("results/long/fig1_left.csv") if row["objective"] == "VAE"]
      >>> fixed = {"objective": "VAE (gamma 0.1)", "gamma_mode": "fixed", "gamma_start": 0.1}
      >>> rows = rows + [row | fixed for row in rows]  # as if gamma had been fixed
      >>> figure = tc.figures.gamma_figure(rows)
      >>> [axes.get_xlabel() for axes in figure.axes]
      ['gamma, the decoder variance', 'gamma, the decoder variance']
    """
    rows = marked(rows)
    figure = Figure(figsize=(10.4, 4.8), layout="constrained")
    units, errors = figure.subplots(1, 2)
    # A fixed gamma stands at its declared value on the x axis, so that a missing run keeps its place.
    fixed = [{**row, "gamma": row["gamma_start"]} for row in rows if row["gamma_mode"] == "fixed"]
    for axes, measure, affine in (
        (units, "active_units", "affine_active_units"),
        (errors, "train_error", "affine_error"),
    ):
        for i, depth in enumerate(sorted({row["depth"] for row in rows})):
            style = series_look(i)
            chosen = [row for row in fixed if row["depth"] == depth]
            label, untrained = f"depth {depth}, gamma fixed", untrained_at(chosen, "gamma")
            line(axes, by(chosen, "gamma", measure), label, style, untrained)
            free = [row for row in rows if row["depth"] == depth and row["gamma_mode"] != "fixed"]
            _free(axes, free, measure, style["color"])
        prediction = {gamma: values[:1] for gamma, values in by(fixed, "gamma", affine).items()}
        line(axes, prediction, "affine VAE at the same gamma", OTHER)
        axes.set_xscale("log")
        axes.set_xlabel("gamma, the decoder variance")
    units_axis(units, rows)
    errors_axis(errors, rows)
    legend(figure, errors)
    return finish(figure, [(units, "Active units"), (errors, "Reconstruction error, eq. (8)")], rows)


def _free(axes: Axes, rows: Rows, measure: str, colour: str) -> None:
    names = {"learned": "learned", "optimal": "in closed form"}
    out = not_trained(rows)
    for mode, marker, size in (("optimal", "P", 12), ("learned", "*", 9)):  # the smaller one in front
        chosen = [row for row in rows if row["gamma_mode"] == mode and row["gamma"]]
        look: dict[str, Any] = {"color": colour, "markersize": size, "linestyle": "none", "marker": marker, "zorder": 3}
        for hollow in (False, True):
            points = [(row["gamma"], row[measure]) for row in chosen if (row in out) == hollow]
            if points:
                edge: dict[str, Any] = {"markerfacecolor": "white"} if hollow else {"markeredgecolor": "white"}
                label = f"gamma {names[mode]}"  # the legend shows one of the depths
                axes.plot(*zip(*points, strict=True), label=label, **look, **edge)
