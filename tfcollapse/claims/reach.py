"""Judge the reach study: does the probability of reaching a small error fall with depth?"""

from __future__ import annotations

from itertools import pairwise

import scipy  # whose parts are loaded when they are first used

from tfcollapse.claims.claim import NOT_RUN, Claim, verdict_of
from tfcollapse.claims.completeness import as_far_as_there, of_trained
from tfcollapse.claims.trend import SIGNIFICANCE
from tfcollapse.records.statistics import Rows, by, share_reaching

_FEWEST = 4
"""The smallest number of seeds a depth with which the two-sided test can reach 5%: its least p is 2 of 70."""


@of_trained
def reach_claims(rows: Rows) -> list[Claim]:
    """Judge what section 5.1 supposes: that a deep AE almost never ends in S_epsilon, eq. (9), for a small epsilon.

    Each depth is compared with the next shallower one by Mann and Whitney's two-sided rank test over seeds, which is
    exact. The claim must hold for every such pair.

    Args:
      rows: the rows of AEs at several depths and seeds, at least one.

    Example:
      >>> rows = [row for row in tc.read_table("results/long/fig1_left.csv") if row["objective"] == "AE"]
      >>> rows = [row | {"seed": seed} for row in rows for seed in range(6)]  # as if there were six seeds
      >>> claims = tc.claims.reach_claims(rows)
      >>> print(claims[0].text)
      training a deeper AE is less likely to reach a small error (section 5.1, eq. (9))
    """
    text = "training a deeper AE is less likely to reach a small error (section 5.1, eq. (9))"
    errors = by(rows, "depth", "train_error")
    if len(errors) < 2 or min(map(len, errors.values())) < _FEWEST:
        evidence = f"the rank test needs {_FEWEST} seeds at each of two depths"
        return [as_far_as_there(Claim(text, NOT_RUN, evidence), rows)]
    signs, parts = [], []
    for (shallow, below), (deep, above) in pairwise(errors.items()):
        test = scipy.stats.mannwhitneyu(above, below, method="exact")
        larger = float(test.statistic) / (len(above) * len(below))
        signs.append(0 if test.pvalue > SIGNIFICANCE else 1 if larger > 0.5 else -1)
        parts.append(
            f"depth {deep} has the larger error than depth {shallow} in {larger:.0%} of pairs (p = {test.pvalue:.2g})"
        )
    evidence = "; ".join([*parts, *_at_one_error(rows)])
    return [as_far_as_there(Claim(text, verdict_of(signs), evidence, "; ".join(parts)), rows)]


def _at_one_error(rows: Rows) -> list[str]:
    """Return how many seeds of each depth reach the error that every seed of the shallowest depth reaches."""
    cells = {depth: [row for row in rows if row["depth"] == depth] for depth in sorted({row["depth"] for row in rows})}
    epsilon = max(row["train_error"] for row in cells[min(cells)] if row.get("train_error") is not None)
    shares = {depth: share_reaching(cell, epsilon) for depth, cell in cells.items()}
    said = [
        f"depth {depth}: {share.value:.0%} (95% {share.low:.0%} to {share.high:.0%})" for depth, share in shares.items()
    ]
    return [
        f"share of seeds with an error of at most {epsilon:.5f}, the largest of depth {min(cells)}: {', '.join(said)}"
    ]
