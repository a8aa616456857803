"""Write down affine VAEs that stand at a stationary point of eq. (4), and data of a known covariance."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence

import numpy as np

from tfcollapse.diagnosis.taxonomy.case import EIGENVALUES

Encoder = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
Decoder = Callable[[np.ndarray], np.ndarray]


@dataclasses.dataclass(frozen=True)
class AffineVAE:
    """A VAE with affine maps: mu_z = encoder (x - bias), mu_x = weights z + bias.

    Attributes:
      weights: [d, latent].
      encoder: [latent, d].
      latent_variance: sigma_z^2, [latent].
      bias: [d].
      shape: of one example.
    """

    weights: np.ndarray
    encoder: np.ndarray
    latent_variance: np.ndarray
    bias: np.ndarray
    shape: tuple[int, ...]

    def encode(self, data: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the posterior's mean and log variance, [n, latent] each, of data [n, ...]."""
        mean = (np.asarray(data, np.float64).reshape(len(data), -1) - self.bias) @ self.encoder.T
        return mean, np.broadcast_to(np.log(self.latent_variance), mean.shape)

    def decode(self, latents: np.ndarray) -> np.ndarray:
        """Return the decoder's mean, [n, ...], of z [n, latent]."""
        return (np.asarray(latents, np.float64) @ self.weights.T + self.bias).reshape(len(latents), *self.shape)

    def without(self, *units: int) -> AffineVAE:
        """Return the VAE in which some units are collapsed: a stationary point again, as their columns are zero."""
        alive = np.isin(np.arange(len(self.encoder)), units, invert=True)
        variance = np.where(alive, self.latent_variance, 1.0)
        return dataclasses.replace(
            self, weights=self.weights * alive, encoder=self.encoder * alive[:, None], latent_variance=variance
        )


def affine_vae(
    data: np.ndarray, latent_dim: int, gamma: float | None, serving: Sequence[int] | None = None
) -> AffineVAE:
    """Return an affine VAE at a stationary point of eq. (4) on data: `theory.affine` has the closed form.

    Args:
      data: floats [n, ...].
      latent_dim: the number of units; those beyond d are collapsed.
      gamma: the decoder variance, times beta; None for eq. (10).
      serving: the principal direction that unit j serves; by default j, which is the global minimum. A unit whose
        direction has no more variance than gamma is collapsed.
    """
    flat = np.asarray(data, np.float64).reshape(len(data), -1)
    bias = flat.mean(axis=0)
    values, vectors = np.linalg.eigh(np.cov(flat.T, bias=True))
    values, vectors = values[::-1], vectors[:, ::-1]
    chosen = np.arange(min(latent_dim, len(values))) if serving is None else np.asarray(serving)
    if gamma is None:
        gamma = float(np.delete(values, chosen).mean())
    values, vectors = values[chosen], vectors[:, chosen]
    lengths = np.sqrt(np.maximum(values - gamma, 0.0))
    beyond = ((0, 0), (0, latent_dim - len(chosen)))
    weights = np.pad(vectors * lengths, beyond)
    encoder = np.pad(vectors * (lengths / np.maximum(values, gamma)), beyond).T
    variance = np.pad(np.minimum(1.0, gamma / np.maximum(values, gamma)), beyond[1], constant_values=1.0)
    return AffineVAE(weights, encoder, variance, bias, data.shape[1:])


def duplicated(data: np.ndarray, gamma: float) -> AffineVAE:
    """Return a VAE of two units that both serve the first principal direction, each with half of it.

    By symmetry it is stationary. Both units have decoder weights a v, means m v'x and variance s^2. With q = 2 a^2 /
    gamma the derivatives of eq. (4) by s^2, m and a are 0 where

      s^2 = 1 / (1 + q / 2),   m = a / (gamma + 2 a^2),   lambda / gamma (1 + q / 2) = (1 + q)^2.
    """
    single = affine_vae(data, 1, gamma)
    direction = single.weights[:, 0] / np.linalg.norm(single.weights)
    ratio = 1.0 / single.latent_variance[0]  # lambda / gamma
    # The last equation as q^2 + (2 - ratio / 2) q + 1 - ratio = 0.
    q = max(np.roots([1.0, 2.0 - ratio / 2, 1.0 - ratio]).real)
    a = math.sqrt(q * gamma / 2)
    weights = np.repeat(a * direction[:, None], 2, axis=1)
    encoder = np.repeat(a / (gamma + 2 * a**2) * direction[None], 2, axis=0)
    return dataclasses.replace(
        single, weights=weights, encoder=encoder, latent_variance=np.full(2, 1.0 / (1.0 + q / 2))
    )


def collapsed(data: np.ndarray, latent_dim: int) -> AffineVAE:
    """Return the VAE at the prior, whose decoder gives the mean of the data whatever z is."""
    total = float(np.asarray(data, np.float64).reshape(len(data), -1).var(axis=0).sum())
    return affine_vae(data, latent_dim, 2 * total)  # no direction has that much


def known_data(
    seed: int,
    shape: tuple[int, ...] = (4, 4, 1),
    eigenvalues: Sequence[float] | None = None,
    *,
    scale: float = 1.0,
    offset: float = 0.5,
    count: int = 2_048,
) -> np.ndarray:
    """Return normally distributed data whose centred covariance has known eigenvalues, exactly.

    Args:
      shape: of one example.
      eigenvalues: of the covariance; EIGENVALUES where there are 16 numbers.
      scale: by which the data are then multiplied.
      offset: the mean of all numbers, after that.
      count: the number of examples.

    Returns:
      float32 [count, *shape].
    """
    random, d = np.random.default_rng(seed), math.prod(shape)
    values = np.asarray(EIGENVALUES if eigenvalues is None else eigenvalues)
    draws = random.standard_normal((count, d))
    draws = draws - draws.mean(axis=0)
    whitener = np.linalg.inv(np.linalg.cholesky(draws.T @ draws / count)).T
    axes = np.linalg.qr(random.standard_normal((d, d)))[0]
    flat = offset + scale * (draws @ whitener * np.sqrt(values) @ axes.T)
    return flat.astype(np.float32).reshape(count, *shape)
