"""Find the columns that tell the cells of a table apart. A cell is the runs that differ in their seeds alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tfcollapse.records.columns import COLUMNS
from tfcollapse.records.statistics import Rows

_FIRST = ("objective", "depth", "block_depth", "initializer", "gamma_mode", "dataset")
"""The columns that stand before the others, where they tell cells apart."""


def cell_columns(rows: Rows) -> list[str]:
    """Return the columns that tell the cells of a table apart: objective, depth, and what else differs."""
    keys = ["objective", "depth"]
    for column in dict.fromkeys((*_FIRST, *COLUMNS.values())):
        if column != "seed" and len(_values([*keys, column], rows)) > len(_values(keys, rows)):
            keys.append(column)
    return keys


def _values(keys: Sequence[str], rows: Rows) -> set[tuple[Any, ...]]:
    return {tuple(row.get(key) for key in keys) for row in rows}
