"""Compute Proposition 2: beyond a finite gamma the collapsed solution costs less than any use of a given decoder.

f is the data term of eq. (4) without 1/gamma, summed over data points. The KL is in nats, summed over data points too.
At one gamma the two costs of the proposition are f / gamma + 2 KL + n kappa and n d gamma-bar / gamma + n kappa. Both
have the further term n d log gamma.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from tfcollapse.errors import ConfigError
from tfcollapse.theory import arguments


class Response(NamedTuple):
    """The data term f and the KL (nats) of a posterior, both summed over data points.

    Example:
      >>> from tfcollapse.theory import thresholding
      >>> response = thresholding.Response(f=20.0, kl=4.0)
      >>> thresholding.point_gamma(response, ceiling=100.0)
      10.0
    """

    f: float
    kl: float


@dataclass(frozen=True)
class Crossing:
    """The gamma at which the collapsed solution becomes the cheaper one.

    Attributes:
      gamma: gamma', the largest (n d gamma-bar - f) / (2 KL) over posteriors. Below it some posterior costs less than
        the collapsed solution; above it none does. It is 0 where none ever does.
      history: gamma at each iteration, ascending.

    Example:
      >>> from tfcollapse.theory import thresholding
      >>> thresholding.Crossing(gamma=2.0, history=(0.5, 1.9, 2.0)).gamma
      2.0
    """

    gamma: float
    history: tuple[float, ...]


def direct_gamma(
    respond: Callable[[float], Response], ceiling: float, start: float, tolerance: float = 1e-9, most: int = 60
) -> Crossing:
    """Return the gamma' of Proposition 2 by comparing the two costs, with the posterior optimised again at each gamma.

    min_q f + 2 gamma KL is concave and does not fall in gamma, so it meets n d gamma-bar once. Dinkelbach's iteration
    gamma <- (n d gamma-bar - f) / (2 KL) climbs to that point. Where `respond` does not quite find the minimum, the
    result is a lower bound.

    Args:
      respond: a function from gamma to the `Response` of the best posterior for the decoder in question.
      ceiling: n d gamma-bar, the data term of the collapsed solution.
      start: a gamma to begin with, such as the trained one.
      tolerance: the relative change of gamma at which the iteration stops.
      most: the largest number of iterations.

    Raises:
      ConfigError: `start` or `ceiling` is not a finite number > 0.

    Example:
      >>> from tfcollapse.theory import affine, affine_decoder, thresholding
      >>> data = np.random.default_rng(0).normal(size=(50, 3)) * [2.0, 1.0, 0.1]
      >>> vae = affine.optimum(data, latent_dim=2, gamma=0.1)
      >>> def respond(gamma):
      ...     return affine_decoder.affine_response(vae.weights, vae.bias, data, gamma)
      >>> ceiling = np.square(data - data.mean(axis=0)).sum()
      >>> crossing = thresholding.direct_gamma(respond, ceiling, start=0.1)
      >>> bool(crossing.gamma > 0.1), list(crossing.history) == sorted(crossing.history)
      (True, True)
    """
    gamma, history = arguments.positive("start", start), list[float]()
    arguments.positive("ceiling", ceiling)
    for _ in range(most):
        response = respond(gamma)
        gained = ceiling - response.f
        if gained <= 0 or response.kl <= 0:
            return Crossing(history[-1] if history else 0.0, tuple(history))
        found = gained / (2 * response.kl)
        if history and found <= history[-1] * (1 + tolerance):
            return Crossing(max(found, history[-1]), (*history, found))
        history.append(found)
        gamma = found
    return Crossing(gamma, tuple(history))


def point_gamma(response: Response, ceiling: float) -> float:
    """Return the gamma above which the collapsed solution costs less than this one posterior; 0 where it always does.

    Args:
      response: the posterior's data term and its KL, which must be > 0.
      ceiling: n d gamma-bar, the data term of the collapsed solution.

    Example:
      >>> from tfcollapse.theory import thresholding
      >>> thresholding.point_gamma(thresholding.Response(f=20.0, kl=4.0), ceiling=100.0)
      10.0
    """
    return max(0.0, (ceiling - response.f) / (2 * response.kl))


@dataclass(frozen=True)
class Quadratic:
    """The quantities of eqs. (19) to (35) at an evaluation point, with one entry for each data point and latent.

    Attributes:
      lipschitz: L, the Lipschitz constant of the gradient of f.
      mean, sigma: u-tilde and v-tilde, [n kappa]; w-tilde is 1.
      mean_slope, sigma_slope: the derivatives of f by them, [n kappa].

    Example:
      >>> from tfcollapse.theory import affine, affine_decoder
      >>> data = np.random.default_rng(0).normal(size=(50, 3)) * [2.0, 1.0, 0.1]
      >>> vae = affine.optimum(data, latent_dim=2, gamma=0.1)
      >>> found = affine_decoder.affine_quadratic(vae.weights, vae.bias, data, gamma=0.1)
      >>> gamma = found.sufficient_gamma()
      >>> bool((found.reduced_slope(np.array([0.0, 0.5, 1.0]), gamma) > 0).all())
      True
    """

    lipschitz: float
    mean: np.ndarray
    sigma: np.ndarray
    mean_slope: np.ndarray
    sigma_slope: np.ndarray

    @property
    def y(self) -> np.ndarray:
        """Return y_j of eq. (33), [n kappa]."""
        return self.lipschitz / 2 * np.square(self.mean - self.mean_slope / self.lipschitz)

    @property
    def c(self) -> np.ndarray:
        """Return c_j, the coefficient on v^2 in eq. (26), [n kappa]."""
        return coefficient(self.sigma, self.sigma_slope, self.lipschitz)

    def sufficient_gamma(self) -> float:
        """Return a gamma from which eq. (35) is positive for every w, so that h^appr is lowest at w = 0.

        Each summand of (35) is positive for all w where gamma >= max(beta y_j / c_j, y_j / 2), with beta = L / 2.

        Raises:
          ConfigError: the decoder does not respond to some latent (c_j = 0): it is degenerate in the sense of section
            5.1.
        """
        if (self.c <= 0).any():
            raise ConfigError("sigma_slope: expected > 0 for every latent, as a non-degenerate decoder has; received 0")
        return float(np.maximum(self.lipschitz / 2 * self.y / self.c, self.y / 2).max())

    def reduced(self, w: np.ndarray, gamma: float) -> np.ndarray:
        """Return h^appr(w), eq. (33), for each entry of `w`.

        The sum runs over n kappa entries; the paper prints n d.
        """
        squares = np.square(np.asarray(w, np.float64))[..., None]
        return (self.y / (gamma + self.lipschitz / 2 * squares) + np.log(gamma + self.c * squares)).sum(axis=-1)

    def reduced_slope(self, w: np.ndarray, gamma: float) -> np.ndarray:
        """Return the derivative of h^appr by w^2, eq. (35), for each entry of `w`."""
        squares, beta = np.square(np.asarray(w, np.float64))[..., None], self.lipschitz / 2
        return (-beta * self.y / np.square(gamma + beta * squares) + self.c / (gamma + self.c * squares)).sum(axis=-1)


def bound(v: np.ndarray, at: np.ndarray, slope: np.ndarray, lipschitz: float) -> np.ndarray:
    """Return g, eq. (22): the largest value that f can rise to along v >= 0 from `at`.

    The slope of f at `at` is >= 0, and f never falls along v. g is infinite where v, `at` or the slope is negative.

    Args:
      v, at, slope: v, v-tilde and delta, arrays whose shapes broadcast.
      lipschitz: L, > 0.

    Example:
      >>> from tfcollapse.theory import thresholding
      >>> thresholding.bound(np.array([0.0, 1.0, 2.0]), at=1.0, slope=2.0, lipschitz=4.0)
      array([-0.5,  0. ,  4. ])
    """
    v, at, slope = (np.asarray(part, np.float64) for part in (v, at, slope))
    turning = at - slope / lipschitz
    inside = (v - at) * slope + lipschitz / 2 * np.square(v - at)
    value = np.where(v >= turning, inside, -np.square(slope) / (2 * lipschitz))
    return np.where((v >= 0) & (at >= 0) & (slope >= 0), value, np.inf)


def approximation(v: np.ndarray, at: np.ndarray, slope: np.ndarray, lipschitz: float) -> np.ndarray:
    """Return g^appr, eq. (26): a quadratic without a linear term that agrees with g at two points.

    The points are 0 and `at`, eqs. (27) and (28).

    Args:
      v, at, slope: v, v-tilde and delta, arrays whose shapes broadcast.
      lipschitz: L, > 0.

    Raises:
      ConfigError: L is not a finite number > 0.

    Example:
      >>> from tfcollapse.theory import thresholding
      >>> v = np.array([0.0, 1.0, 2.0])
      >>> thresholding.approximation(v, at=1.0, slope=2.0, lipschitz=4.0)
      array([-0.5,  0. ,  1.5])
    """
    v, at, slope = (np.asarray(part, np.float64) for part in (v, at, slope))
    first = -np.square(slope) / (2 * lipschitz)
    second = lipschitz * np.square(at) / 2 - slope * at
    constant = np.where(at - slope / lipschitz >= 0, first, second)
    value = constant + coefficient(at, slope, lipschitz) * np.square(v)
    return np.where((v >= 0) & (at >= 0) & (slope >= 0), value, np.inf)


def coefficient(at: np.ndarray, slope: np.ndarray, lipschitz: float) -> np.ndarray:
    """Return c_j, the coefficient on v^2 in eq. (26).

    Args:
      at, slope: v-tilde and delta, arrays whose shapes broadcast.
      lipschitz: L, > 0.

    Raises:
      ConfigError: L is not a finite number > 0.

    Example:
      >>> from tfcollapse.theory import thresholding
      >>> float(thresholding.coefficient(at=1.0, slope=2.0, lipschitz=4.0))
      0.5
    """
    arguments.positive("lipschitz", lipschitz)
    at, slope = np.asarray(at, np.float64), np.asarray(slope, np.float64)
    return np.where(at - slope / lipschitz >= 0, np.square(slope) / (2 * lipschitz * at**2), slope / at - lipschitz / 2)
