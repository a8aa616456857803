"""Show what every cell of a study obtained. A cell is the runs that differ in their seeds alone."""

from __future__ import annotations

from collections.abc import Sequence

from tfcollapse.records.cell_columns import cell_columns
from tfcollapse.records.labels import label
from tfcollapse.records.statistics import Rows, dataset_without_version, mean_and_sd
from tfcollapse.records.trained import not_trained
from tfcollapse.reports.blocks import Table

_ERRORS = ("train_error", "test_error")
_OF_A_VAE = ("gamma", "active_units", "kl", "sigma_above_0.9")
_LATER = ("mutual_information", "effective_rank", "test_negative_elbo")
"""The columns that tables of earlier runs have not."""


def cells_table(rows: Rows) -> Table:
    """Return one line for each cell of a study's table: means over seeds, and their standard deviations."""
    rows = [{**row, "dataset": dataset_without_version(row)} for row in rows]
    keys = cell_columns(rows)
    of_a_vae = (*_OF_A_VAE, *(name for name in _LATER if any(row.get(name) is not None for row in rows)))
    measures = [*_ERRORS, *(of_a_vae if any(row["objective"] != "AE" for row in rows) else ())]
    untrained = {row["run_id"] for row in not_trained(rows)}
    lines: list[tuple[str, ...]] = []
    for cell in dict.fromkeys(tuple(row.get(key) for key in keys) for row in rows):
        runs = [row for row in rows if tuple(row.get(key) for key in keys) == cell]
        numbers = [_number([row[name] for row in runs if row.get(name) is not None]) for name in measures]
        if untrained & {row["run_id"] for row in runs}:
            numbers[0] += " (not trained)"
        ended = sum(row["status"] == "finished" for row in runs)
        seeds = str(ended) if ended == len(runs) else f"{ended} of {len(runs)}"
        lines.append((*("-" if value is None else str(value) for value in cell), seeds, *numbers))
    header = (*map(label, keys), "seeds", *map(label, measures))
    lines.sort(key=lambda line: line[0])
    return Table(header, lines)


def _number(values: Sequence[float]) -> str:
    mean, sd = mean_and_sd(values)
    if not values:
        return "-"
    return f"{mean:.4g}" + (f" +- {sd:.2g}" if len(values) > 1 else "")
