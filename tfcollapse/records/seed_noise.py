"""Say from which relative difference on two single runs differ by more than chance."""

from __future__ import annotations

import math

import numpy as np

SPREAD = {2: 0.0049, 6: 0.0132, 10: 0.0319}
"""Standard deviation of the error over 12 seeds, over its mean, by the depth of the AE (`results/reach`, 10,000 steps).

It was measured on dense AEs of Fashion-MNIST. For other networks and lengths there are no such runs, and it is taken.
"""
_LEVEL = 1.96


def noise_of(depth: float) -> float:
    """Return the relative difference that two runs of equal networks exceed by chance in 5% of cases.

    Two runs differ by sqrt(2) times the standard deviation of one. Between the depths of `SPREAD` it is interpolated,
    and beyond them the nearest one counts.

    Args:
      depth: of the deeper of two networks.
    """
    return float(_LEVEL * math.sqrt(2) * np.interp(depth, list(SPREAD), list(SPREAD.values())))
