"""Compare the runs of a table by equations (8) and (10): each VAE with its AE twin, and gamma with its optimum."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tfcollapse.records.columns import COLUMNS, OF_A_TWIN
from tfcollapse.records.comparison import Comparison, compare
from tfcollapse.records.naming import cells, differing_columns, values
from tfcollapse.records.seed_noise import spread_of
from tfcollapse.records.statistics import Row, Rows, aes_and_vaes, dataset_without_version, grouped, measured

EQUAL = 0.05
"""The relative gap below which a learned gamma is taken as equal to the error."""
ON_ITS_WAY = 0.25
"""The share of the learning rate an update from which on a gamma is on its way.

It was chosen after these runs. Six VAEs of 250,000 steps, whose gammas had arrived, had 0.006 at most. One of 10,000
steps, whose gamma had 9% to go, had 0.45. A gamma within `EQUAL` follows an error that falls as fast as that: three
VAEs of 10,000 steps had 0.16 to 0.45. So arrival is tested first.
"""
_OF_TWIN_CELLS = tuple(column for column in OF_A_TWIN if column != "seed")
_OF_A_CELL = tuple(column for column in COLUMNS.values() if column not in ("seed", "objective"))
"""The declared columns in which the seeds of an AE and its VAEs agree, and those in which seeds of one VAE do."""
HELD, MOVING = "gamma is held to the last step", "gamma is still on its way to the error"
UNKNOWN = "the table does not say whether gamma still moves"
"""Why a learned gamma cannot be judged by eq. (10)."""


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


def pairs(rows: Rows) -> list[tuple[Row, Row]]:
    """Return the pairs (AE, VAE) of a table: every finished VAE with its AE twin.

    The twin is the finished AE of the same network, data, seed and training. A VAE without a twin is left out.
    """
    done = [row for row in rows if row.get("train_error")]  # an error of 0 has no ratio
    twins = {_twin(row): row for row in done if row["objective"] == "AE"}
    return [(twins[_twin(row)], row) for row in done if row["objective"] != "AE" and _twin(row) in twins]


def error_gaps(rows: Rows) -> list[Gap]:
    """Return the gap of eq. (8) for each pair that `pairs` returns."""
    return [Gap(vae["run_id"], ae["run_id"], ae["train_error"], vae["train_error"]) for ae, vae in pairs(rows)]


def twin_cells(rows: Rows) -> dict[str, list[Row]]:
    """Return VAEs that differ in their seed alone, with the AEs of their network, data and training.

    Args:
      rows: the rows of AEs and VAEs. Those that have no error yet count too.

    Returns:
      {the name of the VAEs, such as "VAE depth 4": their rows and those of the AEs}. A cell without an AE is left out.
      Where several cells have one name, the values in which they differ stand behind it.
    """
    aes, vaes = aes_and_vaes(rows)
    by_twin = grouped(aes, lambda row: repr(_values(row, _OF_TWIN_CELLS)))
    by_cell = grouped(vaes, lambda row: repr((row["objective"], _values(row, _OF_A_CELL))))
    with_twin = [cell for cell in by_cell.values() if repr(_values(cell[0], _OF_TWIN_CELLS)) in by_twin]
    named: dict[str, list[list[Row]]] = {}
    for cell in with_twin:
        named.setdefault(cells(cell), []).append(cell)
    found: dict[str, list[Row]] = {}
    for name, those in named.items():
        apart = differing_columns([cell[0] for cell in those], _OF_A_CELL)
        for cell in those:
            twins = by_twin[repr(_values(cell[0], _OF_TWIN_CELLS))]
            found[", ".join([name, *values(cell[0], apart)])] = [*cell, *twins]
    return found


def _values(row: Row, columns: Iterable[str]) -> tuple[Any, ...]:
    named = {**row, "dataset": dataset_without_version(row)}
    return tuple(named.get(column) for column in columns)


def compared(cells: Mapping[str, Rows]) -> dict[str, Comparison]:
    """Compare the errors of VAEs with those of their AEs, over the seeds of both. Eq. (8) expects them above.

    Args:
      cells: some of `twin_cells`.

    Returns:
      {the name of a cell: its comparison}. A cell where one of the two has no error is left out.
    """
    errors = {name: [measured(rows, "train_error") for rows in aes_and_vaes(cell)] for name, cell in cells.items()}
    there = {name: each for name, each in errors.items() if all(each)}
    return {
        name: compare(above, below, spread_of(cells[name]), places=len(there)) for name, (below, above) in there.items()
    }


def gamma_gaps(rows: Rows) -> list[Gap]:
    """Return the gap of eq. (10) for every VAE of a table that learns gamma, but for those of `undecided_gammas`.

    The learned gamma is compared with the error on the training set, with z sampled.
    """
    undecided = [row for rows in undecided_gammas(rows).values() for row in rows]
    decided = [row for row in _learned(rows) if row not in undecided]
    return [Gap(row["run_id"], None, row["train_error"], row["gamma"]) for row in decided]


def undecided_gammas(rows: Rows) -> dict[str, list[Row]]:
    """Return the VAEs whose learned gamma is not within `EQUAL` of the error and may yet arrive, by the reason.

    A gamma is on its way where its log moved towards the error over the last tenth of the steps, at `ON_ITS_WAY` or
    more of the learning rate an update. A gamma that stands still elsewhere, or moves away, is decided: eq. (10) does
    not hold for it.
    """
    apart = [row for row in _learned(rows) if abs(row["gamma"] / row["train_error"] - 1) >= EQUAL]
    reasons: dict[str, list[Row]] = {}
    for row in apart:
        pace = row.get("gamma_pace")
        if row.get("warmup") == "hold_gamma" and row["warmup_steps"] >= row["steps"]:
            reasons.setdefault(HELD, []).append(row)
        elif pace is None:
            reasons.setdefault(UNKNOWN, []).append(row)
        elif pace >= ON_ITS_WAY:
            reasons.setdefault(MOVING, []).append(row)
    return reasons


def _learned(rows: Rows) -> list[Row]:
    """Return the VAEs that learn gamma and have ended."""
    return [row for row in rows if row.get("gamma_mode") == "learned" and row.get("train_error") and row.get("gamma")]


def _twin(row: Row) -> tuple[Any, ...]:
    return _values(row, (*OF_A_TWIN, "train_images"))
