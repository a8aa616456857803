"""Test whether two measures order the same things alike: Spearman's rank correlation and its interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy  # whose parts are loaded when they are first used

from tfcollapse.claims.trend import SIGNIFICANCE

FEWEST = 5
"""The fewest pairs with which the two-sided test can reach 5%: its least p is 2 of 120."""

_RESAMPLES = 9_999


@dataclass(frozen=True)
class Correlation:
    """What Spearman's rank correlation says of some pairs.

    Attributes:
      rho: the correlation of the ranks; nan where one measure is constant, or a number is nan.
      low, high: its 95% interval, by Fisher's z with Bonett and Wright's variance (2000), (1 + rho^2 / 2) / (n - 3).
        A rho of +-1 has no finite z. Its interval ends there, and begins where that of the next possible rho does. On
        normal samples of 5 to 12 pairs the interval covered in 94% or more of 4,000 draws.
      p: the share of pairings of the same values whose rho is at least as far from 0: exact for up to 7 pairs, else
        that of 9,999 seeded permutations.
    """

    rho: float
    low: float
    high: float
    p: float

    @property
    def sign(self) -> int:
        """Return the sign of a significant correlation, and 0 where it is none."""
        return int(np.sign(self.rho)) if self.p <= SIGNIFICANCE else 0

    @property
    def brief(self) -> str:
        """Return the correlation and its p, by which it is judged, as text."""
        if math.isnan(self.rho):
            return "no rank correlation, as one of the two does not vary,"
        return f"rank correlation {self.rho:+.2f} (p = {self.p:.2g})"

    def __str__(self) -> str:
        """Return `brief` and the interval, which is approximate and may hold 0 beside a p below 5%."""
        interval = f"; 95% interval about {self.low:+.2f} to {self.high:+.2f})"
        return self.brief if math.isnan(self.rho) else f"{self.brief[:-1]}{interval}"


def rank_correlation(first: Sequence[float], second: Sequence[float]) -> Correlation:
    """Return Spearman's rank correlation of pairs of numbers, at least `FEWEST` of them.

    Args:
      first, second: the two measures of each thing, in the same order.
    """
    ranks = scipy.stats.rankdata([first, second], axis=1)
    if not np.ptp(ranks, axis=1).min() > 0:
        return Correlation(math.nan, -1.0, 1.0, 1.0)
    rho = float(np.corrcoef(ranks)[0, 1])
    found = scipy.stats.permutation_test(
        (ranks[0],),
        lambda x, axis: (x * ranks[1]).sum(axis=axis),
        permutation_type="pairings",
        vectorized=True,
        n_resamples=_RESAMPLES,
        batch=1_000,
        rng=np.random.default_rng(0),
    )
    return Correlation(rho, *_interval(rho, len(first)), min(1.0, float(found.pvalue)))


def _interval(rho: float, count: int) -> tuple[float, float]:
    largest = 1 - 12 / (count * (count**2 - 1))  # two neighbours in another order
    near = float(np.clip(rho, -largest, largest))
    half = 1.96 * math.sqrt((1 + near**2 / 2) / (count - 3))
    low, high = math.tanh(math.atanh(near) - half), math.tanh(math.atanh(near) + half)
    return (-1.0 if rho < -largest else low), (1.0 if rho > largest else high)
