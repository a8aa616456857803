"""Judge the paper's statements against a table: one function for each study takes rows and returns judged claims."""

from tfcollapse.claims.depth import depth_claims
from tfcollapse.claims.gamma import gamma_claims
from tfcollapse.claims.initialisation import initialisation_claims
from tfcollapse.claims.reach import reach_claims
from tfcollapse.claims.residual import residual_claims
from tfcollapse.claims.sigma import sigma_claims
from tfcollapse.claims.warmup import warmup_claims

__all__ = [
    "depth_claims",
    "gamma_claims",
    "initialisation_claims",
    "reach_claims",
    "residual_claims",
    "sigma_claims",
    "warmup_claims",
]
