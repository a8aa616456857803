"""Name runs and cells of a table by what tells them apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tfcollapse.records.labels import label
from tfcollapse.records.statistics import Row, Rows, dataset_without_version, name_of

_SIZES = (
    *("width", "base_channels", "shortcut", "batch_norm", "latent_dim", "output"),
    *("steps", "batch", "learning_rate"),
)
"""The columns that a cell is named by where the rows of a claim differ in them."""


def cells(rows: Rows, among: Rows = ()) -> str:
    """Return the names of the cells of a table in which `rows` stand, as text such as `AE depth 4, 5; VAE depth 4`.

    A cell of residual networks is named by its dataset and (b, c). In brackets stands what `network_arm` names, and the
    sizes and settings in which the rows of `among` differ, such as `VAE (width 4) depth 4`. Seeds are named where
    others of their cell are in `among` alone, such as `AE depth 4 (seed 1, 2)`.

    Args:
      rows: the rows that are named.
      among: the rows from which they are told apart.
    """
    apart = [column for column in _SIZES if len({row.get(column) for row in among} - {None}) > 1]
    all_seeds = _seeds(among, apart)
    places: dict[str, list[str]] = {}
    for (whose, place), seeds in _seeds(rows, apart).items():
        some = f" (seed {', '.join(map(str, sorted(seeds)))})" if all_seeds.get((whose, place), set()) - seeds else ""
        places.setdefault(whose, []).append(place + some)
    return "; ".join(f"{whose} {', '.join(names)}" for whose, names in places.items())


def _seeds(rows: Rows, apart: Sequence[str]) -> dict[tuple[str, str], set[int]]:
    """Return the seeds of each cell, by what it is of and its place."""
    found: dict[tuple[str, str], set[int]] = {}
    for row in rows:
        whose, place = f"{name_of(row, values(row, apart))} depth", str(row["depth"])
        if row.get("block_depth"):
            whose = f"{name_of(row, values(row, apart))} on {dataset_without_version(row)}, (b, c)"
            place = f"({row['depth']}, {row['block_depth']})"
        found.setdefault((whose, place), set()).add(row.get("seed", 0))
    return found


def differing_columns(rows: Rows, columns: Sequence[str]) -> list[str]:
    """Return those of `columns` in which rows differ."""
    return [column for column in columns if len({value_of(row, column) for row in rows}) > 1]


def values(row: Row, columns: Sequence[str]) -> list[str]:
    """Return the values of some columns of a row as text, such as "KL nats 0.5", without those that it has not."""
    found = {label(column): value_of(row, column) for column in columns if row.get(column) is not None}
    return [f"{name} {_short(value)}" for name, value in found.items()]


def value_of(row: Row, column: str) -> Any:
    """Return the value of a column; the name of a dataset without its version."""
    return dataset_without_version(row) if column == "dataset" else row.get(column)


def _short(value: Any) -> str:
    """Return a value as text: a float in six digits where these are all that it has."""
    return f"{value:g}" if isinstance(value, float) and float(f"{value:g}") == value else str(value)
