"""Compute eq. (4) of a VAE with affine decoder and free encoder moments, and minimise it directly, in float64."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.optimize

from tfcollapse.theory import arguments
from tfcollapse.theory.affine import spectrum

_RESTARTS = 4


@dataclass(frozen=True)
class AffineVAE:
    """The parameters of eq. (4): a decoder, and moments for every data point.

    Attributes:
      weights: W, [d, latent_dim].
      bias: b, [d].
      log_gamma: the logarithm of the decoder variance.
      mean: mu_z, [n, latent_dim].
      log_variance: log sigma_z^2, [n, latent_dim].

    Example:
      >>> from tfcollapse.theory import affine, affine_energy
      >>> data = np.random.default_rng(0).normal(size=(50, 3)) * [2.0, 1.0, 0.1]
      >>> vae = affine_energy.stationary_point(data, active=[0], latent_dim=2, gamma=0.5)
      >>> vae.weights.shape, vae.mean.shape, vae.flat().shape
      ((3, 2), (50, 2), (210,))
    """

    weights: np.ndarray
    bias: np.ndarray
    log_gamma: float
    mean: np.ndarray
    log_variance: np.ndarray

    def flat(self) -> np.ndarray:
        """Return all parameters in one vector, in the order of the attributes."""
        parts = (self.weights, self.bias, [self.log_gamma], self.mean, self.log_variance)
        return np.concatenate([np.ravel(part) for part in parts])

    @classmethod
    def unflat(cls, vector: np.ndarray, n: int, d: int, latent_dim: int) -> AffineVAE:
        """Return the parameters that `flat` laid out in `vector`.

        Args:
          vector: [d latent_dim + d + 1 + 2 n latent_dim].
          n, d, latent_dim: the numbers of data points, coordinates and latents.
        """
        sizes = np.cumsum([d * latent_dim, d, 1, n * latent_dim])
        weights, bias, log_gamma, mean, log_variance = np.split(vector, sizes)
        shape = (n, latent_dim)
        return cls(
            weights.reshape(d, latent_dim), bias, float(log_gamma[0]), mean.reshape(shape), log_variance.reshape(shape)
        )


def energy_and_gradient(vae: AffineVAE, data: np.ndarray) -> tuple[float, AffineVAE]:
    """Return eq. (4) of an affine VAE on data, and its gradient.

    The energy is nats times two, averaged over data points, without d log 2 pi.

    Args:
      vae: the parameters.
      data: [n, d].

    Returns:
      The energy, and the derivatives by all parameters, log gamma included, in the form of the parameters.

    Example:
      >>> from tfcollapse.theory import affine, affine_energy
      >>> data = np.random.default_rng(0).normal(size=(50, 3)) * [2.0, 1.0, 0.1]
      >>> vae = affine_energy.stationary_point(data, active=[1], latent_dim=2, gamma=0.5)
      >>> energy, gradient = affine_energy.energy_and_gradient(vae, data)
      >>> bool(np.isclose(energy, affine.spectrum(data).stationary_energy([1], 2, gamma=0.5)))
      True
      >>> print(np.abs(gradient.weights).max() < 1e-9)
      True
    """
    n, d = data.shape
    gamma, variance = np.exp(vae.log_gamma), np.exp(vae.log_variance)
    residual = data - vae.bias - vae.mean @ vae.weights.T
    lengths = np.square(vae.weights).sum(axis=0)
    error = np.square(residual).sum() + (variance @ lengths).sum()
    own = np.square(vae.mean).sum() + variance.sum() - vae.log_variance.sum()
    energy = (error / gamma + own) / n + d * vae.log_gamma
    gradient = AffineVAE(
        2 / (n * gamma) * (vae.weights * variance.sum(axis=0) - residual.T @ vae.mean),
        -2 / (n * gamma) * residual.sum(axis=0),
        d - error / (n * gamma),
        2 / n * (vae.mean - residual @ vae.weights / gamma),
        (variance * (lengths / gamma + 1) - 1) / n,
    )
    return float(energy), gradient


def random_start(random: np.random.Generator, data: np.ndarray, latent_dim: int, scale: float = 1.0) -> AffineVAE:
    """Return parameters that are all drawn from a normal distribution with mean 0 and standard deviation `scale`.

    Args:
      random: the generator of the draws.
      data: [n, d].
      latent_dim: the number of latents.
      scale: the standard deviation.

    Example:
      >>> from tfcollapse.theory import affine, affine_energy
      >>> data = np.random.default_rng(0).normal(size=(50, 3)) * [2.0, 1.0, 0.1]
      >>> start = affine_energy.random_start(np.random.default_rng(1), data, latent_dim=2)
      >>> start.weights.shape, start.log_variance.shape
      ((3, 2), (50, 2))
    """
    n, d = data.shape
    size = d * latent_dim + d + 1 + 2 * n * latent_dim
    return AffineVAE.unflat(scale * random.standard_normal(size), n, d, latent_dim)


def minimise(data: np.ndarray, start: AffineVAE, gamma: float | None = None) -> tuple[float, AffineVAE]:
    """Minimise eq. (4) from `start` by L-BFGS.

    Args:
      data: [n, d].
      start: the parameters to begin with.
      gamma: a fixed decoder variance; None minimises over gamma too.

    Returns:
      The energy that was reached, and the parameters there.

    Raises:
      ConfigError: unusable data, or gamma <= 0.

    Example:
      >>> from tfcollapse.theory import affine, affine_energy
      >>> data = np.random.default_rng(0).normal(size=(50, 3)) * [2.0, 1.0, 0.1]
      >>> start = affine_energy.random_start(np.random.default_rng(1), data, latent_dim=2)
      >>> energy, vae = affine_energy.minimise(data, start)
      >>> bool(np.isclose(energy, affine.spectrum(data).energy(latent_dim=2)))  # the global minimum, from any start
      True
    """
    data = arguments.points("data", data)
    n, d = data.shape
    latent_dim = start.weights.shape[1]
    place = d * latent_dim + d
    vector = start.flat()
    if gamma is not None:
        vector[place] = np.log(arguments.positive("gamma", gamma))

    def function(values: np.ndarray) -> tuple[float, np.ndarray]:
        energy, gradient = energy_and_gradient(AffineVAE.unflat(values, n, d, latent_dim), data)
        slope = gradient.flat()
        if gamma is not None:
            slope[place] = 0.0
        return energy, slope

    options = {"maxiter": 20_000, "maxfun": 40_000, "ftol": 0.0, "gtol": 1e-12, "maxcor": 40}
    for _ in range(_RESTARTS):  # round-off may end a line search; a restart goes on
        found = scipy.optimize.minimize(function, vector, jac=True, method="L-BFGS-B", options=options)
        vector = found.x
        if np.abs(found.jac).max() < options["gtol"]:
            break
    return float(found.fun), AffineVAE.unflat(vector, n, d, latent_dim)


def hessian(vae: AffineVAE, data: np.ndarray, gamma: float | None = None, step: float = 1e-5) -> np.ndarray:
    """Return the second derivatives of eq. (4) of an affine VAE on data.

    They are central differences of the exact gradient; the error is about 1e-9.

    Args:
      vae: the parameters.
      data: [n, d].
      gamma: where it is given it is fixed, and the row and the column of log gamma are left out.
      step: of the differences.

    Returns:
      [parameters, parameters], in the order of `AffineVAE.flat`; nats times two, averaged over data points.

    Example:
      >>> from tfcollapse.theory import affine, affine_energy
      >>> data = np.random.default_rng(0).normal(size=(50, 3)) * [2.0, 1.0, 0.1]
      >>> vae = affine_energy.stationary_point(data, active=[], latent_dim=1, gamma=0.5)  # collapsed
      >>> curvatures = np.linalg.eigvalsh(affine_energy.hessian(vae, data, gamma=0.5))
      >>> int((curvatures < -1e-6).sum()), affine.spectrum(data).saddle_directions([], 1, gamma=0.5)
      (2, 2)
    """
    n, d = data.shape
    latent_dim = vae.weights.shape[1]
    vector = vae.flat()
    columns = []
    for i in range(len(vector)):
        shift = np.zeros_like(vector)
        shift[i] = step
        up, down = (
            energy_and_gradient(AffineVAE.unflat(vector + sign * shift, n, d, latent_dim), data)[1].flat()
            for sign in (1, -1)
        )
        columns.append((up - down) / (2 * step))
    found = np.array(columns)
    if gamma is not None:
        found = np.delete(np.delete(found, d * latent_dim + d, axis=0), d * latent_dim + d, axis=1)
    return (found + found.T) / 2


def stationary_point(data: np.ndarray, active: Sequence[int], latent_dim: int, gamma: float | None = None) -> AffineVAE:
    """Return the parameters where the first units serve the principal directions in `active`.

    Each of these units serves one direction. The other units are collapsed.

    Args:
      data: [n, d].
      active: different indices from 0, by descending eigenvalue; each eigenvalue must be above gamma.
      latent_dim: the number of latents.
      gamma: a fixed decoder variance; None takes the optimal one at this point.

    Raises:
      ConfigError: unusable data, or no such stationary point.

    Example:
      >>> from tfcollapse.theory import affine, affine_energy
      >>> data = np.random.default_rng(0).normal(size=(50, 3)) * [2.0, 1.0, 0.1]
      >>> vae = affine_energy.stationary_point(data, active=[0], latent_dim=2)
      >>> print(np.abs(affine_energy.energy_and_gradient(vae, data)[1].flat()).max() < 1e-9)
      True
      >>> np.square(vae.weights).sum(axis=0).round(1)  # one unit is in use, the other is collapsed
      array([4.6, 0. ])
    """
    data = arguments.points("data", data)
    known = spectrum(data)
    gamma = known.stationary_gamma(active) if gamma is None else gamma
    known.stationary_energy(active, latent_dim, gamma)  # raises ConfigError where there is no such point
    centred = data - data.mean(axis=0)
    values, vectors = np.linalg.eigh(centred.T @ centred / len(data))
    values, vectors = values[::-1][list(active)], vectors[:, ::-1][:, list(active)]
    weights, mean = np.zeros((data.shape[1], latent_dim)), np.zeros((len(data), latent_dim))
    variance = np.ones((len(data), latent_dim))
    served = slice(len(active))
    weights[:, served] = vectors * np.sqrt(values - gamma)
    mean[:, served] = centred @ vectors * (np.sqrt(values - gamma) / values)
    variance[:, served] = gamma / values
    return AffineVAE(weights, data.mean(axis=0), float(np.log(gamma)), mean, np.log(variance))
