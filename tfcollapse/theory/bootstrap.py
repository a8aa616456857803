"""Bootstrap intervals, and eq. (10) on the last rows of a run's metrics."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfcollapse.errors import ConfigError
from tfcollapse.theory import arguments

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Interval:
    """A bootstrap interval.

    Attributes:
      value: the statistic of the sample itself.
      low, high: the percentiles between which the share `level` of the resampled statistics lies.
    """

    value: float
    low: float
    high: float
    level: float


def late_gamma(metrics: Sequence[Row], share: float = 0.1, **options: Any) -> Interval:
    """Eq. (10) on one run's metrics.csv: gamma over the mean batch error of its last rows, minus 1, block-bootstrapped.

    Args:
      metrics: rows with `gamma` and `reconstruction_error`, in order of steps.
      share: of the rows, from the end.
      options: of `bootstrap`.
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
    """The percentile bootstrap interval of a statistic.

    Args:
      sample: [n, ...], n >= 2.
      block: resample runs of so many neighbours (moving blocks), for what is correlated in time.

    Raises:
      ConfigError: fewer than two values, NaN, or a level outside (0, 1).
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
