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
    """The data term f and the KL (nats) of a posterior, both summed over data points."""

    f: float
    kl: float


@dataclass(frozen=True)
class Crossing:
    """The gamma at which the collapsed solution becomes the cheaper one.

    Attributes:
      gamma: gamma', the largest (n d gamma-bar - f) / (2 KL) over posteriors. Below it some posterior costs less than
        the collapsed solution; above it none does. It is 0 where none ever does.
      history: gamma at each iteration, ascending.
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
    """
    return max(0.0, (ceiling - response.f) / (2 * response.kl))


@dataclass(frozen=True)
class Quadratic:
    """The quantities of eqs. (19) to (35) at an evaluation point, with one entry for each data point and latent.

    Attributes:
      lipschitz: L, the Lipschitz constant of the gradient of f.
      mean, sigma: u-tilde and v-tilde, [n kappa]; w-tilde is 1.
      mean_slope, sigma_slope: the derivatives of f by them, [n kappa].
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
    """
    arguments.positive("lipschitz", lipschitz)
    at, slope = np.asarray(at, np.float64), np.asarray(slope, np.float64)
    return np.where(at - slope / lipschitz >= 0, np.square(slope) / (2 * lipschitz * at**2), slope / at - lipschitz / 2)


def affine_response(weights: np.ndarray, bias: np.ndarray, data: np.ndarray, gamma: float) -> Response:
    """Return f and the KL of the best posterior of a FIXED affine decoder at this gamma, in closed form.

    Args:
      weights: [d, kappa].
      bias: [d].
      data: [n, d].
      gamma: the decoder variance, > 0.

    Raises:
      ConfigError: unusable data, weights of another shape, or gamma <= 0.
    """
    mean, variance = affine_posterior(weights, bias, data, gamma)
    residual = data - bias - mean @ weights.T
    f = np.square(residual).sum() + len(data) * (variance * np.square(weights).sum(axis=0)).sum()
    kl = 0.5 * (np.square(mean).sum() + len(data) * (variance - np.log(variance) - 1).sum())
    return Response(float(f), float(kl))


def affine_posterior(
    weights: np.ndarray, bias: np.ndarray, data: np.ndarray, gamma: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the means [n, kappa] and the variances [kappa] of the best posterior of a fixed affine decoder.

    The arguments and errors are those of `affine_response`.
    """
    data = arguments.points("data", data)
    weights = arguments.finite("weights", weights, data.shape[1], None)
    arguments.positive("gamma", gamma)
    inner = weights.T @ weights + gamma * np.eye(weights.shape[1])
    return (data - bias) @ np.linalg.solve(inner, weights.T).T, gamma / (np.square(weights).sum(axis=0) + gamma)


def affine_quadratic(weights: np.ndarray, bias: np.ndarray, data: np.ndarray, gamma: float) -> Quadratic:
    """Return the quantities of eqs. (19) to (35) for a fixed affine decoder at its best posterior.

    f is quadratic here, so that L is exact. Units whose column is zero send nothing and are left out.

    The arguments and errors are those of `affine_response`.
    """
    live = np.square(weights).sum(axis=0) > 0
    weights = weights[:, live]
    mean, variance = affine_posterior(weights, bias, data, gamma)
    sigma = np.broadcast_to(np.sqrt(variance), mean.shape)
    slope = -2 * (data - bias - mean @ weights.T) @ weights
    sigma_slope = 2 * sigma * np.square(weights).sum(axis=0)
    lipschitz = 2 * float(np.linalg.eigvalsh(weights.T @ weights)[-1])
    return Quadratic(lipschitz, mean.ravel(), sigma.ravel(), slope.ravel(), sigma_slope.ravel())
