"""Say how far apart the errors of two networks lie that differ in their seed alone."""

from __future__ import annotations

import math

import numpy as np
import scipy  # whose parts are loaded when they are first used

from tfcollapse.config.architectures import ARCHITECTURES
from tfcollapse.records.statistics import Row, Rows

SPREAD = {2: 0.0049, 6: 0.0132, 10: 0.0319}
"""Standard deviation of the error over 12 seeds, over its mean, by the depth of the AE (`results/reach`, 10,000 steps).

It was measured on dense AEs of Fashion-MNIST. For other networks and lengths there are no such runs, and it is taken.
"""
SEEDS = 12
"""How many seeds each number of `SPREAD` is of."""
LEVEL = 0.95
"""The share of cases in which chance does not make a difference count."""


def spread_of(rows: Rows) -> float:
    """Return the largest standard deviation of one run's error over seeds, over its mean, among networks.

    Between the depths of `SPREAD` it is interpolated, and beyond them the nearest one counts. The depth of a network
    that is not fully connected, or whose architecture is not known, counts no layers. It has the largest spread.

    Args:
      rows: the rows of the networks, at least one.
    """
    return max(map(_spread, rows))


def _spread(row: Row) -> float:
    architecture = ARCHITECTURES.get(row.get("architecture", ""))
    if architecture is None or not architecture.fully_connected:
        return max(SPREAD.values())
    return float(np.interp(row["depth"], list(SPREAD), list(SPREAD.values())))


def noise_of(spread: float, runs: int = 2, level: float = LEVEL) -> float:
    """Return the share of their mean by which two runs' errors lie apart by chance in 5% of cases, or in 1 - `level`.

    The quantile is Student's, because the spread is itself an estimate from `SEEDS` seeds.

    Args:
      spread: as `spread_of` returns it.
      runs: 2 where the error is compared with that of another single run, 1 where it is compared with a constant.
      level: the probability that chance does not go so far.
    """
    quantile = scipy.special.stdtrit(SEEDS - 1, (1 + level) / 2)
    return float(quantile * math.sqrt(runs) * spread)
