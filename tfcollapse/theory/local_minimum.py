"""Compute eq. (6) with the soft-threshold decoder, its derivatives, and the collapsed solution (7), for Proposition 1.

Energies are those of eq. (6): nats times two, summed over data points, without n d log 2 pi. They are exact for any n,
d and kappa.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tfcollapse.errors import ConfigError
from tfcollapse.theory import arguments
from tfcollapse.theory.soft_threshold import Error, expected_error, soft_threshold

PAPER_DATA = np.array([[1.0, 1.0], [-1.0, -1.0]])
"""The two points in the plane that Appendix B uses."""


@dataclass(frozen=True)
class SoftThresholdVAE:
    """The parameters of eq. (6).

    Attributes:
      weights: W_x, [d, latent_dim].
      bias: b_x, [d].
      gamma: the decoder variance.
      mean: mu_z, [n, latent_dim].
      sigma: sigma_z, [n, latent_dim].

    Example:
      >>> from tfcollapse.theory import local_minimum
      >>> data = local_minimum.PAPER_DATA
      >>> vae = local_minimum.collapsed(data)
      >>> vae.gamma, vae.errors(data, alpha=1.0).value
      (1.0, array([[1., 1.],
             [1., 1.]]))
    """

    weights: np.ndarray
    bias: np.ndarray
    gamma: float
    mean: np.ndarray
    sigma: np.ndarray

    def flat(self) -> np.ndarray:
        """Return all parameters in one vector, in the order of the attributes."""
        parts = (self.weights, self.bias, [self.gamma], self.mean, self.sigma)
        return np.concatenate([np.ravel(part) for part in parts])

    @classmethod
    def unflat(cls, vector: np.ndarray, n: int, d: int, latent_dim: int) -> SoftThresholdVAE:
        """Return the parameters that `flat` laid out in `vector`.

        Args:
          vector: [d latent_dim + d + 1 + 2 n latent_dim].
          n, d, latent_dim: the numbers of data points, coordinates and latents.
        """
        weights, bias, gamma, mean, sigma = np.split(vector, np.cumsum([d * latent_dim, d, 1, n * latent_dim]))
        shape = (n, latent_dim)
        return cls(weights.reshape(d, latent_dim), bias, float(gamma[0]), mean.reshape(shape), sigma.reshape(shape))

    def errors(self, data: np.ndarray, alpha: float) -> Error:
        """Return E[(x_ij - mu_x,j)^2] and its derivatives, each [n, d].

        Args:
          data: [n, d].
          alpha: the threshold, >= 0.
        """
        m = self.mean @ self.weights.T
        v = np.square(self.sigma) @ np.square(self.weights).T
        return expected_error(data - self.bias, m, v, alpha)


def collapsed(data: np.ndarray, latent_dim: int = 1) -> SoftThresholdVAE:
    """Return the solution (7): q(z|x) is the prior, W = 0, b is the mean of the data, and gamma = gamma-bar.

    Args:
      data: [n, d].
      latent_dim: the number of latents, from 1 to d.

    Raises:
      ConfigError: unusable data, or latent_dim out of range.

    Example:
      >>> from tfcollapse.theory import local_minimum
      >>> data = local_minimum.PAPER_DATA
      >>> local_minimum.collapsed(data).gamma  # gamma-bar
      1.0
    """
    data = arguments.points("data", data)
    arguments.whole("latent_dim", latent_dim, 1, data.shape[1], "dimensions of the data")
    bias, shape = data.mean(axis=0), (len(data), latent_dim)
    gamma = float(np.square(data - bias).mean())
    return SoftThresholdVAE(np.zeros((data.shape[1], latent_dim)), bias, gamma, np.zeros(shape), np.ones(shape))


def delta_path(delta: float, alpha: float) -> SoftThresholdVAE:
    """Return the point at `delta` of B.1's path on the paper's two points, with gamma as printed.

    The energy falls without bound as delta -> 0.

    Args:
      delta: sigma_z at the point, > 0.
      alpha: the threshold, >= 0.

    Raises:
      ConfigError: delta <= 0, or alpha < 0.

    Example:
      >>> from tfcollapse.theory import local_minimum
      >>> data = local_minimum.PAPER_DATA
      >>> points = [local_minimum.delta_path(delta, alpha=1.0) for delta in (1e-1, 1e-4, 1e-7)]
      >>> [round(local_minimum.energy(point, data, alpha=1.0), 1) for point in points]
      [3.1, -24.5, -52.2]
    """
    arguments.positive("delta", delta)
    weights, mean = np.full((2, 1), alpha + 1.0), np.array([[1.0], [-1.0]])
    path = SoftThresholdVAE(weights, np.zeros(2), 1.0, mean, np.full((2, 1), delta))
    gamma = 2 * float(path.errors(PAPER_DATA, alpha).value[0, 0])
    return SoftThresholdVAE(weights, np.zeros(2), gamma, mean, path.sigma)


def energy(vae: SoftThresholdVAE, data: np.ndarray, alpha: float) -> float:
    """Return the exact value of eq. (6), in nats times two, summed over data points, without n d log 2 pi.

    Args:
      vae: the parameters.
      data: [n, d].
      alpha: the threshold, >= 0.

    Raises:
      ConfigError: unusable data, parameters of another shape, alpha < 0, or gamma or a sigma that is not > 0.

    Example:
      >>> from tfcollapse.theory import local_minimum
      >>> data = local_minimum.PAPER_DATA
      >>> local_minimum.energy(local_minimum.collapsed(data), data, alpha=1.0)  # n (d + kappa)
      6.0
    """
    data = _checked(vae, data)
    return float(vae.errors(data, alpha).value.sum() / vae.gamma + data.size * np.log(vae.gamma) + _own(vae))


def gradient(vae: SoftThresholdVAE, data: np.ndarray, alpha: float) -> SoftThresholdVAE:
    """Return the derivatives of eq. (6), in the form of the parameters. Eq. (14) is the one by the weights.

    Args:
      vae: the parameters.
      data: [n, d].
      alpha: the threshold, >= 0.

    Raises:
      ConfigError: unusable data, parameters of another shape, alpha < 0, or gamma or a sigma that is not > 0.

    Example:
      >>> from tfcollapse.theory import local_minimum
      >>> data = local_minimum.PAPER_DATA
      >>> slope = local_minimum.gradient(local_minimum.collapsed(data), data, alpha=1.0)
      >>> print(np.abs(slope.flat()).max() < 1e-12)  # (7) is a stationary point
      True
    """
    data = _checked(vae, data)
    error, gamma = vae.errors(data, alpha), vae.gamma
    variance, squares = np.square(vae.sigma), np.square(vae.weights)
    return SoftThresholdVAE(
        (error.m1.T @ vae.mean + vae.weights * (error.m2.T @ variance)) / gamma,
        -2 / gamma * (data - vae.bias - error.output).sum(axis=0),
        float(data.size / gamma - error.value.sum() / gamma**2),
        error.m1 @ vae.weights / gamma + 2 * vae.mean,
        vae.sigma * (error.m2 @ squares) / gamma + 2 * vae.sigma - 2 / vae.sigma,
    )


def hessian(vae: SoftThresholdVAE, data: np.ndarray, alpha: float) -> np.ndarray:
    """Return the exact second derivatives of eq. (6).

    Args:
      vae: the parameters.
      data: [n, d].
      alpha: the threshold, >= 0.

    Returns:
      [parameters, parameters], in the order of `SoftThresholdVAE.flat`.

    Raises:
      ConfigError: unusable data, parameters of another shape, alpha < 0, or gamma or a sigma that is not > 0.

    Example:
      >>> from tfcollapse.theory import local_minimum
      >>> data = local_minimum.PAPER_DATA
      >>> curvatures = np.linalg.eigvalsh(local_minimum.hessian(local_minimum.collapsed(data), data, alpha=1.0))
      >>> bool(curvatures.min() >= -1e-12)
      True
    """
    data = _checked(vae, data)
    (n, d), latent = data.shape, vae.weights.shape[1]
    places = np.arange(d * latent + d + 1 + 2 * n * latent)
    w, b, g, mu, sigma = np.split(places, np.cumsum([d * latent, d, 1, n * latent]))
    w, mu, sigma = w.reshape(d, latent), mu.reshape(n, latent), sigma.reshape(n, latent)
    error = vae.errors(data, alpha)
    first, second = np.zeros(len(places)), np.zeros((len(places), len(places)))
    for i in range(n):
        for j in range(d):
            rows = np.concatenate([b[j : j + 1], w[j], mu[i], sigma[i]])
            slope, curvature = _cell(vae, error, data, i, j)
            first[rows] += slope
            second[np.ix_(rows, rows)] += curvature
    found = second / vae.gamma
    found[g, :] = found[:, g.item()] = -first / vae.gamma**2
    found[g, g] = 2 * error.value.sum() / vae.gamma**3 - data.size / vae.gamma**2
    found[mu.ravel(), mu.ravel()] += 2
    found[sigma.ravel(), sigma.ravel()] += 2 + 2 / np.square(vae.sigma).ravel()
    return found


def _cell(vae: SoftThresholdVAE, error: Error, data: np.ndarray, i: int, j: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the first and second derivatives of the error of coordinate j at point i by (b_j, W_j, mu_i, sigma_i)."""
    weights, mean, sigma = vae.weights[j], vae.mean[i], vae.sigma[i]
    value, m1, m2, m3, m4, output, passes, output_m2 = (np.asarray(part)[i, j] for part in error)
    k = len(weights)
    c = np.concatenate([[-1.0], np.zeros(3 * k)])
    m = np.concatenate([[0.0], mean, weights, np.zeros(k)])
    v = np.concatenate([[0.0], 2 * weights * sigma**2, np.zeros(k), 2 * weights**2 * sigma])
    inner = np.stack([c, m, v])
    outer = np.array(
        [[2.0, -2 * passes, -output_m2], [-2 * passes, m2, m3 / 2], [-output_m2, m3 / 2, m4 / 4]],
    )
    slope = np.array([2 * (data[i, j] - vae.bias[j] - output), m1, m2 / 2]) @ inner
    curvature = inner.T @ outer @ inner
    at_w, at_mu, at_sigma = (np.arange(1 + part * k, 1 + (part + 1) * k) for part in range(3))
    curvature[at_w, at_mu] += m1
    curvature[at_mu, at_w] += m1
    curvature[at_w, at_w] += m2 / 2 * 2 * sigma**2
    curvature[at_w, at_sigma] += m2 / 2 * 4 * weights * sigma
    curvature[at_sigma, at_w] += m2 / 2 * 4 * weights * sigma
    curvature[at_sigma, at_sigma] += m2 / 2 * 2 * weights**2
    return slope, curvature


def sampled_energy(
    vae: SoftThresholdVAE, data: np.ndarray, alpha: float, samples: int, seed: int = 0
) -> tuple[float, float]:
    """Return an estimate of eq. (6) by sampling z, and its standard error. The closed form is checked against it.

    Args:
      vae: the parameters.
      data: [n, d].
      alpha: the threshold, >= 0.
      samples: the number of draws.
      seed: the seed of the draws.

    Raises:
      ConfigError: as in `energy`.

    Example:
      >>> from tfcollapse.theory import local_minimum
      >>> data = local_minimum.PAPER_DATA
      >>> vae = local_minimum.delta_path(0.1, alpha=1.0)
      >>> estimate, error = local_minimum.sampled_energy(vae, data, alpha=1.0, samples=2_000)
      >>> abs(estimate - local_minimum.energy(vae, data, alpha=1.0)) < 4 * error
      True
    """
    data = _checked(vae, data)
    noise = np.random.default_rng(seed).standard_normal((samples, *vae.mean.shape))
    outputs = soft_threshold((vae.mean + vae.sigma * noise) @ vae.weights.T, alpha) + vae.bias
    draws = np.square(data - outputs).sum(axis=(1, 2)) / vae.gamma
    rest = data.size * np.log(vae.gamma) + _own(vae)
    return float(draws.mean() + rest), float(draws.std(ddof=1) / np.sqrt(samples))


def _own(vae: SoftThresholdVAE) -> float:
    """Return the KL part of eq. (6): 2 KL + n kappa."""
    return float((np.square(vae.sigma) - 2 * np.log(vae.sigma) + np.square(vae.mean)).sum())


def _checked(vae: SoftThresholdVAE, data: np.ndarray) -> np.ndarray:
    data = arguments.points("data", data)
    arguments.positive("gamma", vae.gamma)
    if vae.weights.shape[0] != data.shape[1] or vae.mean.shape[0] != len(data):
        raise ConfigError(
            f"data: expected {vae.mean.shape[0]} points of {vae.weights.shape[0]} dimensions as the parameters have, "
            f"received {len(data)} of {data.shape[1]}"
        )
    if not (vae.sigma > 0).all():
        raise ConfigError(f"sigma: expected > 0, received {vae.sigma.min()}")
    return data
