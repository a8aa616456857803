"""What a decoder does with each latent, by trying: squared errors at latents moved on purpose, no gradient needed."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tfcollapse.diagnosis.model_adapter import BLOCK, ModelAdapter
from tfcollapse.metrics.posterior import active_units

_DECODED = 16_384
_IMAGES = (8, 256)
_JACOBIANS = 16
_STEP = 0.01
"""In units of the prior's standard deviation: float32 leaves 1e-5 of a pixel's slope, a ReLU's kinks are rarely met."""


class Response(NamedTuple):
    """Attributes: as `Measurements` has them."""

    implied_gamma: float | None
    shuffled_error_per_unit: np.ndarray


def response(adapter: ModelAdapter, images: np.ndarray, latent_variance: np.ndarray, seed: int) -> Response:
    """How the error answers to sigma_z and to a wrong z_j, latent by latent.

    At any stationary point of eq. (4), whatever the encoder, the derivative by the bias of the log-variance head of
    unit j vanishes: the error that the noise of z_j adds, over gamma, is 1 - sigma_j^2, both averaged over images. So
    the sum over active units of the one over that of the other is the gamma (times beta, and times d where the loss
    averages over pixels) that the encoder was trained under. Measured with the two-point rule z_j = mu_j +- sigma_j
    against mu_j, the other latents at a sample: exact where the decoder is affine.

    Args:
      images: float32 [n, ...] in random order; the first 8 to 256 of them are used, fewer the more latents.
      latent_variance: [latent].
    """
    latent = adapter.latent_dim
    images = images[: int(np.clip(_DECODED // (4 * latent), *_IMAGES))]
    mean, log_variance = adapter.encode(images)
    sigma = np.exp(0.5 * log_variance)
    noise = np.random.default_rng(seed).standard_normal(mean.shape).astype(np.float32)
    drawn = mean + sigma * noise
    base = _errors(adapter, drawn, images)
    added, used = np.zeros(latent), np.zeros(latent)
    for unit in range(latent):
        moved = []
        for column in (mean[:, unit], mean[:, unit] + sigma[:, unit], mean[:, unit] - sigma[:, unit]):
            moved.append(_errors(adapter, _with(drawn, unit, column), images).mean())
        added[unit] = 0.5 * (moved[1] + moved[2]) - moved[0]
        used[unit] = (_errors(adapter, _with(drawn, unit, np.roll(drawn[:, unit], 1)), images) - base).mean()
    alive = active_units(latent_variance)
    room = (1.0 - sigma.astype(np.float64) ** 2).mean(axis=0)[alive].sum()
    implied = added[alive].sum() / room if alive.any() and room > 0 else 0.0
    return Response(float(implied) if implied > 0 else None, used)


def smallest_singular_values(
    adapter: ModelAdapter, images: np.ndarray, latent_variance: np.ndarray
) -> tuple[float, float | None]:
    """Of the Jacobian d x_hat / dz at mu_z, median over 16 images: with all units, and with the active ones.

    Near 0 with all units: some direction of the latent space does nothing (Kinoshita et al. 2023). Central differences.
    """
    images = images[:_JACOBIANS]
    mean = adapter.encode(images)[0]
    columns = []
    for unit in range(adapter.latent_dim):
        up, down = (
            adapter.decode(_with(mean, unit, mean[:, unit] + step), images).mean.astype(np.float64)
            for step in (_STEP, -_STEP)
        )
        columns.append((up - down) / (2 * _STEP))
    jacobians = np.stack(columns, axis=-1)
    alive = active_units(latent_variance)
    return _smallest(jacobians), _smallest(jacobians[..., alive]) if alive.any() else None


def shuffled_error(adapter: ModelAdapter, images: np.ndarray, seed: int) -> float:
    """Squared error per pixel with every image's z exchanged for a sample of the next one's; images in random order.

    What z tells the decoder: the likelihood's sensitivity to the latent (Wang et al. 2021), all units at once.
    """
    mean, log_variance = adapter.encode(images)
    noise = np.random.default_rng(seed).standard_normal(mean.shape).astype(np.float32)
    latents = np.roll(mean + np.exp(0.5 * log_variance) * noise, 1, axis=0)
    return float(_errors(adapter, latents, images).mean() / images[0].size)


def _smallest(jacobians: np.ndarray) -> float:
    if jacobians.shape[2] > jacobians.shape[1]:
        return 0.0
    # Through J'J: ten times as fast as an SVD, and exact to 1e-8 of the largest.
    squares = np.linalg.eigvalsh(np.swapaxes(jacobians, 1, 2) @ jacobians)[:, 0]
    return float(np.median(np.sqrt(np.maximum(squares, 0.0))))


def _with(latents: np.ndarray, unit: int, column: np.ndarray) -> np.ndarray:
    moved = latents.copy()
    moved[:, unit] = column
    return moved


def _errors(adapter: ModelAdapter, latents: np.ndarray, images: np.ndarray) -> np.ndarray:
    """Summed over pixels, [n]."""
    assert len(images) <= BLOCK
    return squared_errors(images, adapter.decode(latents, images).mean)


def squared_errors(images: np.ndarray, outputs: np.ndarray) -> np.ndarray:
    """||x - x_hat||^2, float64 [n], of images [n, ...] and outputs [n, d]."""
    return np.square(images.reshape(len(images), -1) - outputs, dtype=np.float64).sum(axis=1)
