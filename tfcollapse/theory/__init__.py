"""Compute the paper's propositions as closed forms, with NumPy and SciPy in float64. Each names its equation.

| module | what it computes |
| --- | --- |
| `tfcollapse.theory.affine` | section 4: the VAE with an affine decoder, in closed form |
| `tfcollapse.theory.affine_energy` | the energy of that VAE, minimised without the closed form |
| `tfcollapse.theory.soft_threshold` | Proposition 1: the decoder of eq. (5), its exact expectations |
| `tfcollapse.theory.local_minimum` | Proposition 1: eq. (6) and the bad local minimum (7) |
| `tfcollapse.theory.basin` | how wide that minimum is, how deep, and what lies beside it |
| `tfcollapse.theory.certified_radius` | a radius within which it is provably lowest |
| `tfcollapse.theory.gradient_flow` | where the gradient flow ends from which start |
| `tfcollapse.theory.thresholding` | Proposition 2: the gamma from which the collapsed solution is the best one |
| `tfcollapse.theory.affine_decoder` | the same for a fixed affine decoder, in closed form |
| `tfcollapse.theory.shrinkage` | section 5.1: which penalties prune exactly |
| `tfcollapse.theory.stationary` | Proposition 4: what kind of stationary point a collapsed unit is |
| `tfcollapse.theory.bootstrap` | intervals for a mean or another statistic, and the gap of eq. (10) |
"""

import importlib
from typing import Any

__all__ = [
    "affine",
    "affine_decoder",
    "affine_energy",
    "basin",
    "bootstrap",
    "certified_radius",
    "gradient_flow",
    "local_minimum",
    "shrinkage",
    "soft_threshold",
    "stationary",
    "thresholding",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    return importlib.import_module(f"{__name__}.{name}")
