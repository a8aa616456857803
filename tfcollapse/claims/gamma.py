"""Judge the gamma study: the pruning by a fixed gamma, Proposition 2, and the prediction by the affine VAE."""

from __future__ import annotations

from collections.abc import Mapping

from tfcollapse.claims.claim import NOT_REPRODUCED, NOT_RUN, REPRODUCED, Claim
from tfcollapse.claims.completeness import as_far_as_there, listed, means, of_trained
from tfcollapse.claims.judging import equation_10, judge_trend
from tfcollapse.claims.small_gamma import small_gamma_claims
from tfcollapse.claims.trend import Shape
from tfcollapse.records.comparison import CLOSE
from tfcollapse.records.statistics import Rows


@of_trained
def gamma_claims(rows: Rows) -> list[Claim]:
    """Judge section 3 (category (ii)), Proposition 2 and section 4 at a fixed gamma, and eq. (10) at a learned one.

    Where a table has small values of gamma at deep networks, section 7, point 3, is judged too.

    Args:
      rows: the rows of a sweep over depths and fixed values of gamma, at least one.

    Example:
      >>> rows = [row for row in tc.read_table("results/long/fig1_left.csv") if row["objective"] == "VAE"]
      >>> fixed = {"objective": "VAE (gamma 0.1)", "gamma_mode": "fixed", "gamma_start": 0.1}
      >>> rows = rows + [row | fixed for row in rows]  # as if gamma had been fixed
      >>> claims = tc.claims.gamma_claims(rows)
      >>> print(claims[0].text)
      a larger fixed gamma leaves fewer active units (section 3, category (ii))
    """
    fixed = _with_large_gamma([row for row in rows if row["gamma_mode"] == "fixed"])
    units = _by_depth(fixed, "active_units")
    return [
        _trend(
            "a larger fixed gamma leaves fewer active units (section 3, category (ii))", fixed, "active_units", "falls"
        ),
        _trend(
            "a larger fixed gamma gives worse reconstructions (section 3, category (ii))", fixed, "train_error", "rises"
        ),
        as_far_as_there(_complete_collapse(units), fixed),
        as_far_as_there(_affine(units, _by_depth(fixed, "affine_active_units"), rows[0]["latent_dim"]), fixed),
        equation_10(rows),
        *small_gamma_claims(rows),
    ]


def _with_large_gamma(rows: Rows) -> Rows:
    """Return the rows of the depths that have the largest gamma of the table. Others have small ones alone."""
    largest = max((row["gamma_start"] for row in rows), default=None)
    depths = {row["depth"] for row in rows if row["gamma_start"] == largest}
    return [row for row in rows if row["depth"] in depths]


def _by_depth(rows: Rows, measure: str) -> dict[int, Mapping[float, float]]:
    """Return the means over seeds of the column `measure`, as {depth: {gamma: mean}}."""
    depths = sorted({row["depth"] for row in rows})
    means_by_depth = {
        depth: means([row for row in rows if row["depth"] == depth], "gamma_start", measure) for depth in depths
    }
    return {depth: values for depth, values in means_by_depth.items() if values}


def _trend(text: str, rows: Rows, measure: str, shape: Shape) -> Claim:
    form = ".4g" if measure == "active_units" else ".4f"
    by_depth = _by_depth(rows, measure).items()
    evidence = "; ".join(f"depth {depth}: {listed(values, form)}" for depth, values in by_depth)
    brief = "; ".join(f"depth {depth}: {_ends(values, form)}" for depth, values in by_depth)
    blocks = ("depth", "seed")
    return judge_trend(text, rows, "gamma_start", measure, shape, blocks=blocks, evidence=evidence, brief=brief)


def _ends(values: Mapping[float, float], form: str) -> str:
    """Return the values at the smallest and at the largest gamma as text."""
    return ", ".join(f"{values[gamma]:{form}} at gamma {gamma:g}" for gamma in (min(values), max(values)))


def _complete_collapse(units: dict[int, Mapping[float, float]]) -> Claim:
    text = "all latents collapse at some finite gamma (Proposition 2)"
    # A gamma counts only if no unit is active there or at any larger one. A unit that is active at a larger gamma
    # shows that something else went wrong at the smaller one.
    first = {
        depth: [gamma for gamma in values if not any(values[larger] for larger in values if larger >= gamma)]
        for depth, values in units.items()
    }
    evidence = "; ".join(f"depth {d}: from gamma {g[0]:g}" if g else f"depth {d}: not seen" for d, g in first.items())
    # A grid without such a gamma does not contradict the proposition: the gamma may lie beyond the grid.
    return Claim(text, REPRODUCED if first and all(first.values()) else NOT_RUN, evidence or "no run has a fixed gamma")


def _affine(units: dict[int, Mapping[float, float]], affine: dict[int, Mapping[float, float]], latent: int) -> Claim:
    text = "the eigenvalues above gamma, which an affine VAE keeps (section 4), count a deep VAE's units (ours)"
    counted = {d: {g: value for g, value in values.items() if g in affine.get(d, {})} for d, values in units.items()}
    if not counted or counted != units:
        return Claim(text, NOT_RUN, "no run has a fixed gamma, or the table lacks affine counts")
    gaps = {d: {g: value - affine[d][g] for g, value in values.items()} for d, values in units.items()}
    close = all(abs(value) < CLOSE * latent for values in gaps.values() for value in values.values())
    evidence = "; ".join(
        f"depth {depth}, units beyond the count: {listed(values, '+.4g')}" for depth, values in gaps.items()
    )
    largest = {depth: max(values.values(), key=abs) for depth, values in gaps.items()}
    brief = "; ".join(f"depth {depth}: up to {gap:+.4g} units" for depth, gap in largest.items())
    evidence += f" (less than {CLOSE:.0%} of {latent} taken as equal)"
    return Claim(text, REPRODUCED if close else NOT_REPRODUCED, evidence, brief)
