"""Draw Figure 1 (right): errors of residual networks relative to the shallowest one's, averaged over datasets."""

from __future__ import annotations

from matplotlib.figure import Figure

from tfcollapse.figures.style import finish, legend, line, series_look
from tfcollapse.records.relative_errors import dataset_name, over_datasets, relative_errors
from tfcollapse.records.statistics import Rows
from tfcollapse.records.trained import marked, not_trained


def residual_figure(rows: Rows) -> Figure:
    """Draw relative errors against c, with one line for each b.

    The left panel shows means over datasets, with one standard deviation over datasets as bars. The right panel shows
    each dataset by itself.

    Args:
      rows: the rows of residual AEs at several (b, c), at least one.

    Example:
      >>> rows = [row for row in tc.read_table("results/long/fig1_left.csv") if row["objective"] == "AE"]
      >>> pairs = [(b, c) for b in (1, 2) for c in (2, 3)]
      >>> residual = {"architecture": "residual", "image_shape": "32x32x3"}
      >>> rows = [rows[0] | residual | {"depth": b, "block_depth": c} for b, c in pairs]  # as if these had been trained
      >>> figure = tc.figures.residual_figure(rows)
      >>> [axes.get_xlabel() for axes in figure.axes]
      ['convolutions in a residual block (c)', 'convolutions in a residual block (c)']
    """
    rows = marked(rows)
    figure = Figure(figsize=(10.4, 4.6), layout="constrained")
    mean, separate = figure.subplots(1, 2, sharey=True)
    cells = relative_errors(rows)
    datasets = list(dict.fromkeys(dataset_name(row) for row in rows))
    for i, blocks in enumerate(sorted({b for b, _ in cells})):
        style = series_look(i)
        ratios = {c: over_datasets(cell, datasets) for (b, c), cell in cells.items() if b == blocks}
        untrained = {(row["block_depth"], dataset_name(row)) for row in not_trained(rows) if row["depth"] == blocks}
        line(mean, ratios, f"blocks a scale: {blocks}", style, {c for c, _ in untrained})
        for dataset, marker in zip(datasets, "osD^vP*X", strict=False):
            chosen = {c: [cell[dataset]] if dataset in cell else [] for (b, c), cell in cells.items() if b == blocks}
            # The legend explains the markers. Lines and colours are those of the left panel.
            label, own = dataset if i == 0 else "_", {c for c, name in untrained if name == dataset}
            line(separate, chosen, label, style | {"marker": marker, "linewidth": 0.9}, own)
    for axes in (mean, separate):
        axes.axhline(1.0, color="#999999", linewidth=0.8)
        axes.set_xlabel("convolutions in a residual block (c)")
        axes.set_xticks(sorted({c for _, c in cells}))
    mean.set_ylabel("error / error of the (b, c) = (1, 2) network")
    legend(figure, mean, separate)
    panels = [(mean, f"Mean over {len(datasets)} datasets, bars: sd over datasets"), (separate, "Each dataset")]
    return finish(figure, panels, rows, bars="one sd over datasets")
