"""Judge Figure 2: the histograms of sigma_z at several depths."""

from __future__ import annotations

from tfcollapse.claims.claim import Claim
from tfcollapse.claims.judging import collapse_with_depth, equation_10, errors, grows, listed, of_family, of_trained
from tfcollapse.records.statistics import Rows


@of_trained
def sigma_claims(rows: Rows) -> list[Claim]:
    """Judge the caption of Figure 2 and eq. (10): with depth the error grows, and more values of sigma_z are near 1.

    Args:
      rows: the rows of VAEs at several depths, at least one.
    """
    error_by_depth = errors(rows, "VAE")
    evidence = f"by depth {listed(error_by_depth) or 'none'}"
    return [
        grows("the VAE's error grows with depth", of_family(rows, "VAE"), error_by_depth, evidence),
        collapse_with_depth(rows),
        equation_10(rows),
    ]
