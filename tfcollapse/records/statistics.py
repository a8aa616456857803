"""Summarise the rows of a table: cells, families of objectives, and means over seeds."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]
"""One row of a table: values by column (`records.columns.SCHEMA`)."""
Rows = Sequence[Row]

PAPER_STEPS = 250_000
"""The number of steps of the paper's trainings (Appendix A)."""


def cells(rows: Rows) -> str:
    """Return the names of the cells of a table in which `rows` stand, as text such as `AE depth 4, 5; VAE depth 4`.

    A cell of residual networks is named by its dataset and (b, c). An initialiser other than the default is named too.
    """
    places: dict[str, dict[str, None]] = {}
    for row in rows:
        start = row.get("initializer") or "glorot_uniform"
        whose = row["objective"] + ("" if start == "glorot_uniform" else f" ({start})")
        place = str(row["depth"])
        if row.get("block_depth"):
            whose += f" on {row['dataset'].split()[0]}, (b, c)"
            place = f"({row['depth']}, {row['block_depth']})"
        places.setdefault(whose if row.get("block_depth") else f"{whose} depth", {})[place] = None
    return "; ".join(f"{whose} {', '.join(names)}" for whose, names in places.items())


def family(row: Row) -> str:
    """Return the objective of a row without its gamma: AE, VAE or VAE + KL warm-up."""
    return row["objective"].split(" (")[0]


def mean_and_sd(values: Sequence[float]) -> tuple[float, float]:
    """Return the mean and the sample standard deviation of `values`.

    The standard deviation of one value is 0. For no values both are nan.
    """
    if not values:
        return math.nan, math.nan
    return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else 0.0


class Mean(float):
    """A mean over seeds. As text it is followed by the standard deviation over seeds, where there are several."""

    def __new__(cls, values: Sequence[float]) -> Mean:
        return super().__new__(cls, mean_and_sd(values)[0])

    def __init__(self, values: Sequence[float]):
        self.sd = mean_and_sd(values)[1] if len(values) > 1 else None

    def __format__(self, form: str) -> str:
        text = super().__format__(form)
        return text if self.sd is None else f"{text} +- {self.sd:{form if form.endswith('%') else '.2g'}}"


def by(rows: Rows, key: str, measure: str) -> dict[Any, list[float]]:
    """Return the values of the column `measure` for each value of the column `key`, in ascending order of the latter.

    Rows without a measure, such as those of unfinished runs, are left out. A list is empty where no row has a measure.
    """
    keys = sorted({row[key] for row in rows})
    return {
        value: [row[measure] for row in rows if row[key] == value and row.get(measure) is not None] for value in keys
    }
