"""Measure the basin of (7) for Proposition 1, jointly in all parameters: how wide and how deep it is.

gamma and b are at their optimum throughout, which only lowers the energy. What remains is, relative to (7),

  F(W, mu, sigma) = n d log(1 + y) + sum_ik (mu_ik^2 + sigma_ik^2 - log sigma_ik^2 - 1).

Here y is the relative change of the squared error. F = 0 at (7) and for every W that sends no signal. F and all other
energies are those of eq. (6): nats times two, summed over data points.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.optimize

from tfcollapse.errors import ConfigError
from tfcollapse.theory import arguments
from tfcollapse.theory.local_minimum import PAPER_DATA, SoftThresholdVAE, collapsed, energy, gradient, hessian

FOLD = 1.16
"""The largest alpha at which the symmetric slice has a pass out of (7)."""

_PARTIAL_AT_ONE = (1.12, 0.5, float(np.log(0.87)))
"""W, mu and log sigma near the second bad minimum at alpha = 1."""
_LOWER = -1e-10
"""An energy counts as lower than that of (7) where F is below this value, two orders of magnitude above round-off."""


def completed(
    weights: np.ndarray, mean: np.ndarray, sigma: np.ndarray, data: np.ndarray, alpha: float
) -> SoftThresholdVAE:
    """Return the parameters with b and gamma at their optimum given the others.

    Args:
      weights: W, [d, latent_dim].
      mean, sigma: mu_z and sigma_z, n latent_dim numbers each.
      data: [n, d].
      alpha: the threshold, >= 0.

    Raises:
      ConfigError: alpha < 0.

    Example:
      >>> from tfcollapse.theory import basin, local_minimum
      >>> data = local_minimum.PAPER_DATA
      >>> vae = basin.completed(np.full((2, 1), 0.5), np.array([1.0, -1.0]), np.ones(2), data, alpha=1.0)
      >>> vae.bias, round(vae.gamma, 3)
      (array([0., 0.]), 0.936)
    """
    n, d = data.shape
    shape = (n, weights.shape[1])
    draft = SoftThresholdVAE(weights, np.zeros(d), 1.0, mean.reshape(shape), sigma.reshape(shape))
    bias = (data - draft.errors(data, alpha).output).mean(axis=0)
    draft = SoftThresholdVAE(weights, bias, 1.0, draft.mean, draft.sigma)
    return SoftThresholdVAE(weights, bias, float(draft.errors(data, alpha).value.mean()), draft.mean, draft.sigma)


def relative_energy(
    vector: np.ndarray, data: np.ndarray, alpha: float, latent_dim: int = 1
) -> tuple[float, np.ndarray]:
    """Return F and its gradient at a point.

    Args:
      vector: W, mu and log sigma, laid out one after another: [d latent_dim + 2 n latent_dim].
      data: [n, d].
      alpha: the threshold, >= 0.
      latent_dim: the number of latents.

    Example:
      >>> from tfcollapse.theory import basin, local_minimum
      >>> data = local_minimum.PAPER_DATA
      >>> value, slope = basin.relative_energy(np.zeros(6), data, alpha=1.0)  # at (7): W, mu and log sigma are 0
      >>> value, bool(np.abs(slope).max() < 1e-12)
      (0.0, True)
    """
    n, d = data.shape
    weights, mean, log_sigma = np.split(vector, np.cumsum([d * latent_dim, n * latent_dim]))
    vae = completed(weights.reshape(d, latent_dim), mean, np.exp(log_sigma), data, alpha)
    slope = gradient(vae, data, alpha)
    value = energy(vae, data, alpha) - energy(collapsed(data, latent_dim), data, alpha)
    # The envelope theorem: b and gamma are at their optimum, so only the other derivatives count.
    return value, np.concatenate([slope.weights.ravel(), slope.mean.ravel(), (slope.sigma * vae.sigma).ravel()])


def escape_radius(alpha: float, data: np.ndarray = PAPER_DATA, starts: int = 4, seed: int = 0) -> float:
    """Return the smallest radius r within which a search finds an energy below that of (7).

    The search is over |W_j|, |mu_i|, |sigma_i - 1| <= r, for one latent. Descents start at random points and at corners
    of this box, and r is bisected. The result is an upper bound on the radius of the basin; `certified_radius`
    is a lower bound.

    Args:
      alpha: the threshold, >= 0.
      data: [n, d].
      starts: the number of random starts.
      seed: the seed of the random starts.

    Raises:
      ConfigError: alpha < 0, or unusable data.

    Example:
      >>> from tfcollapse.theory import basin
      >>> f"{basin.escape_radius(alpha=1.0, starts=1):.1f}"
      '1.0'
    """
    data = arguments.points("data", data)
    arguments.non_negative("alpha", alpha)
    low, high = 0.0, 1.0
    while _lowest(high, alpha, data, starts, seed) >= _LOWER:
        low, high = high, 2 * high
    while high - low > 1e-3 * high and high > 1e-6:
        middle = (low + high) / 2
        escapes = _lowest(middle, alpha, data, starts, seed) < _LOWER
        low, high = (low, middle) if escapes else (middle, high)
    return high


def barrier_bound(alpha: float, data: np.ndarray = PAPER_DATA, starts: int = 2, seed: int = 0) -> float:
    """Return how far the energy must rise, at the least, on any way out of (7), as a search finds it.

    There is one latent. Every way out crosses the surface of the box |W_j|, |mu_i|, |sigma_i - 1| <= r. So the lowest
    energy on that surface is such a bound; the result is the best bound over several r. The bound is an energy above
    that of (7), in the units of eq. (6).

    Args:
      alpha: the threshold, > 0.
      data: [n, d].
      starts: the number of random starts of each search.
      seed: the seed of the random starts.

    Raises:
      ConfigError: alpha <= 0, or unusable data.

    Example:
      >>> from tfcollapse.theory import basin
      >>> f"{basin.barrier_bound(alpha=1.0, starts=0):.3f}"
      '0.023'
    """
    data = arguments.points("data", data)
    arguments.positive("alpha", alpha)
    radii = escape_radius(alpha, data, starts, seed) * np.linspace(0.6, 0.98, 12)
    return float(max(_lowest_on_surface(radius, alpha, data, starts, seed) for radius in radii))


def _lowest_on_surface(radius: float, alpha: float, data: np.ndarray, starts: int, seed: int) -> float:
    """Return the lowest F found on the surface of the box.

    The search covers the faces W_j = r; those of -r are their mirror images. On the faces of mu and sigma the KL alone
    is about r^2.
    """
    faces = [_lowest(radius, alpha, data, starts, seed, face=j) for j in range(data.shape[1])]
    return min([*faces, radius**2, radius - np.log1p(radius)])


def _lowest(radius: float, alpha: float, data: np.ndarray, starts: int, seed: int, face: int | None = None) -> float:
    """Return the lowest F found in the box, or on its face W_face = radius.

    The search ends at the first value below _LOWER.
    """
    n, d = data.shape
    narrow = np.log(max(1 - radius, 1e-6))
    bounds = [(-radius, radius)] * (d + n) + [(narrow, np.log1p(radius))] * n
    if face is not None:
        bounds[face] = (radius, radius)
    lower, upper = np.array(bounds).T
    random = np.random.default_rng(seed)
    signs = np.sign((data - data.mean(axis=0)) @ np.ones(d))
    # Three corners: a signal that just passes, the largest signal in the box, and one that exceeds alpha without noise.
    points = [random.uniform(lower, upper) for _ in range(starts)]
    for share, reach, log_sigma in ((0.3, radius, 0.0), (1.0, radius, narrow), (1.0, np.sqrt(1 + alpha), narrow)):
        size = min(reach, radius)
        points.insert(0, np.concatenate([np.full(d, size), share * size * signs, np.full(n, log_sigma)]))
    if face is not None:  # a start where W has this coordinate alone
        points.insert(0, np.concatenate([radius * np.eye(d)[face], 0.1 * radius * signs, np.zeros(n)]))
    lowest = np.inf
    for point in points:
        found = scipy.optimize.minimize(
            relative_energy,
            np.clip(point, lower, upper),
            args=(data, alpha),
            jac=True,
            method="L-BFGS-B",
            bounds=bounds,
        )
        lowest = min(lowest, float(found.fun))
        if lowest < _LOWER:
            break
    return lowest


@dataclass(frozen=True)
class Pass:
    """A stationary point of eq. (6) on the symmetric slice of the paper's data.

    Attributes:
      height: its energy above that of (7), eq. (6).
      weight, mean, sigma: W_1 = W_2, mu_1 = -mu_2 and sigma_1 = sigma_2 at the point.
      negative: the number of negative eigenvalues of the Hessian over all nine parameters: 1 at a mountain pass, 0 at a
        minimum.
      slope: the largest absolute derivative that remains.

    Example:
      >>> from tfcollapse.theory import basin
      >>> place = basin.mountain_pass(alpha=0.1)
      >>> place.negative, place.slope < 1e-9
      (1, True)
    """

    height: float
    weight: float
    mean: float
    sigma: float
    negative: int
    slope: float


def mountain_pass(alpha: float) -> Pass:
    """Return the pass on the symmetric slice W_1 = W_2 = w, mu_1 = -mu_2, sigma_1 = sigma_2 of the paper's two points.

    As alpha -> 0, w = 0.6501 alpha, mu = 0.1612 alpha and log sigma = -0.0130 alpha^2: these are the root of the
    limiting equations. From there the root is followed as alpha grows. `Pass.negative` tells whether it is a pass in
    all nine parameters.

    Args:
      alpha: the threshold, > 0 and at most 1.16.

    Raises:
      ConfigError: alpha <= 0, where (7) is itself a saddle; or alpha > 1.16, where the pass does not exist on this
        slice, because it has merged with the second local minimum behind it.

    Example:
      >>> from tfcollapse.theory import basin
      >>> [f"{basin.mountain_pass(alpha).height:.2g}" for alpha in (0.1, 0.2)]  # grows like alpha^2
      ['0.00018', '0.00073']
    """
    if arguments.positive("alpha", alpha) > FOLD:
        raise ConfigError(f"alpha: expected <= {FOLD}, where the symmetric slice has a pass, received {alpha}")
    first = min(alpha, 0.1)
    steps = np.geomspace(first, alpha, 1 + int(np.ceil(np.log(alpha / first) / 0.05)))
    point = np.array([0.6501 * first, 0.1612 * first, -0.0130 * first**2])
    for step in steps:
        point = scipy.optimize.root(lambda at, step=step: _slice(at, step)[1] / step, point, tol=1e-13).x
    return _critical(point, alpha)


def partial_minima(step: float = 0.01) -> dict[float, Pass]:
    """Return a second bad local minimum, which the paper does not mention, by alpha.

    There W sends a weak signal that is half reconstructed, on the paper's two points. It is followed in steps from
    alpha = 1 both ways, for as long as it is a minimum.

    Args:
      step: the step of alpha, > 0.

    Raises:
      ConfigError: step <= 0.

    Example:
      >>> from tfcollapse.theory import basin
      >>> minima = basin.partial_minima(step=0.05)
      >>> min(minima), max(minima)
      (0.7, 1.15)
    """
    arguments.positive("step", step)
    minima = {}
    for sign in (-1, 1):
        point = np.array(_PARTIAL_AT_ONE)
        for count in range(int(1 / step)):
            alpha = 1 + sign * count * step
            point = _partial(alpha, point)
            place = _critical(point, alpha)
            if place.negative or place.slope > 1e-9 or place.mean < 0.05:  # a saddle, no root, or (7)
                break
            minima[round(alpha, 9)] = place
    return dict(sorted(minima.items()))


def _partial(alpha: float, start: Sequence[float] | np.ndarray) -> np.ndarray:
    return scipy.optimize.root(lambda at: _slice(at, alpha)[1], start, tol=1e-13).x


def _critical(point: np.ndarray, alpha: float) -> Pass:
    vae = _full(point, alpha)
    eigenvalues = np.linalg.eigvalsh(hessian(vae, PAPER_DATA, alpha))
    left = np.abs(gradient(vae, PAPER_DATA, alpha).flat()).max()
    w, mean, log_sigma = map(float, point)
    negative = int((eigenvalues < -1e-12).sum())
    return Pass(_slice(point, alpha)[0], w, mean, float(np.exp(log_sigma)), negative, float(left))


def _full(point: np.ndarray, alpha: float) -> SoftThresholdVAE:
    w, mu, log_sigma = point
    return completed(np.full((2, 1), w), np.array([mu, -mu]), np.full(2, np.exp(log_sigma)), PAPER_DATA, alpha)


def _slice(point: np.ndarray, alpha: float) -> tuple[float, np.ndarray]:
    """Return F and its gradient by (w, mu, log sigma) on the symmetric slice."""
    w, mu, log_sigma = point
    value, slope = relative_energy(np.array([w, w, mu, -mu, log_sigma, log_sigma]), PAPER_DATA, alpha)
    return value, np.array([slope[0] + slope[1], slope[2] - slope[3], slope[4] + slope[5]])
