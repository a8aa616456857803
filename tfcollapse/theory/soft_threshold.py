"""Compute exact Gaussian expectations of the soft-threshold decoder, eq. (5).

They hold for any data set and any number of latents. Coordinate j of the decoder for data point i is pi_alpha(u) + b_j
with u = W_j . z, and u is normal for all n, d and kappa. So the expected squared error of every coordinate is a sum of
Gaussian tails, eqs. (11) to (13). It needs no sampling and no quadrature.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr

from tfcollapse.theory import arguments

_TINY = 1e-150
_ROOT_TWO_PI = np.sqrt(2 * np.pi)


def soft_threshold(u: np.ndarray, alpha: float) -> np.ndarray:
    """Return pi_alpha(u) = sign(u) max(|u| - alpha, 0), eq. (5).

    Args:
      u: of any shape.
      alpha: the threshold, >= 0.

    Raises:
      ConfigError: alpha < 0.

    Example:
      >>> from tfcollapse.theory import soft_threshold
      >>> soft_threshold.soft_threshold(np.array([-2.0, 0.5, 3.0]), alpha=1.0)
      array([-1.,  0.,  2.])
    """
    return np.sign(u) * np.maximum(np.abs(u) - arguments.non_negative("alpha", alpha), 0.0)


class Error(NamedTuple):
    """E[(c - pi_alpha(u))^2] for u ~ N(m, v), and its derivatives. All arrays have the shape of c, m and v broadcast.

    The heat equation gives the derivatives in v from those in m: d/dv = 1/2 d^2/dm^2. So the four orders in m are
    enough.

    Attributes:
      value: the expectation.
      m1, m2, m3, m4: its derivatives of orders 1 to 4 with respect to m.
      output: E[pi_alpha(u)].
      passes: P(|u| > alpha), which is the derivative of `output` with respect to m.
      output_m2: the second derivative of `output` with respect to m.

    Example:
      >>> from tfcollapse.theory import soft_threshold
      >>> error = soft_threshold.expected_error(c=1.0, m=0.0, v=1.0, alpha=2.0)
      >>> float(error.passes.round(4)), float(error.output)
      (0.0455, 0.0)
    """

    value: np.ndarray
    m1: np.ndarray
    m2: np.ndarray
    m3: np.ndarray
    m4: np.ndarray
    output: np.ndarray
    passes: np.ndarray
    output_m2: np.ndarray


def expected_error(c: ArrayLike, m: ArrayLike, v: ArrayLike, alpha: float) -> Error:
    """Return the expected squared error of one output coordinate, by the tail formulas of Appendix B.

    Every term is a product with a tail. So a gradient of 1e-24 is right to many digits; it is not a difference of
    numbers near 1.

    Args:
      c: x_j - b_j.
      m, v: the mean and the variance of u; v >= 0. The shapes of c, m and v must broadcast.
      alpha: the threshold, >= 0.

    Raises:
      ConfigError: alpha < 0.

    Example:
      >>> from tfcollapse.theory import soft_threshold
      >>> exact = soft_threshold.expected_error(c=1.0, m=0.5, v=1.0, alpha=0.3).value
      >>> u = np.random.default_rng(0).normal(0.5, 1.0, 100_000)
      >>> print(abs(exact - np.square(1.0 - soft_threshold.soft_threshold(u, alpha=0.3)).mean()) < 0.02)
      True
    """
    c, m, v = np.broadcast_arrays(*(np.asarray(a, np.float64) for a in (c, m, v)))
    arguments.non_negative("alpha", alpha)
    s = np.sqrt(v + _TINY)
    with np.errstate(over="ignore", under="ignore"):
        up, down = (alpha - m) / s, (alpha + m) / s  # u > alpha where eps > up; u < -alpha where eps < -down
        upper, lower = ndtr(-up), ndtr(-down)
        density_up, density_down = _density(up), _density(down)
        moment_up, moment_down = _times(up, density_up), _times(down, density_down)
        # The three parts of B.1: above alpha, below -alpha, and the dead zone between, where the output is 0.
        above, below = c - m + alpha, c - m - alpha
        dead = np.where(m >= 0, ndtr(up) - ndtr(-down), ndtr(down) - ndtr(-up))
        value = c**2 * dead + above**2 * upper + below**2 * lower
        value = value - 2 * s * (above * density_up - below * density_down)
        value = value + v * (upper + lower + moment_up + moment_down)
        output = s * (density_up - density_down) - (alpha - m) * upper + (alpha + m) * lower
        passes = upper + lower
        first = -2 * (above * upper + below * lower - s * (density_up - density_down))
        difference, moments = (density_up - density_down) / s, (moment_up + moment_down) / s**2
        thirds = (_times(up, moment_up) - density_up - _times(down, moment_down) + density_down) / s**3
        second = 2 * (passes - c * difference)
        third = 2 * (difference - c * moments)
        fourth = 2 * (moments - c * thirds)
    return Error(value, first, second, third, fourth, output, passes, difference)


def _density(h: np.ndarray) -> np.ndarray:
    return np.exp(-0.5 * np.square(np.minimum(np.abs(h), 1e100))) / _ROOT_TWO_PI


def _times(h: np.ndarray, density: np.ndarray) -> np.ndarray:
    """Return h times the density, and 0 where the density is 0: never infinity times 0."""
    return np.where(density == 0, 0.0, np.where(density == 0, 0.0, h) * density)
