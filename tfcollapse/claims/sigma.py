"""Figure 2: sigma_z against depth."""

from __future__ import annotations

from collections.abc import Mapping

from tfcollapse.claims.judging import (
    CONTRADICTED,
    NOT_TESTED,
    PARTLY,
    SUPPORTED,
    collapse_with_depth,
    equation_10,
    errors,
    listed,
    rising,
)
from tfcollapse.figures.style import Rows
from tfcollapse.study import Claim


def sigma_claims(rows: Rows) -> list[Claim]:
    """The caption of Figure 2: the error grows with depth, and more sigma_z values are near 1."""
    return [_error_grows(errors(rows, "VAE")), collapse_with_depth(rows), equation_10(rows)]


def _error_grows(found: Mapping[int, float]) -> Claim:
    text = "the VAE's error grows with depth"
    if len(found) < 2:
        return Claim(text, NOT_TESTED, "fewer than two depths finished")
    values = list(found.values())
    verdict = CONTRADICTED if values[-1] <= values[0] else SUPPORTED if rising(values) else PARTLY
    return Claim(text, verdict, f"by depth {listed(found)}")
