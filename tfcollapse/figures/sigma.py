"""Draw Figure 2: histograms of sigma_z."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tfcollapse.figures.style import depth_label, finish
from tfcollapse.metrics.posterior import SIGMA_BINS
from tfcollapse.records.statistics import Mean, Rows, mean_and_sd
from tfcollapse.records.trained import marked, not_trained


def sigma_figure(rows: Rows) -> Figure:
    """Draw the share of (image, dimension) pairs in each bin of sigma_z, with one panel for each depth.

    The shares and the numbers are means over seeds, the latter with one standard deviation. A histogram of networks of
    which one was not trained is hollow.

    Args:
      rows: the rows of VAEs at several depths, at least one.

    Example:
      >>> rows = [row for row in tc.read_table("results/long/fig1_left.csv") if row["objective"] == "VAE"]
      >>> figure = tc.figures.sigma_figure(rows)
      >>> [axes.get_xlabel() for axes in figure.axes]
      ['sigma_z', 'sigma_z']
    """
    rows = marked(rows)
    depths = sorted({row["depth"] for row in rows})
    figure = Figure(figsize=(3.6 * len(depths), 4.0), layout="constrained")
    panels = figure.subplots(1, len(depths), sharey=True, squeeze=False)[0]
    titles = []
    for axes, depth in zip(panels, depths, strict=True):
        there = [row for row in rows if row["depth"] == depth and row.get("sigma_histogram")]
        titles.append(f"{depth_label(rows)}: {depth}\n{_panel(axes, there)}")
        axes.set_xlabel("sigma_z")
    panels[0].set_ylabel("share of (image, dimension) pairs")
    bars = "" if len({row["seed"] for row in rows}) == 1 else "none; +- one sd over seeds in the titles"
    return finish(figure, zip(panels, titles, strict=True), rows, bars)


def _panel(axes: Axes, rows: Rows) -> str:
    """Draw one histogram, and return its numbers as text, which stands in the title, where it covers no data."""
    if not rows:
        return "missing"
    shares = [mean_and_sd(values)[0] for values in zip(*(row["sigma_histogram"] for row in rows), strict=True)]
    if not not_trained(rows):
        axes.stairs(shares, SIGMA_BINS, fill=True, color="#6fa3d8")
    axes.stairs(shares, SIGMA_BINS, color="#1b1b1b", linewidth=0.8)
    near, units, error = (
        Mean([row[name] for row in rows]) for name in ("sigma_above_0.9", "active_units", "train_error")
    )
    return f"sigma_z > 0.9: {near:.1%}; error {error:.5f}\nactive units: {units:.4g} of {rows[0]['latent_dim']}"
