"""Judge Figure 1 (right): the errors of deeper residual networks relative to the shallowest one's."""

from __future__ import annotations

from collections.abc import Mapping

from tfcollapse.claims.claim import Claim
from tfcollapse.claims.judging import CONTRADICTED, NOT_TESTED, PARTLY, SUPPORTED, of_trained
from tfcollapse.figures.residual import dataset_name, over_datasets, relative_errors
from tfcollapse.records.statistics import Rows, mean_and_sd

_Series = dict[int, float | None]
"""The relative errors by one of b and c; None where the error of a dataset is missing."""


@of_trained
def residual_claims(rows: Rows) -> list[Claim]:
    """Judge section 6 on Figure 1 (right).

    The errors are relative to that of (b, c) = (1, 2) on the same dataset, and averaged over all datasets of the table.

    Args:
      rows: the rows of residual AEs at several (b, c), at least one.
    """
    datasets = list(dict.fromkeys(dataset_name(row) for row in rows))
    cells = {key: over_datasets(cell, datasets) for key, cell in relative_errors(rows).items()}
    error_by_cell = {key: mean_and_sd(values)[0] if values else None for key, values in cells.items()}
    by_c: dict[int, _Series] = {}
    by_b: dict[int, _Series] = {}
    for (b, c), value in error_by_cell.items():
        by_c.setdefault(b, {})[c] = value
        by_b.setdefault(c, {})[b] = value
    return [
        _rises(
            "more convolutions inside each block can increase the error (the deepest against the best)", by_c, "b", "c"
        ),
        _rises("more residual blocks can increase the error (the deepest against the best)", by_b, "c", "b"),
        _deepest(error_by_cell),
    ]


def _rises(text: str, series: dict[int, _Series], fixed: str, varied: str) -> Claim:
    verdicts = [_risen(values) for values in series.values()]
    rises = [risen for risen in verdicts if risen is not None]
    evidence = "; ".join(
        f"{fixed} = {key}, by {varied} " + ", ".join(f"{depth}: {_number(value)}" for depth, value in values.items())
        for key, values in series.items()
    )
    if not rises:
        return Claim(text, NOT_TESTED, f"no series has its deepest cell and another with every dataset ({evidence})")
    decided = len(rises) == len(verdicts)
    if not decided and not any(rises):
        return Claim(text, NOT_TESTED, f"a cell that is missing could rise ({evidence})")
    return Claim(text, SUPPORTED if decided and all(rises) else PARTLY if any(rises) else CONTRADICTED, evidence)


def _risen(values: _Series) -> bool | None:
    """Return whether the deepest cell is above another one; None where a missing cell could decide it."""
    there = [value for value in values.values() if value is not None]
    deepest = values[max(values)]
    if deepest is None or len(there) < 2:
        return None
    risen = deepest > min(there)
    return risen if risen or len(there) == len(values) else None


def _deepest(error_by_cell: Mapping[tuple[int, int], float | None]) -> Claim:
    text = "once the network is deep enough the error is above the shallowest one's, skip connections or not"
    key = max(error_by_cell, key=lambda cell: (cell[0] * cell[1], cell))
    deepest = error_by_cell[key]
    if deepest is None or len(error_by_cell) < 2:
        return Claim(text, NOT_TESTED, f"(b, c) = {key} has not every dataset, or is the only cell")
    above = [f"({b}, {c})" for (b, c), value in error_by_cell.items() if value is not None and value > 1]
    evidence = f"(b, c) = {key}: {deepest:.3f} of the shallowest; above 1: {', '.join(above) or 'none'}"
    return Claim(text, SUPPORTED if deepest > 1 else CONTRADICTED, evidence)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
