"""Compute bootstrap intervals, and compare gamma with its optimum, eq. (10), over the last rows of a run's metrics."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfcollapse.errors import ConfigError
from tfcollapse.theory import arguments

Row = Mapping[str, Any]

FEWEST = 5
"""The number of values from which on the percentile interval of their mean is given; of two it is their range."""


@dataclass(frozen=True)
class Interval:
    """A bootstrap interval.

    Attributes:
      value: the statistic of the sample itself.
      low, high: the percentiles between which the share `level` of the resampled statistics lies.
      level: the share, between 0 and 1.

    Example:
      >>> from tfcollapse.theory import bootstrap
      >>> interval = bootstrap.Interval(value=0.5, low=0.4, high=0.6, level=0.95)
      >>> interval.low < interval.value < interval.high
      True
    """

    value: float
    low: float
    high: float
    level: float


def late_gamma(metrics: Sequence[Row], share: float = 0.1, **options: Any) -> Interval:
    """Return the gap of eq. (10) at the end of one run: gamma over the mean batch error of the last rows, minus 1.

    The interval is block-bootstrapped, because neighbouring rows are correlated.

    Args:
      metrics: the rows of metrics.csv, with `gamma` and `reconstruction_error`, in order of steps.
      share: the share of the rows that is used, counted from the end.
      options: options of `bootstrap`.

    Raises:
      ConfigError: a share outside (0, 1], fewer than two rows, or rows that are not finite or all the same.

    Example:
      >>> from tfcollapse.theory import bootstrap
      >>> rows = [{"gamma": 0.011, "reconstruction_error": 0.010 + 1e-5 * (step % 3)} for step in range(100)]
      >>> round(bootstrap.late_gamma(rows).value, 3)
      0.099
    """
    if not 0 < share <= 1:
        raise ConfigError(f"share: expected > 0 and <= 1, received {share}")
    late = list(metrics)[-max(2, math.ceil(share * len(metrics))) :]
    pairs = arguments.points("metrics", [[float(row["gamma"]), float(row["reconstruction_error"])] for row in late])
    options = {"block": max(1, math.isqrt(len(late)))} | options
    return bootstrap(pairs, lambda sample: float(sample[:, 0].mean() / sample[:, 1].mean() - 1), **options)


def bootstrap(
    sample: Sequence[float] | np.ndarray,
    statistic: Callable[[np.ndarray], float] = lambda values: float(np.mean(values)),
    *,
    level: float = 0.95,
    resamples: int = 2_000,
    block: int = 1,
    seed: int = 0,
) -> Interval:
    """Return the percentile bootstrap interval of a statistic.

    Args:
      sample: [n, ...], n >= 2.
      statistic: a function from a sample to a number; by default the mean.
      level: the share of the resampled statistics inside the interval.
      resamples: the number of resampled statistics.
      block: the number of neighbours that are resampled together (moving blocks), for values that are correlated in
        time.
      seed: the seed of the resampling.

    Raises:
      ConfigError: fewer than two values, a value that is not finite, a level outside (0, 1), or a block that is not
        between 1 and n.

    Example:
      >>> from tfcollapse.theory import bootstrap
      >>> interval = bootstrap.bootstrap([1.0, 2.0, 3.0, 4.0, 5.0])
      >>> interval.value, interval.low < 3.0 < interval.high
      (3.0, True)
    """
    sample = np.asarray(sample, np.float64)
    if sample.ndim == 0 or len(sample) < 2 or not np.isfinite(sample).all():
        raise ConfigError(f"sample: expected at least two finite values, received {np.ravel(sample)[:4].tolist()}")
    if not 0 < level < 1:
        raise ConfigError(f"level: expected between 0 and 1, received {level}")
    n = len(sample)
    block = arguments.whole("block", block, 1, n, "values")
    random = np.random.default_rng(seed)
    firsts = random.integers(0, n - block + 1, (resamples, math.ceil(n / block)))
    places = (firsts[..., None] + np.arange(block)).reshape(resamples, -1)[:, :n]
    values = [statistic(sample[chosen]) for chosen in places]
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return Interval(statistic(sample), float(low), float(high), level)
