"""Proposition 1, jointly in all parameters: how wide and how deep the basin of (7) is.

gamma and b are at their optimum throughout, which only lowers the energy; what is left is, relative to (7),

  F(W, mu, sigma) = n d log(1 + y) + sum_ik (mu_ik^2 + sigma_ik^2 - log sigma_ik^2 - 1),

with y the relative change of the squared error. F = 0 at (7) and for every W that sends no signal.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.optimize
from scipy.special import erfcx, log_ndtr

from tfcollapse.errors import ConfigError
from tfcollapse.theory import arguments
from tfcollapse.theory.local_minimum import PAPER_DATA, SoftThresholdVAE, collapsed, energy, gradient, hessian

FOLD = 1.16
"""The largest alpha at which the symmetric slice has a pass out of (7)."""

_GRID, _SIGMAS = 300, 21
_LOWER = -1e-10
"""An energy this far below (7)'s counts as lower: two orders above round-off."""


def completed(
    weights: np.ndarray, mean: np.ndarray, sigma: np.ndarray, data: np.ndarray, alpha: float
) -> SoftThresholdVAE:
    """The parameters with b and gamma at their optimum given the others."""
    n, d = data.shape
    shape = (n, weights.shape[1])
    draft = SoftThresholdVAE(weights, np.zeros(d), 1.0, mean.reshape(shape), sigma.reshape(shape))
    bias = (data - draft.errors(data, alpha).output).mean(axis=0)
    draft = SoftThresholdVAE(weights, bias, 1.0, draft.mean, draft.sigma)
    return SoftThresholdVAE(weights, bias, float(draft.errors(data, alpha).value.mean()), draft.mean, draft.sigma)


def relative_energy(
    vector: np.ndarray, data: np.ndarray, alpha: float, latent_dim: int = 1
) -> tuple[float, np.ndarray]:
    """F and its gradient at (W, mu, log sigma) laid out in one vector."""
    n, d = data.shape
    weights, mean, log_sigma = np.split(vector, np.cumsum([d * latent_dim, n * latent_dim]))
    vae = completed(weights.reshape(d, latent_dim), mean, np.exp(log_sigma), data, alpha)
    slope = gradient(vae, data, alpha)
    value = energy(vae, data, alpha) - energy(collapsed(data, latent_dim), data, alpha)
    # The envelope theorem: b and gamma are at their optimum, so only the other derivatives count.
    return value, np.concatenate([slope.weights.ravel(), slope.mean.ravel(), (slope.sigma * vae.sigma).ravel()])


def certified_radius(alpha: float, data: np.ndarray = PAPER_DATA) -> float:
    """A radius r within which (7) is PROVABLY lowest, jointly in all parameters: the step that Appendix B leaves out.

    No point with |W_j| <= r, |mu_i| <= r, |sigma_ik - 1| <= r, whatever b and gamma, has lower energy than (7), for any
    data set. What a unit gains by sending a mean is at most 2 |x| |W| |mu| T with T = P(|u| > alpha), what it costs is
    mu^2 / d and the noise let through, Var pi(u) >= 2 W^2 sigma^2 G with G = E[((eps - h)_+)^2], h = alpha / (|W|
    sigma). As quadratics in mu these leave no gain where d x^2 T^2 <= 2 gamma-bar (1 - eta) sigma^2 G; T^2 falls like
    exp(-h^2), G like exp(-h^2 / 2), so that a radius exists for every alpha > 0. Checked on a grid over |W| and sigma.

    Returns:
      r, 0 where alpha is 0.
    """
    data = arguments.points("data", data)
    if arguments.non_negative("alpha", alpha) == 0:
        return 0.0
    centred = np.abs(data - data.mean(axis=0))
    low, high = 0.0, 0.999
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if _certifies(middle, alpha, centred) else (low, middle)
    return low


def _certifies(radius: float, alpha: float, centred: np.ndarray) -> bool:
    gamma_bar, d = np.square(centred).mean(), centred.shape[1]
    width = radius * np.geomspace(1e-3, 1.0, _GRID)[:, None]
    sigma = np.linspace(1 - radius, 1 + radius, _SIGMAS)
    scale = width * sigma
    log_passes = np.log(2) + log_ndtr(-(alpha - width * radius) / scale)
    eta = 2 * centred.mean() / gamma_bar * radius**2 * np.exp(log_passes.max())
    if eta >= 1:
        return False
    gain = np.log(d * centred.max() ** 2) + 2 * log_passes
    cost = np.log(2 * gamma_bar * (1 - eta)) + 2 * np.log(sigma) + _log_excess(alpha / scale)
    return bool((gain <= cost).all())


def _log_excess(h: np.ndarray) -> np.ndarray:
    """A lower bound, close, on log E[((eps - h)_+)^2] = log((1 + h^2) Q(h) - h phi(h)) for h > 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        exact = np.log((1 + h**2) * 0.5 * erfcx(h / np.sqrt(2)) - h / np.sqrt(2 * np.pi))
    series = np.log(2 / np.sqrt(2 * np.pi)) - 3 * np.log(h) + np.log1p(-np.minimum(6 / h**2, 0.9))
    return np.where(h < 30, exact, series) - h**2 / 2


def escape_radius(alpha: float, data: np.ndarray = PAPER_DATA, starts: int = 4, seed: int = 0) -> float:
    """The smallest r such that a search finds lower energy than (7)'s where |W_j|, |mu_i|, |sigma_i - 1| <= r.

    For one latent. Descents from random starts and from corners of the box, bisected in r: an upper bound on the radius
    of the basin as `certified_radius` is a lower one.
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
    """How far the energy must rise, at the least, on any way out of (7), as a search finds it; one latent.

    Every way out crosses the surface of the box |W_j|, |mu_i|, |sigma_i - 1| <= r, so the lowest energy on that
    surface is such a bound; the best one over r. Eq. (6), above (7)'s energy.
    """
    data = arguments.points("data", data)
    arguments.positive("alpha", alpha)
    radii = escape_radius(alpha, data, starts, seed) * np.linspace(0.6, 0.98, 12)
    return float(max(_lowest_on_surface(radius, alpha, data, starts, seed) for radius in radii))


def _lowest_on_surface(radius: float, alpha: float, data: np.ndarray, starts: int, seed: int) -> float:
    """Over the faces W_j = r, which those of -r mirror; on the faces of mu and sigma the KL alone is about r^2."""
    faces = [_lowest(radius, alpha, data, starts, seed, face=j) for j in range(data.shape[1])]
    return min([*faces, radius**2, radius - np.log1p(radius)])


def _lowest(radius: float, alpha: float, data: np.ndarray, starts: int, seed: int, face: int | None = None) -> float:
    """The lowest F found in the box, or where W_face = radius; the search ends at the first value that is negative."""
    n, d = data.shape
    narrow = np.log(max(1 - radius, 1e-6))
    bounds = [(-radius, radius)] * (d + n) + [(narrow, np.log1p(radius))] * n
    if face is not None:
        bounds[face] = (radius, radius)
    lower, upper = np.array(bounds).T
    random = np.random.default_rng(seed)
    signs = np.sign((data - data.mean(axis=0)) @ np.ones(d))
    # Corners: a signal that just passes, the largest that the box holds, and one that overcomes alpha with no noise.
    points = [random.uniform(lower, upper) for _ in range(starts)]
    for share, reach, log_sigma in ((0.3, radius, 0.0), (1.0, radius, narrow), (1.0, np.sqrt(1 + alpha), narrow)):
        size = min(reach, radius)
        points.insert(0, np.concatenate([np.full(d, size), share * size * signs, np.full(n, log_sigma)]))
    if face is not None:  # that coordinate alone
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
      height: its energy above (7)'s, eq. (6).
      weight, mean, sigma: W_1 = W_2, mu_1 = -mu_2 and sigma_1 = sigma_2 there.
      negative: negative eigenvalues of the Hessian over all nine parameters: 1 at a mountain pass, 0 at a minimum.
      slope: the largest derivative that is left.
    """

    height: float
    weight: float
    mean: float
    sigma: float
    negative: int
    slope: float


def mountain_pass(alpha: float) -> Pass:
    """The pass on the symmetric slice W_1 = W_2 = w, mu_1 = -mu_2, sigma_1 = sigma_2 of the paper's two points.

    As alpha -> 0, w = 0.6501 alpha, mu = 0.1612 alpha, log sigma = -0.0130 alpha^2 (the root of the limiting
    equations); from there the root is followed in alpha. `Pass.negative` says whether it is a pass in all nine
    parameters.

    Raises:
      ConfigError: alpha <= 0, where (7) is itself a saddle; or alpha > 1.16, where on this slice the pass has merged
      with
        the second local minimum behind it and is gone.
    """
    if arguments.positive("alpha", alpha) > FOLD:
        raise ConfigError(f"alpha: expected <= {FOLD}, where the symmetric slice has a pass, received {alpha}")
    first = min(alpha, 0.1)
    steps = np.geomspace(first, alpha, 1 + int(np.ceil(np.log(alpha / first) / 0.05)))
    point = np.array([0.6501 * first, 0.1612 * first, -0.0130 * first**2])
    for step in steps:
        point = scipy.optimize.root(lambda at, step=step: _slice(at, step)[1] / step, point, tol=1e-13).x
    return _critical(point, alpha)


def partial_minimum(alpha: float = 1.0) -> Pass:
    """A second bad local minimum, which the paper does not mention: W sends a weak signal that is half reconstructed.

    It exists for alpha between 0.65 and 1.16 on the paper's two points; its energy is above (7)'s from 1.03 on.
    """
    arguments.positive("alpha", alpha)
    start = np.array([1.12, 0.5, np.log(0.87)])  # at alpha = 1
    found = scipy.optimize.root(lambda at: _slice(at, alpha)[1], start, tol=1e-13)
    return _critical(found.x, alpha)


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
    """F and its gradient by (w, mu, log sigma) on the symmetric slice."""
    w, mu, log_sigma = point
    value, slope = relative_energy(np.array([w, w, mu, -mu, log_sigma, log_sigma]), PAPER_DATA, alpha)
    return value, np.array([slope[0] + slope[1], slope[2] - slope[3], slope[4] + slope[5]])
