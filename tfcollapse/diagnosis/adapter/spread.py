"""Recognise what an encoder's second output is, by what holds at every stationary point of a VAE's loss."""

from __future__ import annotations

import numpy as np

from tfcollapse.metrics.posterior import active_units
from tfcollapse.models.outputs import SPREADS

_ON_AVERAGE, _PER_UNIT, _FAR = 0.1, 0.25, 0.2
"""Distances from 1 of E[mu^2 + sigma^2]: 1,024 examples leave 0.05 of a unit's."""
_UNITS = 3


def recognised_spread(mean: np.ndarray, spread: np.ndarray) -> str:
    """Return what the second output is, a key of `SPREADS`: "log_variance" unless another reading alone makes sense.

    Where z_j is scaled and the decoder undoes it, the KL alone changes. So at a stationary point with linear heads its
    derivative by the scale is 0, which is E[mu_j^2 + sigma_j^2] = 1, for dead units too. Two cases are told:

    * As log variances, all values would give sigma >= 1, which no active unit has. As sigmas, or as variances, they
      give the 1. Values of 0, as a ReLU leaves them, are neither.
    * As log variances, they give another number than 1 for the active units, of which there are three or more. As
      logarithms of sigma they give the 1.

    Args:
      mean, spread: the encoder's outputs, [n, latent].
    """
    moments = {
        name: (np.square(mean, dtype=np.float64) + np.exp(np.minimum(form.log_variance(spread), 80.0))).mean(axis=0)
        for name, form in SPREADS.items()
        if name not in ("sigma", "variance") or spread.min() > 0
    }
    if spread.min() > 0:
        off = {name: _distance(moments[name]) for name in ("sigma", "variance")}
        best = min(off, key=lambda name: off[name])
        return best if off[best] < _ON_AVERAGE else "log_variance"
    active = active_units(mean.var(axis=0))
    if active.sum() < _UNITS:
        return "log_variance"
    as_log_variance = float(np.abs(moments["log_variance"][active].mean() - 1))
    fits = as_log_variance > _FAR and _distance(moments["log_sigma"][active]) < _ON_AVERAGE / 2
    return "log_sigma" if fits else "log_variance"


def _distance(moments: np.ndarray) -> float:
    """Return how far E[mu^2 + sigma^2] is from 1, averaged over units; infinity where a tenth of them is far away."""
    far = np.abs(moments - 1) > _PER_UNIT
    return np.inf if far.mean() > 0.1 else float(np.abs(moments.mean() - 1))
