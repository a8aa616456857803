"""Judge the gamma study: the pruning by a fixed gamma, Proposition 2, and the prediction by the affine VAE."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tfcollapse.claims.claim import Claim
from tfcollapse.claims.judging import (
    CONTRADICTED,
    NOT_TESTED,
    PARTLY,
    SUPPORTED,
    as_far_as_there,
    equation_10,
    means,
    of_trained,
    rising,
)
from tfcollapse.records.statistics import Rows

CLOSE = 0.1
"""The share of the latent dimensions by which the affine count may miss a deep VAE's units and still predict them."""


@of_trained
def gamma_claims(rows: Rows) -> list[Claim]:
    """Judge section 3 (category (ii)), Proposition 2 and section 4 at a fixed gamma, and eq. (10) at a learned one.

    Args:
      rows: the rows of a sweep over depths and fixed values of gamma, at least one.
    """
    fixed = [row for row in rows if row["gamma_mode"] == "fixed"]
    units, errors = (_by_depth(fixed, name) for name in ("active_units", "train_error"))
    claims = [
        _monotone("a larger fixed gamma leaves fewer active units (section 3, category (ii))", units, -1, ".4g"),
        _monotone("a larger fixed gamma gives worse reconstructions (section 3, category (ii))", errors, 1, ".4f"),
        _complete_collapse(units),
        _affine(units, _by_depth(fixed, "affine_active_units"), rows[0]["latent_dim"]),
    ]
    return [*(as_far_as_there(claim, fixed) for claim in claims), equation_10(rows)]


def _by_depth(rows: Rows, measure: str) -> dict[int, Mapping[float, float]]:
    """Return the means over seeds of the column `measure`, as {depth: {gamma: mean}}."""
    depths = sorted({row["depth"] for row in rows})
    means_by_depth = {
        depth: means([row for row in rows if row["depth"] == depth], "gamma_start", measure) for depth in depths
    }
    return {depth: values for depth, values in means_by_depth.items() if values}


def _monotone(text: str, means_by_depth: dict[int, Mapping[float, float]], sign: int, form: str) -> Claim:
    if not means_by_depth or min(map(len, means_by_depth.values())) < 2:
        return Claim(text, NOT_TESTED, "fewer than two values of gamma finished")
    series = [[sign * value for value in values.values()] for values in means_by_depth.values()]
    holds = [rising(values) and values[-1] > values[0] for values in series]
    evidence = "; ".join(f"depth {depth}: {_listed(values, form)}" for depth, values in means_by_depth.items())
    return Claim(text, SUPPORTED if all(holds) else PARTLY if any(holds) else CONTRADICTED, evidence)


def _complete_collapse(units: dict[int, Mapping[float, float]]) -> Claim:
    text = "all latents collapse at some finite gamma (Proposition 2)"
    if not units:
        return Claim(text, NOT_TESTED, "no run with a fixed gamma finished")
    # A gamma counts only if no unit is active there or at any larger one. A unit that is active at a larger gamma
    # shows that something else went wrong at the smaller one.
    first = {
        depth: [gamma for gamma in values if not any(values[larger] for larger in values if larger >= gamma)]
        for depth, values in units.items()
    }
    evidence = "; ".join(f"depth {d}: from gamma {g[0]:g}" if g else f"depth {d}: not seen" for d, g in first.items())
    collapses = [bool(gammas) for gammas in first.values()]
    # A grid without such a gamma does not contradict the proposition: the gamma may lie beyond the grid.
    return Claim(text, SUPPORTED if all(collapses) else PARTLY if any(collapses) else NOT_TESTED, evidence)


def _affine(units: dict[int, Mapping[float, float]], affine: dict[int, Mapping[float, float]], latent: int) -> Claim:
    text = "the eigenvalues above gamma, which an affine VAE keeps (section 4), count a deep VAE's units (ours)"
    gaps = {d: {g: value - affine[d][g] for g, value in values.items()} for d, values in units.items() if d in affine}
    if not gaps:
        return Claim(text, NOT_TESTED, "no run with a fixed gamma finished, or the table has no affine counts")
    close = [max(map(abs, values.values())) <= CLOSE * latent for values in gaps.values()]
    evidence = "; ".join(
        f"depth {depth}, units beyond the count: {_listed(values, '+.4g')}" for depth, values in gaps.items()
    )
    return Claim(text, SUPPORTED if all(close) else PARTLY if any(close) else CONTRADICTED, evidence)


def _listed(values: Mapping[float, Any], form: str) -> str:
    return ", ".join(f"{gamma:g}: {value:{form}}" for gamma, value in values.items())
