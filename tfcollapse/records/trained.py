"""Tell the networks that were trained from those that were not: the latter support no claim."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tfcollapse.records.columns import OF_A_TWIN, OF_A_VAE
from tfcollapse.records.statistics import Row

TRAINED = 0.95
"""A network whose error is not below this share of the mean predictor's has not been trained."""


def trained(row: Row) -> bool:
    """Whether a finished run's training error is clearly below the mean predictor's, which ignores its input."""
    error, ignoring = row.get("train_error"), row.get("mean_predictor_error")
    return error is not None and ignoring is not None and error < TRAINED * ignoring


def not_trained(rows: Sequence[Row]) -> list[Row]:
    """The rows of a table whose error does not show that the network was trained. They support no claim.

    A network that a fixed gamma alone has made a mean predictor is none of them: the same network, start and budget
    were trained at a smaller gamma, at no larger one, and its decoder has found the mean. Rows that `marked` has seen
    in their whole table keep what it found.
    """
    return [row for row, shown in zip(rows, _shown(rows), strict=True) if shown is False]


def marked(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """The rows of a whole table with a column `trained`: False for those of `not_trained`, None without an error."""
    return [{**row, "trained": shown} for row, shown in zip(rows, _shown(rows), strict=True)]


def _shown(rows: Sequence[Row]) -> list[bool | None]:
    fixed = [row for row in rows if row.get("gamma_mode") == "fixed" and row.get("train_error") is not None]
    found: list[bool | None] = []
    for row in rows:
        if "trained" in row:
            found.append(row["trained"])
        elif row.get("train_error") is None:
            found.append(None)
        else:
            found.append(trained(row) or _pruned_by_gamma(row, fixed))
    return found


_BESIDE_GAMMA = (*OF_A_TWIN, *(column for column in OF_A_VAE if column not in ("gamma_mode", "gamma_start")))


def _pruned_by_gamma(row: Row, fixed: Sequence[Row]) -> bool:
    if row.get("gamma_mode") != "fixed" or row.get("mean_predictor_error") is None:
        return False
    twins = [other for other in fixed if all(row.get(name) == other.get(name) for name in _BESIDE_GAMMA)]
    smaller = [trained(other) for other in twins if other["gamma_start"] < row["gamma_start"]]
    larger = [trained(other) for other in twins if other["gamma_start"] > row["gamma_start"]]
    found_the_mean = row["train_error"] <= (2 - TRAINED) * row["mean_predictor_error"]
    return found_the_mean and any(smaller) and not any(larger)
