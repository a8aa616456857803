"""Draw Figures 1 (left), 1 (middle) and 3: error and active units against depth."""

from __future__ import annotations

from matplotlib.figure import Figure

from tfcollapse.figures.style import (
    OTHER,
    STYLES,
    depth_axis,
    errors_axis,
    finish,
    legend,
    line,
    units_axis,
    untrained_at,
)
from tfcollapse.records.statistics import Rows, by, family
from tfcollapse.records.trained import marked


def depth_figure(rows: Rows) -> Figure:
    """Draw error and active units against depth, with one line for each objective.

    Bars are one standard deviation over seeds, where there are several.

    Args:
      rows: the rows of a sweep over depths, at least one; errors are squared errors per pixel on the training set.

    Example:
      >>> rows = tc.read_table("results/long/fig1_left.csv")
      >>> figure = tc.figures.depth_figure(rows)
      >>> [axes.get_xlabel() for axes in figure.axes]
      ['hidden layers in encoder and in decoder', 'hidden layers in encoder and in decoder']
    """
    rows = marked(rows)
    figure = Figure(figsize=(10.4, 4.6), layout="constrained")
    errors, units = figure.subplots(1, 2, width_ratios=(3, 2))
    for objective in dict.fromkeys(row["objective"] for row in rows):
        chosen = [row for row in rows if row["objective"] == objective]
        style, untrained = STYLES.get(family(chosen[0]), OTHER), untrained_at(chosen, "depth")
        line(errors, by(chosen, "depth", "train_error"), objective, style, untrained)
        if objective != "AE":
            line(units, by(chosen, "depth", "active_units"), objective, style, untrained)
    errors_axis(errors, rows)
    legend(figure, errors)
    units_axis(units, rows)
    for axes in (errors, units):
        depth_axis(axes, rows)
    return finish(figure, [(errors, "Reconstruction error, eq. (8)"), (units, "Active units")], rows)
