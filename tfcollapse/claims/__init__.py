"""Judge the paper's statements against a table: one function for each study takes rows and returns judged claims.

Rows are what `tfcollapse.read_table` reads. A study of your own names one of these functions, or its own, as
`tfcollapse.Study.claims`. Every function returns a list of `tfcollapse.Claim`; networks that were not trained support
none.
"""

from tfcollapse.claims.countermeasures import countermeasures_claims
from tfcollapse.claims.depth import depth_claims
from tfcollapse.claims.gamma import gamma_claims
from tfcollapse.claims.initialisation import initialisation_claims
from tfcollapse.claims.reach import reach_claims
from tfcollapse.claims.residual import residual_claims
from tfcollapse.claims.sigma import sigma_claims
from tfcollapse.claims.twins import twins_claims
from tfcollapse.claims.warmup import warmup_claims

__all__ = [
    "countermeasures_claims",
    "depth_claims",
    "gamma_claims",
    "initialisation_claims",
    "reach_claims",
    "residual_claims",
    "sigma_claims",
    "twins_claims",
    "warmup_claims",
]
