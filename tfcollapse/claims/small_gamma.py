"""Judge small fixed values of gamma at the depths where a learned gamma collapses."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tfcollapse.claims.claim import NOT_RUN, Claim
from tfcollapse.claims.completeness import as_far_as_there, listed, means
from tfcollapse.claims.judging import late_gammas
from tfcollapse.claims.remedy import Remedy, judge_no_remedy
from tfcollapse.records.comparison import compare_units
from tfcollapse.records.statistics import Rows, by, measured


def small_gamma_claims(rows: Rows) -> list[Claim]:
    """Judge section 7, point 3: "explicitly forcing gamma to be small does not fix this problem".

    The deepest VAEs must have collapsed where gamma is free, in closed form or (where none is) learned: they have fewer
    active units than the shallowest ones. A fixed gamma is small where it is below the free one. The deepest VAEs at
    each small gamma are compared with the shallowest ones at the same gamma. The problem is read in both ways that the
    text allows: the error, and the collapse of units. The verdict waits where a learned gamma is still on its way.

    Args:
      rows: the rows of VAEs at several depths, with fixed values of gamma and others; at least one.
    """
    deepest, shallowest = (choose(row["depth"] for row in rows) for choose in (max, min))
    at_deepest = f"at depth {deepest} a small fixed gamma does not"
    error = f"{at_deepest} take away most of the error above that of depth {shallowest} (section 7, point 3)"
    units = f"{at_deepest} bring back most of the units that depth {shallowest} has beyond it (section 7, point 3)"
    mode = "optimal" if any(row["gamma_mode"] == "optimal" for row in rows) else "learned"
    free = [row for row in rows if row["gamma_mode"] == mode and row["depth"] in (deepest, shallowest)]
    deep = [row for row in free if row["depth"] == deepest]
    units_by_depth = by(free, "depth", "active_units")
    late = late_gammas(free)
    if (
        late
        or len(units_by_depth) < 2
        or not all(units_by_depth.values())
        or _kept(units_by_depth, rows[0]["latent_dim"])
    ):
        said = listed(means(free, "depth", "active_units"), ".4g")
        evidence = late or (
            f"no collapse to mend: with gamma {mode} the active units by depth are {said}"
            if deep
            else "no VAE has a free gamma there"
        )
        return [as_far_as_there(Claim(text, NOT_RUN, evidence), free) for text in (error, units)]
    remedies = _remedies(rows, deepest, shallowest, float(np.mean(measured(deep, "gamma"))))
    return [
        judge_no_remedy(error, deep, remedies, "train_error"),
        judge_no_remedy(units, deep, remedies, "active_units"),
    ]


def _kept(units_by_depth: Mapping[int, list[float]], latent_dim: int) -> bool:
    shallowest, deepest = units_by_depth.values()
    return compare_units(deepest, shallowest, latent_dim) > -1


def _remedies(rows: Rows, deepest: int, shallowest: int, free: float) -> dict[str, Remedy]:
    """Return for each fixed gamma of the deepest VAEs below the free one the runs of both depths at it."""
    small = [row for row in rows if row["gamma_mode"] == "fixed" and row["gamma_start"] < free]
    cells = {
        gamma: [
            [row for row in small if (row["depth"], row["gamma_start"]) == (depth, gamma)]
            for depth in (deepest, shallowest)
        ]
        for gamma in sorted({row["gamma_start"] for row in small if row["depth"] == deepest})
    }
    return {f"gamma {gamma:g}": Remedy(treated, shallow) for gamma, (treated, shallow) in cells.items()}
