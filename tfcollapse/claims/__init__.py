"""The paper's statements held against a table: one function per study, rows in, judged claims out."""

from tfcollapse.claims.depth import depth_claims
from tfcollapse.claims.gamma import gamma_claims
from tfcollapse.claims.initialisation import initialisation_claims
from tfcollapse.claims.residual import residual_claims
from tfcollapse.claims.sigma import sigma_claims

__all__ = ["depth_claims", "gamma_claims", "initialisation_claims", "residual_claims", "sigma_claims"]
