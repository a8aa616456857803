"""Compare runs of a table by equations (8) and (10): every VAE with its AE twin, gamma with its optimum."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tfcollapse.records.columns import OF_A_TWIN
from tfcollapse.records.statistics import Row


@dataclass(frozen=True)
class Gap:
    """One comparison.

    Attributes:
      run_id: of the VAE.
      against: the AE's run_id for eq. (8), None for eq. (10).
      expected, found: AE and VAE error, or optimal gamma and gamma.
    """

    run_id: str
    against: str | None
    expected: float
    found: float

    @property
    def relative(self) -> float:
        """What was found over what was expected, minus 1; eq. (8) says >= 0, eq. (10) says 0."""
        return self.found / self.expected - 1


def pairs(rows: Sequence[Row]) -> list[tuple[Row, Row]]:
    """Every finished VAE of a table behind the AE of the same network, data, seed and training, where there is one."""
    done = [row for row in rows if row.get("train_error") is not None]
    twins = {_twin(row): row for row in done if row["objective"] == "AE"}
    return [(twins[_twin(row)], row) for row in done if row["objective"] != "AE" and _twin(row) in twins]


def error_gaps(rows: Sequence[Row]) -> list[Gap]:
    """Eq. (8) for each of the `pairs`."""
    return [Gap(vae["run_id"], ae["run_id"], ae["train_error"], vae["train_error"]) for ae, vae in pairs(rows)]


def gamma_gaps(rows: Sequence[Row]) -> list[Gap]:
    """Eq. (10) for every VAE of a table that learns gamma: gamma against the training error with z sampled."""
    return [
        Gap(row["run_id"], None, row["train_error"], row["gamma"])
        for row in rows
        if row.get("gamma_mode") == "learned" and row.get("gamma") is not None
    ]


def _twin(row: Row) -> tuple[Any, ...]:
    return tuple(row.get(name) for name in (*OF_A_TWIN, "train_images"))
