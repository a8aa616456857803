"""Compare a sample with another one or with a constant, and say whether their difference is beyond the noise."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy  # whose parts are loaded when they are first used

from tfcollapse.records.seed_noise import LEVEL, noise_of

CLOSE = 0.1
"""The share of the latent dimensions by which two counts of units must differ to count as different."""


@dataclass(frozen=True)
class Comparison:
    """How far the mean of a sample lies from its reference.

    Attributes:
      relative: the difference of the means, as a share of the reference.
      low, high: the 95% interval of `relative`; nan where no side has several values.
      sign: 1 where the sample is above its reference beyond the noise, -1 where it is below, 0 inside the noise.
    """

    relative: float
    low: float
    high: float
    sign: int

    def __str__(self) -> str:
        text = f"{self.relative:+.1%}"
        return text if math.isnan(self.low) else f"{text} (95% {self.low:+.1%} to {self.high:+.1%})"


def compare(sample: Sequence[float], reference: Sequence[float] | float, spread: float, places: int = 1) -> Comparison:
    """Compare a sample with another sample, or with a constant that has no noise.

    Several seeds show their noise: the difference counts where Welch's 95% interval excludes 0 (against a constant,
    Student's). The seeds are not paired. The same seed draws other weights for a network of another depth, and two
    seeds, which leave one degree of freedom to pairs, leave about two to Welch. A single run beside several seeds is
    taken to have their standard deviation: its interval is Student's. Where no side has several seeds, no noise is
    shown, and the difference counts from `noise_of(spread)` on.

    A statement that must hold at each of several places, with the sample above its reference, is contradicted by one
    place below. So that chance contradicts it in 5% of cases at most, and not at each place, a difference below counts
    where the interval of 1 - 5% / `places` excludes 0 (Bonferroni).

    Args:
      sample: the values, one for each seed, at least one.
      reference: the values that they are compared with, at least one, or a constant.
      spread: what single runs are taken to scatter by, as `spread_of` returns it for the networks that are compared.
      places: how many comparisons are made for one such statement.
    """
    against = float(np.mean(reference))
    difference = float(np.mean(sample)) - against
    level = LEVEL if difference > 0 else 1 - (1 - LEVEL) / places
    if max(len(sample), np.size(reference)) < 2:
        low = high = math.nan
        counts = abs(difference) >= _chance(sample, reference, spread, level)
    else:
        low, high = _interval(sample, reference, LEVEL)
        strict = _interval(sample, reference, level)
        counts = strict[0] > 0 or strict[1] < 0
    return Comparison(
        relative=_share(difference, against),
        low=_share(low, against),
        high=_share(high, against),
        sign=int(np.sign(difference)) if counts else 0,
    )


def compare_units(sample: Sequence[float], reference: Sequence[float], latent_dim: int) -> int:
    """Compare two samples of counts of active units, and return the sign of a difference that counts.

    One unit more or less says nothing, and seeds with equal counts show no noise. So the difference must be at least
    `CLOSE` of the latent dimensions, and beyond the noise as `compare` says. The noise of single counts is not known,
    and for them that tenth alone decides.

    Args:
      sample, reference: the counts, one for each seed, at least one each.
      latent_dim: the number of latent dimensions.
    """
    far = abs(float(np.mean(sample)) - float(np.mean(reference))) >= CLOSE * latent_dim
    return compare(sample, reference, spread=0.0).sign if far else 0


def _chance(sample: Sequence[float], reference: Sequence[float] | float, spread: float, level: float) -> float:
    """Return the difference from which on single runs count as different."""
    mean, against = float(np.mean(sample)), float(np.mean(reference))
    if np.ndim(reference) == 0:
        return abs(noise_of(spread, runs=1, level=level) * mean)
    return abs(noise_of(spread, level=level) * (mean + against) / 2)


def _interval(sample: Sequence[float], reference: Sequence[float] | float, level: float) -> tuple[float, float]:
    """Return the interval of the difference of the means that holds with probability `level`."""
    if _equal(sample, reference):
        return (float(np.mean(sample) - np.mean(reference)),) * 2
    if np.ndim(reference) == 0:
        found = scipy.stats.ttest_1samp(sample, 0.0).confidence_interval(level)
        return float(found.low - reference), float(found.high - reference)
    single = 1 in (len(sample), np.size(reference))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of one sample whose values are equal, as counts often are
        found = scipy.stats.ttest_ind(sample, reference, equal_var=single).confidence_interval(level)
    return float(found.low), float(found.high)


def _equal(*samples: Sequence[float] | float) -> bool:
    """Return whether each sample holds equal values up to rounding, so that it has no noise to estimate."""
    return all(np.ptp(sample) <= 1e-12 * np.abs(sample).max() for sample in map(np.atleast_1d, samples))


def _share(value: float, of: float) -> float:
    return value / abs(of) if of else value * math.inf if value else 0.0
