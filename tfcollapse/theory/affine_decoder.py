"""Compute what Proposition 2 needs of a fixed affine decoder, in closed form: its best posterior, and the bound there.

f is the data term of eq. (4) without 1/gamma, summed over data points. The KL is in nats, summed over data points too.
"""

from __future__ import annotations

import numpy as np

from tfcollapse.theory import arguments
from tfcollapse.theory.thresholding import Quadratic, Response


def affine_response(weights: np.ndarray, bias: np.ndarray, data: np.ndarray, gamma: float) -> Response:
    """Return f and the KL of the best posterior of a FIXED affine decoder at this gamma, in closed form.

    Args:
      weights: [d, kappa].
      bias: [d].
      data: [n, d].
      gamma: the decoder variance, > 0.

    Raises:
      ConfigError: unusable data, weights of another shape, or gamma <= 0.

    Example:
      >>> from tfcollapse.theory import affine, affine_decoder
      >>> data = np.random.default_rng(0).normal(size=(50, 3)) * [2.0, 1.0, 0.1]
      >>> vae = affine.optimum(data, latent_dim=2, gamma=0.1)
      >>> response = affine_decoder.affine_response(vae.weights, vae.bias, data, gamma=0.1)
      >>> bool(0 < response.f < np.square(data - vae.bias).sum()), response.kl > 0
      (True, True)
    """
    mean, variance = affine_posterior(weights, bias, data, gamma)
    residual = data - bias - mean @ weights.T
    f = np.square(residual).sum() + len(data) * (variance * np.square(weights).sum(axis=0)).sum()
    kl = 0.5 * (np.square(mean).sum() + len(data) * (variance - np.log(variance) - 1).sum())
    return Response(float(f), float(kl))


def affine_posterior(
    weights: np.ndarray, bias: np.ndarray, data: np.ndarray, gamma: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the best posterior of a FIXED affine decoder at this gamma, in closed form.

    Args:
      weights: [d, kappa].
      bias: [d].
      data: [n, d].
      gamma: the decoder variance, > 0.

    Returns:
      The means, [n, kappa], and the variances, [kappa], which are the same for every data point.

    Raises:
      ConfigError: unusable data, weights of another shape, or gamma <= 0.

    Example:
      >>> from tfcollapse.theory import affine, affine_decoder
      >>> data = np.random.default_rng(0).normal(size=(50, 3)) * [2.0, 1.0, 0.1]
      >>> vae = affine.optimum(data, latent_dim=2, gamma=0.1)
      >>> mean, variance = affine_decoder.affine_posterior(vae.weights, vae.bias, data, gamma=0.1)
      >>> mean.shape, np.allclose(variance, vae.latent_variance)
      ((50, 2), True)
    """
    data = arguments.points("data", data)
    weights = arguments.finite("weights", weights, data.shape[1], None)
    arguments.positive("gamma", gamma)
    inner = weights.T @ weights + gamma * np.eye(weights.shape[1])
    return (data - bias) @ np.linalg.solve(inner, weights.T).T, gamma / (np.square(weights).sum(axis=0) + gamma)


def affine_quadratic(weights: np.ndarray, bias: np.ndarray, data: np.ndarray, gamma: float) -> Quadratic:
    """Return the quantities of eqs. (19) to (35) for a fixed affine decoder at its best posterior.

    f is quadratic here, so that L is exact. Units whose column is zero send nothing and are left out.

    Args:
      weights: [d, kappa].
      bias: [d].
      data: [n, d].
      gamma: the decoder variance, > 0.

    Raises:
      ConfigError: unusable data, weights of another shape, or gamma <= 0.

    Example:
      >>> from tfcollapse.theory import affine, affine_decoder
      >>> data = np.random.default_rng(0).normal(size=(50, 3)) * [2.0, 1.0, 0.1]
      >>> vae = affine.optimum(data, latent_dim=2, gamma=0.1)
      >>> found = affine_decoder.affine_quadratic(vae.weights, vae.bias, data, gamma=0.1)
      >>> found.mean.shape, found.sufficient_gamma() > 0.1
      ((100,), True)
    """
    live = np.square(weights).sum(axis=0) > 0
    weights = weights[:, live]
    mean, variance = affine_posterior(weights, bias, data, gamma)
    sigma = np.broadcast_to(np.sqrt(variance), mean.shape)
    slope = -2 * (data - bias - mean @ weights.T) @ weights
    sigma_slope = 2 * sigma * np.square(weights).sum(axis=0)
    lipschitz = 2 * float(np.linalg.eigvalsh(weights.T @ weights)[-1])
    return Quadratic(lipschitz, mean.ravel(), sigma.ravel(), slope.ravel(), sigma_slope.ravel())
