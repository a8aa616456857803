"""Figure 1 (right): deeper residual networks, relative to the shallowest."""

from __future__ import annotations

from tfcollapse.claims.judging import CONTRADICTED, NOT_TESTED, PARTLY, SUPPORTED
from tfcollapse.figures.residual import dataset_name, over_datasets, relative_errors
from tfcollapse.figures.style import Rows, mean_and_sd
from tfcollapse.study import Claim


def residual_claims(rows: Rows) -> list[Claim]:
    """Section 6 on Figure 1 (right), on errors relative to (b, c) = (1, 2), averaged over all datasets."""
    datasets = list(dict.fromkeys(dataset_name(row) for row in rows))
    cells = {key: over_datasets(cell, datasets) for key, cell in relative_errors(rows).items()}
    found = {key: mean_and_sd(values)[0] for key, values in cells.items() if values}
    by_c: dict[int, dict[int, float]] = {}
    by_b: dict[int, dict[int, float]] = {}
    for (b, c), value in found.items():
        by_c.setdefault(b, {})[c] = value
        by_b.setdefault(c, {})[b] = value
    return [
        _rises(
            "more convolutions inside each block can increase the error (the deepest against the best)", by_c, "b", "c"
        ),
        _rises("more residual blocks can increase the error (the deepest against the best)", by_b, "c", "b"),
        _deepest(found),
    ]


def _rises(text: str, series: dict[int, dict[int, float]], fixed: str, varied: str) -> Claim:
    whole = {key: values for key, values in series.items() if len(values) > 1}
    if not whole:
        return Claim(text, NOT_TESTED, "fewer than two cells with every dataset")
    rises = [values[max(values)] > min(values.values()) for values in whole.values()]
    evidence = "; ".join(
        f"{fixed} = {key}, by {varied} " + ", ".join(f"{depth}: {value:.3f}" for depth, value in values.items())
        for key, values in whole.items()
    )
    return Claim(text, SUPPORTED if all(rises) else PARTLY if any(rises) else CONTRADICTED, evidence)


def _deepest(found: dict[tuple[int, int], float]) -> Claim:
    text = "once the network is deep enough the error is above the shallowest one's, skip connections or not"
    if len(found) < 2:
        return Claim(text, NOT_TESTED, "fewer than two cells with every dataset")
    key = max(found, key=lambda cell: (cell[0] * cell[1], cell))
    above = [f"({b}, {c})" for (b, c), value in found.items() if value > 1]
    evidence = f"(b, c) = {key}: {found[key]:.3f} of the shallowest; above 1: {', '.join(above) or 'none'}"
    return Claim(text, SUPPORTED if found[key] > 1 else CONTRADICTED, evidence)
