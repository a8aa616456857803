"""Judge Figures 1 (left), 1 (middle) and 3: the errors of AE, VAE and VAE with KL warm-up against depth."""

from __future__ import annotations

import statistics

from tfcollapse.claims.capacity import stuck
from tfcollapse.claims.claim import NOT_RUN, Claim, verdict_of
from tfcollapse.claims.completeness import as_far_as_there, of_family, of_trained, whole
from tfcollapse.claims.judging import collapse_with_depth, equation_10, falls_then_rises, judge_order
from tfcollapse.config.architectures import ARCHITECTURES
from tfcollapse.records import gaps
from tfcollapse.records.statistics import Rows
from tfcollapse.theory.bootstrap import FEWEST, bootstrap


@of_trained
def depth_claims(rows: Rows) -> list[Claim]:
    """Judge section 6 on Figure 1, eq. (8) and eq. (10).

    The errors are squared errors per pixel on the training set. The comparison with PCA is a check of ours. It is made
    for fully connected networks only.

    Args:
      rows: the rows of a sweep over depths, at least one.

    Example:
      >>> rows = tc.read_table("results/long/fig1_left.csv")
      >>> claims = tc.claims.depth_claims(rows)
      >>> print(claims[0].text)
      the AE's error first falls with depth, then rises
    """
    ae, vae, warm = (of_family(rows, name) for name in ("AE", "VAE", "VAE + KL warm-up"))
    linear = all(ARCHITECTURES[row["architecture"]].fully_connected for row in rows)  # they can represent PCA
    return [
        falls_then_rises(rows),
        *([stuck(rows)] if linear else []),
        judge_order("the VAE's error is above the AE's at every depth", {"AE": ae, "VAE": vae}),
        judge_order(
            "with KL warm-up the VAE's error is between the AE's and the plain VAE's",
            {"AE": ae, "warm-up": warm, "VAE": vae},
        ),
        _equation_8(rows),
        equation_10(rows),
        collapse_with_depth(rows),
    ]


def _equation_8(rows: Rows) -> Claim:
    text = "eq. (8): each AE's error is at most that of its VAE"
    pairs = gaps.pairs(rows)
    if not pairs:
        return as_far_as_there(Claim(text, NOT_RUN, "no AE has a VAE beside it"), rows)
    found = gaps.compared({name: cell for name, cell in gaps.twin_cells(rows).items() if whole(cell)})
    broken = [f"{name}: {one} of the AE's" for name, one in found.items() if one.sign < 1]
    ratios = [gap.relative + 1 for gap in gaps.error_gaps(rows)]
    brief = f"{sum(ratio >= 1 for ratio in ratios)} of {len(pairs)} pairs hold"
    evidence = f"{brief}; smallest ratio VAE / AE {min(ratios):.3f}"
    evidence += f", mean {statistics.fmean(ratios):.3f}" if len(pairs) > 1 else ""
    if len(pairs) >= FEWEST:
        mean = bootstrap(ratios)
        evidence += f" (95% {mean.low:.3f} to {mean.high:.3f} over these pairs)"
    claim = Claim(text, verdict_of(one.sign for one in found.values()), "; ".join([evidence, *broken]), brief)
    return as_far_as_there(claim, rows, contradicted=True)
