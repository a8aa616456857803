"""Draw the study of twins: the errors of the AE and of the VAE that start from the same weights, for each start."""

from __future__ import annotations

from matplotlib.figure import Figure

from tfcollapse.figures.style import STYLES, caption, dress, legend, plain_log, reference_lines
from tfcollapse.records.statistics import Rows, family
from tfcollapse.records.trained import marked

_APART = 0.1
"""How far the two markers of one start stand from its tick, so that equal errors hide no marker."""


def twins_figure(rows: Rows) -> Figure:
    """Draw the error of AE and VAE against the seed of their start; networks that were not trained are hollow.

    Args:
      rows: the rows of AEs and VAEs at several seeds, at least one; errors are squared errors per pixel on the training
        set.

    Example:
      >>> figure = tc.figures.twins_figure(tc.read_table("results/long/fig1_left.csv"))
      >>> [axes.get_xlabel() for axes in figure.axes]
      ['seed of the start']
    """
    rows = marked(rows)
    figure = Figure(figsize=(8.4, 4.8), layout="constrained")
    axes = figure.subplots()
    seeds = sorted({row["seed"] for row in rows})
    for name, shift in (("AE", -_APART), ("VAE", _APART)):
        style = STYLES[name]
        for row in (row for row in rows if family(row) == name and row.get("train_error") is not None):
            face = style["color"] if row["trained"] else "white"
            place = seeds.index(row["seed"]) + shift
            axes.plot(place, row["train_error"], style["marker"], color=style["color"], markerfacecolor=face)
        axes.plot([], [], style["marker"], color=style["color"], label=name)
    axes.set(xlabel="seed of the start", ylabel="squared error per pixel, training set")
    axes.set_xticks(range(len(seeds)), map(str, seeds))
    plain_log(axes)
    reference_lines(axes, rows)
    legend(figure, axes)
    return dress(figure, [(axes, "Errors of AE and VAE from the same start")], caption(rows))
