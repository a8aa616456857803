"""Figure 2: sigma_z against depth."""

from __future__ import annotations

from tfcollapse.claims.claim import Claim
from tfcollapse.claims.judging import collapse_with_depth, equation_10, errors, grows, listed, of_family, of_trained
from tfcollapse.records.statistics import Rows


@of_trained
def sigma_claims(rows: Rows) -> list[Claim]:
    """The caption of Figure 2: the error grows with depth, and more sigma_z values are near 1."""
    found = errors(rows, "VAE")
    evidence = f"by depth {listed(found) or 'none'}"
    return [
        grows("the VAE's error grows with depth", of_family(rows, "VAE"), found, evidence),
        collapse_with_depth(rows),
        equation_10(rows),
    ]
