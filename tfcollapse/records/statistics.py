"""Summarise the rows of a table: cells, families, means over seeds."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]
"""One row of a table: values by column (`records.columns.SCHEMA`)."""
Rows = Sequence[Row]

PAPER_STEPS = 250_000
"""The length of the paper's trainings (Appendix A)."""


def cells(rows: Rows) -> str:
    """Name the cells of a table that rows stand in, as text: `AE depth 4, 5; VAE depth 4`."""
    places: dict[str, dict[str, None]] = {}
    for row in rows:
        start = row.get("initializer") or "glorot_uniform"
        whose = row["objective"] + ("" if start == "glorot_uniform" else f" ({start})")
        place = str(row["depth"])
        if row.get("block_depth"):
            whose += f" on {row['dataset'].split()[0]}, (b, c)"
            place = f"({row['depth']}, {row['block_depth']})"
        places.setdefault(whose if row.get("block_depth") else f"{whose} depth", {})[place] = None
    return "; ".join(f"{whose} {', '.join(found)}" for whose, found in places.items())


def family(row: Row) -> str:
    """Return AE, VAE or VAE + KL warm-up, whatever the gamma."""
    return row["objective"].split(" (")[0]


def mean_and_sd(values: Sequence[float]) -> tuple[float, float]:
    """Return mean and sample standard deviation; the latter 0 for one value, both nan for none."""
    if not values:
        return math.nan, math.nan
    return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else 0.0


def by(rows: Rows, key: str, measure: str) -> dict[Any, list[float]]:
    """Return the finished values of a column for each value of another, ascending; an empty list where none is."""
    keys = sorted({row[key] for row in rows})
    return {
        value: [row[measure] for row in rows if row[key] == value and row.get(measure) is not None] for value in keys
    }
