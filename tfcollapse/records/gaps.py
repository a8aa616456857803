"""Compare the runs of a table by equations (8) and (10): each VAE with its AE twin, and gamma with its optimum."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tfcollapse.records.columns import OF_A_TWIN
from tfcollapse.records.statistics import Row

EQUAL = 0.05
"""The relative gap below which a learned gamma is taken as equal to the error."""


@dataclass(frozen=True)
class Gap:
    """One comparison of a VAE with what an equation expects of it.

    Attributes:
      run_id: the id of the VAE's run.
      against: the AE's run id for eq. (8); None for eq. (10).
      expected, found: for eq. (8) the errors of the AE and of the VAE; for eq. (10) the optimal gamma, which is the
        VAE's error, and the learned gamma. All are squared errors per pixel.
    """

    run_id: str
    against: str | None
    expected: float
    found: float

    @property
    def relative(self) -> float:
        """Return found / expected - 1. Eq. (8) says that it is >= 0, eq. (10) that it is 0."""
        return self.found / self.expected - 1


def pairs(rows: Sequence[Row]) -> list[tuple[Row, Row]]:
    """Return the pairs (AE, VAE) of a table: every finished VAE with its AE twin.

    The twin is the finished AE of the same network, data, seed and training. A VAE without a twin is left out.
    """
    done = [row for row in rows if row.get("train_error") is not None]
    twins = {_twin(row): row for row in done if row["objective"] == "AE"}
    return [(twins[_twin(row)], row) for row in done if row["objective"] != "AE" and _twin(row) in twins]


def error_gaps(rows: Sequence[Row]) -> list[Gap]:
    """Return the gap of eq. (8) for each pair that `pairs` returns."""
    return [Gap(vae["run_id"], ae["run_id"], ae["train_error"], vae["train_error"]) for ae, vae in pairs(rows)]


def gamma_gaps(rows: Sequence[Row]) -> list[Gap]:
    """Return the gap of eq. (10) for every VAE of a table that learns gamma, and whose gamma can have arrived.

    The learned gamma is compared with the error on the training set, with z sampled.
    """
    late = gamma_is_late(rows)
    return [
        Gap(row["run_id"], None, row["train_error"], row["gamma"])
        for row in rows
        if row.get("gamma_mode") == "learned" and row.get("gamma") is not None and row not in late
    ]


def gamma_is_late(rows: Sequence[Row]) -> list[Row]:
    """Return the VAEs of a table that learn gamma, and whose training is too short to bring it to their error.

    Adam moves log gamma by about the learning rate a step, and not by more. So log gamma moves at most by the sum of
    the learning rates. It is late where the sum of all steps does not reach from the start to the error; and where it
    is further from the error than `EQUAL`, and than the sum of the last tenth of the steps can move it, as gamma then
    still follows an error that fell before.
    """
    learned = [row for row in rows if row.get("gamma_mode") == "learned" and row.get("train_error")]
    return [row for row in learned if _far(row, "gamma_start", 0.0) or _far(row, "gamma", 0.9)]


def _far(row: Row, column: str, share: float) -> bool:
    """Say whether log gamma cannot move from `column` to the error in the steps after a share of them."""
    if not row.get(column):
        return False
    distance = abs(math.log(row["train_error"] / row[column]))
    return distance > max(EQUAL if column == "gamma" else 0.0, _sum_of_learning_rates(row, share))


def _sum_of_learning_rates(row: Row, share: float) -> float:
    """Return the sum over the steps after a share of them, in which gamma moved."""
    rate, steps, every = row["learning_rate"], row["steps"], row["halve_every"]
    first = max(share * steps, row["warmup_steps"] if row.get("warmup") == "hold_gamma" else 0)
    moved = [max(0, min(done + every, steps) - max(done, first)) for done in range(0, steps, every)]
    return sum(rate * 0.5**i * count for i, count in enumerate(moved))


def _twin(row: Row) -> tuple[Any, ...]:
    return tuple(row.get(name) for name in (*OF_A_TWIN, "train_images"))
