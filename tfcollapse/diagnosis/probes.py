"""Decode latents that are changed on purpose, and measure how the error answers. No gradient is used."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tfcollapse.diagnosis.adapter.model_adapter import BLOCK, Encoded, ModelAdapter
from tfcollapse.diagnosis.likelihoods import GAUSSIAN, Likelihood, negative_log_likelihoods
from tfcollapse.metrics.posterior import active_units

_DECODED = 16_384
"""Latent vectors that `probe_units` may decode, in all."""
_IMAGES = (8, 256)
_JACOBIANS = 16
_NODE, _WEIGHT = np.sqrt(3.0).astype(np.float32), 1.0 / 6.0
"""The outer nodes of the Gauss-Hermite sum; the middle one does not move with sigma."""
_CHANGE = 0.1
"""The change of sigma over which the derivative is taken."""
_LEAST_LOST = 0.1
"""A unit tells gamma by itself where 1 - sigma_j^2 is above this; below it the division amplifies noise."""
_STEP = 0.01
"""In units of the prior's standard deviation: float32 leaves 1e-5 of a pixel's slope, a ReLU's kinks are rarely met."""


class UnitProbe(NamedTuple):
    """What `probe_units` measures.

    Attributes:
      implied_gamma: the decoder variance, times beta, under which the encoder's sigma_z would be stationary; None where
        no unit is active. For another likelihood than the Gaussian it is beta.
      implied_gamma_per_unit: [latent], the same from each active unit alone; NaN for the others.
      shuffled_error_per_unit: [latent], squared error summed over pixels that is added when z_j is another image's.
    """

    implied_gamma: float | None
    implied_gamma_per_unit: np.ndarray
    shuffled_error_per_unit: np.ndarray


def probe_units(
    adapter: ModelAdapter,
    encoded: Encoded,
    latent_variance: np.ndarray,
    seed: int,
    likelihood: Likelihood = GAUSSIAN,
) -> UnitProbe:
    """Measure how the error answers to the noise of z_j, and to another example's z_j, one latent at a time.

    The first gives the implied gamma. At any stationary point of eq. (4) (halved), whatever the encoder, the derivative
    by the bias of the log variance's head of unit j is 0. It follows that gamma (1 - sigma_j^2) is the derivative of
    the halved squared error by the logarithm of sigma_j, both averaged over examples. So the sum of these derivatives
    over the active units, divided by the sum of 1 - sigma_j^2, is the gamma that the encoder was trained under (times
    beta, and times d where the loss averages over pixels). For another likelihood its negative logarithm takes the
    place of the halved squared error, and the result is beta. The mean over the noise of z_j is a Gauss-Hermite sum of
    three nodes, exact up to the fifth power of z_j; the other latents are at a sample.

    Args:
      encoded: examples in random order; the first 8 to 256 are used, fewer the more latents there are.
      latent_variance: [latent], which tells the active units.
      seed: of the noise.
      likelihood: of the decoder's output.
    """
    latent_dim = adapter.latent_dim
    encoded = encoded.first(int(np.clip(_DECODED // (5 * latent_dim), *_IMAGES)))
    sample = _sample(encoded, seed)
    sample_errors = _errors(adapter, sample, encoded.examples)
    noise_errors, shuffled_errors = np.zeros(latent_dim), np.zeros(latent_dim)
    for unit in range(latent_dim):
        noise_errors[unit] = _noise_derivative(adapter, encoded, sample, unit, likelihood)
        shuffled = _with(sample, unit, np.roll(sample[:, unit], 1))
        shuffled_errors[unit] = (_errors(adapter, shuffled, encoded.examples) - sample_errors).mean()
    active = active_units(latent_variance)
    variance_lost = (1.0 - encoded.sigma.astype(np.float64) ** 2).mean(axis=0)
    lost_by_active = variance_lost[active].sum()
    implied_gamma = noise_errors[active].sum() / lost_by_active if active.any() and lost_by_active > 0 else 0.0
    usable = active & (variance_lost > _LEAST_LOST)
    per_unit = np.where(usable, noise_errors / np.where(usable, variance_lost, 1.0), np.nan)
    return UnitProbe(float(implied_gamma) if implied_gamma > 0 else None, per_unit, shuffled_errors)


def _noise_derivative(
    adapter: ModelAdapter, encoded: Encoded, sample: np.ndarray, unit: int, likelihood: Likelihood
) -> float:
    """Return the derivative of the negative log-likelihood by log sigma_j, in nats, averaged over examples."""
    mean, node = encoded.mean[:, unit], _NODE * encoded.sigma[:, unit]

    def outer_nodes(scale: float) -> float:
        """Sum the error at the two outer nodes where sigma is scaled."""
        return sum(
            _likelihood_errors(
                adapter, _with(sample, unit, mean + sign * scale * node), encoded.examples, likelihood
            ).mean()
            for sign in (1.0, -1.0)
        )

    return _WEIGHT * (outer_nodes(1.0 + _CHANGE) - outer_nodes(1.0 - _CHANGE)) / (2 * _CHANGE)


def smallest_singular_values(
    adapter: ModelAdapter, encoded: Encoded, latent_variance: np.ndarray
) -> tuple[float, float | None]:
    """Measure the smallest singular value of the Jacobian d x_hat / dz at mu_z, as the median over 16 images.

    Near 0 with all units, some direction of the latent space does nothing (Kinoshita et al. 2023). The Jacobian is
    measured by central differences.

    Args:
      encoded: images in random order; the first 16 are used.
      latent_variance: [latent], which tells the active units.

    Returns:
      Of the Jacobian by all units, and of the one by the active units; the latter None where no unit is active.
    """
    encoded = encoded.first(_JACOBIANS)
    columns = []
    for unit in range(adapter.latent_dim):
        above, below = (
            adapter.decode(_with(encoded.mean, unit, encoded.mean[:, unit] + step), encoded.examples).mean
            for step in (_STEP, -_STEP)
        )
        columns.append((above.astype(np.float64) - below.astype(np.float64)) / (2 * _STEP))
    jacobians = np.stack(columns, axis=-1)
    active = active_units(latent_variance)
    return _smallest(jacobians), _smallest(jacobians[..., active]) if active.any() else None


def own_and_shuffled_error(adapter: ModelAdapter, encoded: Encoded, seed: int) -> tuple[float, float]:
    """Return the squared error per number with a sample of each example's own z, and of another example's z.

    It says what z tells the decoder, all units at once: the likelihood's sensitivity to the latent (Wang et al. 2021).

    Args:
      encoded: examples in random order; each gets the z of the one before it.
      seed: of the noise.
    """
    latents, size = _sample(encoded, seed), encoded.examples[0].size
    own, shuffled = (
        _errors(adapter, z, encoded.examples).mean() / size for z in (latents, np.roll(latents, 1, axis=0))
    )
    return float(own), float(shuffled)


def squared_errors(images: np.ndarray, outputs: np.ndarray) -> np.ndarray:
    """Return ||x - x_hat||^2, float64 [n], of images [n, ...] and outputs [n, d]."""
    return np.square(images.reshape(len(images), -1) - outputs, dtype=np.float64).sum(axis=1)


def _sample(encoded: Encoded, seed: int) -> np.ndarray:
    """Draw one z for each image, [n, latent]."""
    noise = np.random.default_rng(seed).standard_normal(encoded.mean.shape).astype(np.float32)
    return encoded.mean + encoded.sigma * noise


def _smallest(jacobians: np.ndarray) -> float:
    """Return the median over n of the smallest singular value of each of [n, d, units]."""
    if jacobians.shape[2] > jacobians.shape[1]:
        return 0.0
    # Through J'J: ten times as fast as an SVD, and exact to 1e-8 of the largest.
    squares = np.linalg.eigvalsh(np.swapaxes(jacobians, 1, 2) @ jacobians)[:, 0]
    return float(np.median(np.sqrt(np.maximum(squares, 0.0))))


def _with(latents: np.ndarray, unit: int, column: np.ndarray) -> np.ndarray:
    """Return a copy of the latents in which one unit has other values, [n]."""
    changed = latents.copy()
    changed[:, unit] = column
    return changed


def _errors(adapter: ModelAdapter, latents: np.ndarray, images: np.ndarray) -> np.ndarray:
    """Return the squared error of each image decoded from its latents, summed over pixels, [n]."""
    assert len(images) <= BLOCK
    return squared_errors(images, adapter.decode(latents, images).mean)


def _likelihood_errors(
    adapter: ModelAdapter, latents: np.ndarray, examples: np.ndarray, likelihood: Likelihood
) -> np.ndarray:
    """Return the negative log-likelihood of each example decoded from its latents, in nats, [n]."""
    output = adapter.decode(latents, examples)
    flat = examples.reshape(len(examples), -1)
    return negative_log_likelihoods(likelihood, flat, output.mean, output.log_variance)
