"""Draw Figure 2: histograms of sigma_z."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tfcollapse.figures.style import depth_label, finish
from tfcollapse.metrics.posterior import SIGMA_BINS
from tfcollapse.records.statistics import Rows, mean_and_sd


def sigma_figure(rows: Rows) -> Figure:
    """Draw the share of (image, dimension) pairs in each bin of sigma_z, with one panel for each depth.

    The shares are means over seeds.

    Args:
      rows: the rows of VAEs at several depths, at least one.
    """
    depths = sorted({row["depth"] for row in rows})
    figure = Figure(figsize=(3.6 * len(depths), 4.0), layout="constrained")
    panels = figure.subplots(1, len(depths), sharey=True, squeeze=False)[0]
    for axes, depth in zip(panels, depths, strict=True):
        _panel(axes, [row for row in rows if row["depth"] == depth and row.get("sigma_histogram")])
        axes.set_xlabel("sigma_z")
    panels[0].set_ylabel("share of (image, dimension) pairs")
    name = depth_label(rows)
    return finish(
        figure, [(axes, f"{name}: {depth}") for axes, depth in zip(panels, depths, strict=True)], rows, bars=""
    )


def _panel(axes: Axes, rows: Rows) -> None:
    if not rows:
        axes.text(0.5, 0.5, "missing", transform=axes.transAxes, ha="center")
        return
    shares = [mean_and_sd(values)[0] for values in zip(*(row["sigma_histogram"] for row in rows), strict=True)]
    axes.stairs(shares, SIGMA_BINS, fill=True, color="#6fa3d8")
    axes.stairs(shares, SIGMA_BINS, color="#1b1b1b", linewidth=0.8)
    near, units, error = (
        mean_and_sd([row[name] for row in rows])[0] for name in ("sigma_above_0.9", "active_units", "train_error")
    )
    axes.text(
        0.5,
        0.97,
        f"sigma_z > 0.9: {near:.1%}\nactive units: {units:.4g} of {rows[0]['latent_dim']}\nerror {error:.5f}",
        transform=axes.transAxes,
        ha="center",
        va="top",
        fontsize=9,
    )
