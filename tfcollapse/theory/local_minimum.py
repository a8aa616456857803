"""Proposition 1: eq. (6) with the soft-threshold decoder, its derivatives, and the collapsed solution (7).

Energies are eq. (6): summed over data points, nats times two, without n d log 2 pi. Exact for any n, d and kappa.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tfcollapse.errors import ConfigError
from tfcollapse.theory import arguments
from tfcollapse.theory.soft_threshold import Error, expected_error, soft_threshold

PAPER_DATA = np.array([[1.0, 1.0], [-1.0, -1.0]])
"""Appendix B's two points in the plane."""


@dataclass(frozen=True)
class SoftThresholdVAE:
    """Parameters of eq. (6).

    Attributes:
      weights: W_x, [d, latent_dim].
      bias: b_x, [d].
      gamma: the decoder variance.
      mean: mu_z, [n, latent_dim].
      sigma: sigma_z, [n, latent_dim].
    """

    weights: np.ndarray
    bias: np.ndarray
    gamma: float
    mean: np.ndarray
    sigma: np.ndarray

    def flat(self) -> np.ndarray:
        """All parameters in one vector, in the order of the attributes."""
        parts = (self.weights, self.bias, [self.gamma], self.mean, self.sigma)
        return np.concatenate([np.ravel(part) for part in parts])

    @classmethod
    def unflat(cls, vector: np.ndarray, n: int, d: int, latent_dim: int) -> SoftThresholdVAE:
        """What `flat` laid out."""
        weights, bias, gamma, mean, sigma = np.split(vector, np.cumsum([d * latent_dim, d, 1, n * latent_dim]))
        shape = (n, latent_dim)
        return cls(weights.reshape(d, latent_dim), bias, float(gamma[0]), mean.reshape(shape), sigma.reshape(shape))

    def errors(self, data: np.ndarray, alpha: float) -> Error:
        """E[(x_ij - mu_x,j)^2] and its derivatives, each [n, d]."""
        m = self.mean @ self.weights.T
        v = np.square(self.sigma) @ np.square(self.weights).T
        return expected_error(data - self.bias, m, v, alpha)


def collapsed(data: np.ndarray, latent_dim: int = 1) -> SoftThresholdVAE:
    """The solution (7): q(z|x) the prior, W = 0, b the mean, gamma = gamma-bar. Raises ConfigError."""
    data = arguments.points("data", data)
    arguments.whole("latent_dim", latent_dim, 1, data.shape[1], "dimensions of the data")
    bias, shape = data.mean(axis=0), (len(data), latent_dim)
    gamma = float(np.square(data - bias).mean())
    return SoftThresholdVAE(np.zeros((data.shape[1], latent_dim)), bias, gamma, np.zeros(shape), np.ones(shape))


def delta_path(delta: float, alpha: float) -> SoftThresholdVAE:
    """B.1's path on the paper's two points, gamma as printed; its energy falls without bound as delta -> 0."""
    arguments.positive("delta", delta)
    weights, mean = np.full((2, 1), alpha + 1.0), np.array([[1.0], [-1.0]])
    path = SoftThresholdVAE(weights, np.zeros(2), 1.0, mean, np.full((2, 1), delta))
    gamma = 2 * float(path.errors(PAPER_DATA, alpha).value[0, 0])
    return SoftThresholdVAE(weights, np.zeros(2), gamma, mean, path.sigma)


def energy(vae: SoftThresholdVAE, data: np.ndarray, alpha: float) -> float:
    """Eq. (6), exact."""
    data = _checked(vae, data)
    return float(vae.errors(data, alpha).value.sum() / vae.gamma + data.size * np.log(vae.gamma) + _own(vae))


def gradient(vae: SoftThresholdVAE, data: np.ndarray, alpha: float) -> SoftThresholdVAE:
    """The derivatives of eq. (6), laid out as the parameters are; eq. (14) is the one by the weights."""
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
    """The second derivatives of eq. (6), exact, [parameters, parameters] in the order of `flat`."""
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
    """First and second derivatives of the error of coordinate j at point i by (b_j, W_j, mu_i, sigma_i)."""
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
    """Eq. (6) by sampling z, and its standard error: what the closed form is checked against."""
    data = _checked(vae, data)
    noise = np.random.default_rng(seed).standard_normal((samples, *vae.mean.shape))
    outputs = soft_threshold((vae.mean + vae.sigma * noise) @ vae.weights.T, alpha) + vae.bias
    draws = np.square(data - outputs).sum(axis=(1, 2)) / vae.gamma
    rest = data.size * np.log(vae.gamma) + _own(vae)
    return float(draws.mean() + rest), float(draws.std(ddof=1) / np.sqrt(samples))


def _own(vae: SoftThresholdVAE) -> float:
    """The part of eq. (6) that is the KL: 2 KL + n kappa."""
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
