"""The gamma study: pruning by a fixed gamma, Proposition 2, and the affine prediction."""

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
"""Share of the latent dimensions by which a count may miss the affine one and still be called predicted."""


@of_trained
def gamma_claims(rows: Rows) -> list[Claim]:
    """Section 3 category (ii), Proposition 2 and section 4, on runs whose gamma is fixed; eq. (10) on learned ones."""
    fixed = [row for row in rows if row["gamma_mode"] == "fixed"]
    units, errors = (_by_depth(fixed, name) for name in ("active_units", "train_error"))
    found = [
        _monotone("a larger fixed gamma leaves fewer active units (section 3, category (ii))", units, -1, ".4g"),
        _monotone("a larger fixed gamma gives worse reconstructions (section 3, category (ii))", errors, 1, ".4f"),
        _complete_collapse(units),
        _affine(units, _by_depth(fixed, "affine_active_units"), rows[0]["latent_dim"]),
    ]
    return [*(as_far_as_there(claim, fixed) for claim in found), equation_10(rows)]


def _by_depth(rows: Rows, measure: str) -> dict[int, Mapping[float, float]]:
    """{depth: {gamma: mean}}."""
    depths = sorted({row["depth"] for row in rows})
    found = {depth: means([row for row in rows if row["depth"] == depth], "gamma_start", measure) for depth in depths}
    return {depth: values for depth, values in found.items() if values}


def _monotone(text: str, found: dict[int, Mapping[float, float]], sign: int, form: str) -> Claim:
    if not found or min(map(len, found.values())) < 2:
        return Claim(text, NOT_TESTED, "fewer than two values of gamma finished")
    series = [[sign * value for value in values.values()] for values in found.values()]
    holds = [rising(values) and values[-1] > values[0] for values in series]
    evidence = "; ".join(f"depth {depth}: {_listed(values, form)}" for depth, values in found.items())
    return Claim(text, SUPPORTED if all(holds) else PARTLY if any(holds) else CONTRADICTED, evidence)


def _complete_collapse(units: dict[int, Mapping[float, float]]) -> Claim:
    text = "all latents collapse at some finite gamma (Proposition 2)"
    if not units:
        return Claim(text, NOT_TESTED, "no run with a fixed gamma finished")
    # From that gamma on: a unit that is kept at a larger one says that something else had gone wrong.
    first = {
        depth: [gamma for gamma in values if not any(values[larger] for larger in values if larger >= gamma)]
        for depth, values in units.items()
    }
    evidence = "; ".join(f"depth {d}: from gamma {g[0]:g}" if g else f"depth {d}: not seen" for d, g in first.items())
    found = [bool(gammas) for gammas in first.values()]
    # That a grid holds no such gamma does not contradict that there is one.
    return Claim(text, SUPPORTED if all(found) else PARTLY if any(found) else NOT_TESTED, evidence)


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
