"""Divide the errors of residual networks by the shallowest one's on the same dataset."""

from __future__ import annotations

from tfcollapse.records.statistics import Row, Rows, dataset_without_version, mean_and_sd

BASE = (1, 2)
"""(b, c) of the cell by whose error every error of the same dataset is divided."""


def relative_errors(rows: Rows) -> dict[tuple[int, int], dict[str, float]]:
    """Return the errors of each cell relative to the BASE cell's, as {(b, c): {dataset: ratio}}.

    Errors are training errors, averaged over seeds before the division. A dataset whose BASE cell has no error, or one
    of 0, has no ratios. A cell of a dataset has no ratio where one of its seeds was not trained.
    """
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
        key: {name: mean_and_sd(values)[0] / base[name] for name, values in cell.items() if base.get(name)}
        for key, cell in errors.items()
    }


def over_datasets(cell: dict[str, float], datasets: list[str]) -> list[float]:
    """Return a cell's ratios in the order of `datasets`; an empty list where one of the datasets is missing.

    A mean over fewer datasets would not be comparable with the others.
    """
    return [cell[name] for name in datasets] if set(cell) == set(datasets) else []


def dataset_name(row: Row) -> str:
    """Return the name of a row's dataset without its version, and with the number of images that it is cut to."""
    first = row.get("first_train")
    return dataset_without_version(row) + (f" [:{first}]" if first else "")
