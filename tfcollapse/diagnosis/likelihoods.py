"""Define the likelihoods of a decoder: the variance of a number given its mean, and the negative log-likelihood.

All of them are exponential families (or treated as one): the derivative of the negative log-likelihood by the mean is
-(x - mean) / V(mean), with the variance function V. The diagnosis needs no more of a likelihood than this. With the
residual r = x - mean, a dead unit that moves the natural parameters along v lowers the loss if and only if

  v' E[r r'] v > beta * v' diag(E[V(mean)]) v,

where beta is the weight on the KL term, all reductions of the loss included. For a Gaussian V = gamma; the code takes
V = 1 and counts gamma to the weight, so that section 4's "lambda > gamma" remains (times beta).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import numpy as np
from scipy.special import expit

from tfcollapse.config.annotations import arguments_checked
from tfcollapse.errors import ConfigError, shown

_LEAST = 1e-7
"""Means are kept this far from the ends of their range, where a logarithm is infinite."""

Elementwise = Callable[[np.ndarray], np.ndarray]


@arguments_checked
@dataclasses.dataclass(frozen=True)
class Likelihood:
    """The distribution of every number of an example, given the decoder's output.

    A likelihood of one's own needs its name, `variance` and `negative_log_likelihood`.

    Attributes:
      name: as it is shown.
      variance: V, the mean to the variance, elementwise on [n, d].
      negative_log_likelihood: (x, mean) to nats, elementwise on [n, d]; terms in x alone may be left out.
      support: the least and the largest number that can be observed.
      link: what a decoder's output is that is the natural parameter: "logits" or "log_mean"; "mean" where there is
        none.

    Example:
      >>> def loss(x, mean):
      ...     return np.log(mean) + x / mean
      >>> exponential = tc.Likelihood("exponential", np.square, loss, support=(0.0, np.inf))
      >>> exponential.variance(np.array([0.5, 2.0]))  # `tc.diagnose` takes it as likelihood=exponential
      array([0.25, 4.  ])
    """

    name: str
    variance: Elementwise
    negative_log_likelihood: Callable[[np.ndarray, np.ndarray], np.ndarray]
    support: tuple[float, float] = (-math.inf, math.inf)
    link: str = "mean"

    @property
    def has_gamma(self) -> bool:
        """Say whether a variance gamma belongs to it, as to the Gaussian alone."""
        return self.name == "gaussian"


@dataclasses.dataclass(frozen=True)
class Link:
    """What turns a decoder's output into the mean.

    Attributes:
      mean: the output to the mean, elementwise.
      slope: the mean to its derivative by the output, elementwise.
    """

    mean: Elementwise
    slope: Elementwise


LINKS = {
    "mean": Link(lambda output: output, np.ones_like),
    "logits": Link(expit, lambda mean: mean * (1.0 - mean)),
    "log_mean": Link(lambda output: np.exp(np.minimum(output, 80.0)), lambda mean: mean),
}
"""What a decoder's output can be, by its name."""


def _inside(mean: np.ndarray) -> np.ndarray:
    """Return probabilities kept inside (0, 1)."""
    return np.clip(mean, _LEAST, 1.0 - _LEAST)


def _above_zero(mean: np.ndarray) -> np.ndarray:
    """Return means kept above 0."""
    return np.maximum(mean, _LEAST)


def _cross_entropy(x: np.ndarray, mean: np.ndarray) -> np.ndarray:
    mean = _inside(mean)
    return -x * np.log(mean) - (1.0 - x) * np.log1p(-mean)


GAUSSIAN = Likelihood("gaussian", np.ones_like, lambda x, mean: 0.5 * np.square(x - mean))
"""Variance gamma; `variance` and the negative log-likelihood are those at gamma = 1."""
BERNOULLI = Likelihood(
    "bernoulli", lambda mean: _inside(mean) * (1.0 - _inside(mean)), _cross_entropy, (0.0, 1.0), "logits"
)
"""Binary cross-entropy. On numbers between 0 and 1 its variance is larger than that of the data."""
POISSON = Likelihood(
    "poisson", _above_zero, lambda x, mean: mean - x * np.log(_above_zero(mean)), (0.0, math.inf), "log_mean"
)
"""Counts whose variance is their mean."""


@arguments_checked
def negative_binomial(theta: float | np.ndarray) -> Likelihood:
    """Return the likelihood of counts with variance mean + mean^2 / theta.

    Args:
      theta: the inverse dispersion, > 0: a number, or one for each number of an example, [d].

    Raises:
      ConfigError: theta is not > 0.

    Example:
      >>> counts = tc.negative_binomial(theta=2.0)
      >>> counts.variance(np.array([1.0, 4.0]))
      array([ 1.5, 12. ])
    """
    given = np.asarray(theta)
    if given.dtype.kind not in "iuf" or not given.size or not (np.isfinite(given) & (given > 0)).all():
        raise ConfigError(f"theta: expected numbers > 0, received {shown(theta)}")
    theta = given.astype(np.float64)

    def negative_log_likelihood(x: np.ndarray, mean: np.ndarray) -> np.ndarray:
        mean = _above_zero(mean)
        return (theta + x) * np.log(theta + mean) - x * np.log(mean) - theta * np.log(theta)

    def variance(mean: np.ndarray) -> np.ndarray:
        return _above_zero(mean) * (1.0 + _above_zero(mean) / theta)

    return Likelihood("negative binomial", variance, negative_log_likelihood, (0.0, math.inf), "log_mean")


def score(
    likelihood: Likelihood, x: np.ndarray, mean: np.ndarray, log_variance: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return the score of every number and its expected information, float64 [n, d] each.

    The score is the derivative of the log-likelihood by the natural parameter, x - mean; its variance is V(mean). Where
    the decoder has variances of its own they are those by the mean: (x - mean) / variance and 1 / variance.

    Args:
      x, mean: [n, d].
      log_variance: [n, d], of a decoder with variances of its own.
    """
    mean = mean.astype(np.float64)
    residual = x - mean
    if log_variance is None:
        return residual, likelihood.variance(mean)
    precision = np.exp(-log_variance.astype(np.float64))
    return residual * precision, precision


def negative_log_likelihoods(
    likelihood: Likelihood, x: np.ndarray, mean: np.ndarray, log_variance: np.ndarray | None = None
) -> np.ndarray:
    """Return the negative log-likelihood of every example in nats, summed over numbers, float64 [n].

    A Gaussian's is that at gamma = 1, without d / 2 log 2 pi, where the decoder has no variances of its own.

    Args:
      x, mean: [n, d].
      log_variance: [n, d], of a decoder with variances of its own.
    """
    mean = mean.astype(np.float64)
    if log_variance is None:
        return likelihood.negative_log_likelihood(x.astype(np.float64), mean).sum(axis=1)
    log_variance = log_variance.astype(np.float64)
    return 0.5 * (np.square(x - mean) * np.exp(-log_variance) + log_variance).sum(axis=1)


_BY_NAME = {likelihood.name: likelihood for likelihood in (GAUSSIAN, BERNOULLI, POISSON)}


NAMES = tuple(_BY_NAME)
"""Names that stand for a likelihood."""


def named(likelihood: str | Likelihood) -> Likelihood:
    """Return the likelihood of a name, or the likelihood itself.

    Raises:
      ConfigError: no likelihood has this name.
    """
    if isinstance(likelihood, Likelihood):
        return likelihood
    if likelihood == "negative_binomial":
        raise ConfigError(
            "likelihood: expected theta with the negative binomial, received its name alone: write "
            "tfcollapse.negative_binomial(theta)"
        )
    if likelihood not in _BY_NAME:
        raise ConfigError(
            f"likelihood: expected one of {', '.join(_BY_NAME)}, or a tfcollapse.Likelihood, received {likelihood!r}"
        )
    return _BY_NAME[likelihood]
