"""Compare a sample with another one or with a constant, and say whether their difference is beyond the noise."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy  # whose parts are loaded when they are first used

from tfcollapse.records.seed_noise import noise_of

CLOSE = 0.1
"""The share of the latent dimensions by which two counts of units must differ to count as different."""

_LEVEL = 0.95


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


def compare(sample: Sequence[float], reference: Sequence[float] | float, spread: float) -> Comparison:
    """Compare a sample with another sample, or with a constant that has no noise.

    Several seeds show their noise: the difference counts where Welch's 95% interval excludes 0 (against a constant,
    Student's). The seeds are not paired. The same seed draws other weights for a network of another depth, and two
    seeds, which leave one degree of freedom to pairs, leave about two to Welch. A single run beside several seeds is
    taken to have their standard deviation: its interval is Student's. Where no side has several seeds, no noise is
    shown, and the difference counts from `noise_of(spread)` on.

    Args:
      sample: the values, one for each seed, at least one.
      reference: the values that they are compared with, at least one, or a constant.
      spread: what single runs are taken to scatter by, as `spread_of` returns it for the networks that are compared.
    """
    mean = float(np.mean(sample))
    against = float(np.mean(reference))
    difference = mean - against
    if max(len(sample), np.size(reference)) < 2:
        low = high = math.nan
        chance = noise_of(spread, runs=1) * mean if np.ndim(reference) == 0 else noise_of(spread) * (mean + against) / 2
        counts = abs(difference) >= abs(chance)
    else:
        low, high = (difference, difference) if _equal(sample, reference) else _interval(sample, reference)
        counts = low > 0 or high < 0
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


def _interval(sample: Sequence[float], reference: Sequence[float] | float) -> tuple[float, float]:
    """Return the 95% interval of the difference of the means."""
    if np.ndim(reference) == 0:
        found = scipy.stats.ttest_1samp(sample, 0.0).confidence_interval(_LEVEL)
        return float(found.low - reference), float(found.high - reference)
    single = 1 in (len(sample), np.size(reference))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of one sample whose values are equal, as counts often are
        found = scipy.stats.ttest_ind(sample, reference, equal_var=single).confidence_interval(_LEVEL)
    return float(found.low), float(found.high)


def _equal(*samples: Sequence[float] | float) -> bool:
    """Return whether each sample holds equal values up to rounding, so that it has no noise to estimate."""
    return all(np.ptp(sample) <= 1e-12 * np.abs(sample).max() for sample in map(np.atleast_1d, samples))


def _share(value: float, of: float) -> float:
    return value / abs(of) if of else value * math.inf if value else 0.0
