"""Tell trained networks from untrained ones, which support no claim."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tfcollapse.records.columns import OF_A_TWIN, OF_A_VAE
from tfcollapse.records.statistics import Row

TRAINED = 0.95
"""A network counts as trained where its error is below this share of the mean predictor's error."""


def trained(row: Row) -> bool:
    """Return whether the training error of a finished run is below TRAINED times the mean predictor's.

    The mean predictor ignores its input. A row that lacks one of the two errors counts as not trained.
    """
    error, ignoring = row.get("train_error"), row.get("mean_predictor_error")
    return error is not None and ignoring is not None and error < TRAINED * ignoring


def not_trained(rows: Sequence[Row]) -> list[Row]:
    """Return the rows of a table whose error does not show that the network was trained. They support no claim.

    One kind of network with the error of the mean predictor is not in the list: a network that a large fixed gamma
    alone has pruned. It is recognised by three signs. First, the same network, with the same start and budget, was
    trained at a smaller gamma. Second, it was not trained at any larger gamma. Third, its decoder has learned the mean:
    its error is at most 2 - TRAINED (1.05) times the mean predictor's.

    A row that `marked` has judged within its whole table keeps that judgement.
    """
    return [row for row, shown in zip(rows, _shown(rows), strict=True) if shown is False]


def marked(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Return the rows of a whole table with a column `trained` added.

    The column is False for the rows that `not_trained` returns, None for rows without an error, and True for others.
    """
    return [{**row, "trained": shown} for row, shown in zip(rows, _shown(rows), strict=True)]


def _shown(rows: Sequence[Row]) -> list[bool | None]:
    fixed = [row for row in rows if row.get("gamma_mode") == "fixed" and row.get("train_error") is not None]
    judgements: list[bool | None] = []
    for row in rows:
        if "trained" in row:
            judgements.append(row["trained"])
        elif row.get("train_error") is None:
            judgements.append(None)
        else:
            judgements.append(trained(row) or _pruned_by_gamma(row, fixed))
    return judgements


_BESIDE_GAMMA = (*OF_A_TWIN, *(column for column in OF_A_VAE if column not in ("gamma_mode", "gamma_start")))


def _pruned_by_gamma(row: Row, fixed: Sequence[Row]) -> bool:
    if row.get("gamma_mode") != "fixed" or row.get("mean_predictor_error") is None:
        return False
    twins = [other for other in fixed if all(row.get(name) == other.get(name) for name in _BESIDE_GAMMA)]
    smaller = [trained(other) for other in twins if other["gamma_start"] < row["gamma_start"]]
    larger = [trained(other) for other in twins if other["gamma_start"] > row["gamma_start"]]
    found_the_mean = row["train_error"] <= (2 - TRAINED) * row["mean_predictor_error"]
    return found_the_mean and any(smaller) and not any(larger)
