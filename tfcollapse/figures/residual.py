"""Figure 1 (right): residual networks, errors relative to the shallowest one's, averaged over datasets."""

from __future__ import annotations

from matplotlib.figure import Figure

from tfcollapse.figures.style import OTHER, SERIES, finish, line
from tfcollapse.records.statistics import Row, Rows, mean_and_sd

BASE = (1, 2)
"""(b, c) of the cell that every error of its dataset is divided by."""


def residual_figure(rows: Rows) -> Figure:
    """Left: mean over datasets against c, a line per b, sd over datasets as bars. Right: each dataset's own."""
    figure = Figure(figsize=(10.4, 4.6), layout="constrained")
    mean, each = figure.subplots(1, 2, sharey=True)
    cells = relative_errors(rows)
    datasets = list(dict.fromkeys(dataset_name(row) for row in rows))
    for i, blocks in enumerate(sorted({b for b, _ in cells})):
        style = SERIES[i] if i < len(SERIES) else OTHER
        found = {c: over_datasets(cell, datasets) for (b, c), cell in cells.items() if b == blocks}
        line(mean, found, f"b = {blocks}", style)
        for dataset, marker in zip(datasets, "osD^vP*X", strict=False):
            chosen = {c: [cell[dataset]] if dataset in cell else [] for (b, c), cell in cells.items() if b == blocks}
            label = dataset if i == 0 else "_"  # the markers' key: lines and hues are those of the left panel
            line(each, chosen, label, style | {"marker": marker, "linewidth": 0.9})
    for axes in (mean, each):
        axes.axhline(1.0, color="#999999", linewidth=0.8)
        axes.set_xlabel("convolutions in a residual block (c)")
        axes.set_xticks(sorted({c for _, c in cells}))
    mean.set_ylabel("error / error of the (b, c) = (1, 2) network")
    mean.legend(fontsize=8, frameon=False, loc="best", title="blocks a scale")
    each.legend(fontsize=8, frameon=False, loc="best", title="lines as at the left")
    panels = [(mean, f"Mean over {len(datasets)} datasets, bars: sd over datasets"), (each, "Each dataset")]
    return finish(figure, panels, rows, bars="one sd over datasets")


def relative_errors(rows: Rows) -> dict[tuple[int, int], dict[str, float]]:
    """{(b, c): {dataset: error / error of BASE}}, means over seeds; a dataset without its BASE cell has none."""
    errors: dict[tuple[int, int], dict[str, list[float]]] = {}
    untrained = {
        (row["depth"], row["block_depth"], dataset_name(row)) for row in rows if row["status"] == "not trained"
    }
    for row in sorted(rows, key=lambda row: (row["depth"], row["block_depth"])):
        cell = errors.setdefault((row["depth"], row["block_depth"]), {})
        there = (row["depth"], row["block_depth"], dataset_name(row)) not in untrained
        if row.get("train_error") is not None and there:
            cell.setdefault(dataset_name(row), []).append(row["train_error"])
    base = {name: mean_and_sd(values)[0] for name, values in errors.get(BASE, {}).items()}
    return {
        key: {name: mean_and_sd(values)[0] / base[name] for name, values in cell.items() if name in base}
        for key, cell in errors.items()
    }


def over_datasets(cell: dict[str, float], datasets: list[str]) -> list[float]:
    """A cell's values, none where a dataset is missing: a mean over fewer would not be comparable."""
    return [cell[name] for name in datasets] if set(cell) == set(datasets) else []


def dataset_name(row: Row) -> str:
    """A dataset without its version, which a run that has not ended does not know, and how many images it is cut to."""
    first = row.get("first_train")
    return row["dataset"].split()[0] + (f" [:{first}]" if first else "")
