"""Judge Figure 2: the histograms of sigma_z at several depths."""

from __future__ import annotations

from tfcollapse.claims.claim import Claim
from tfcollapse.claims.completeness import of_family, of_trained
from tfcollapse.claims.judging import collapse_with_depth, equation_10, judge_trend
from tfcollapse.records.statistics import Rows


@of_trained
def sigma_claims(rows: Rows) -> list[Claim]:
    """Judge the caption of Figure 2 and eq. (10): with depth the error grows, and more values of sigma_z are near 1.

    Args:
      rows: the rows of VAEs at several depths, at least one.

    Example:
      >>> rows = [row for row in tc.read_table("results/long/fig1_left.csv") if row["objective"] == "VAE"]
      >>> claims = tc.claims.sigma_claims(rows)
      >>> print(claims[0].text)
      the VAE's error grows with depth
    """
    return [
        judge_trend("the VAE's error grows with depth", of_family(rows, "VAE"), "depth", "train_error", "rises"),
        collapse_with_depth(rows),
        equation_10(rows),
    ]
