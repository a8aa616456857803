"""A trained model over a whole split: nothing dropped, z sampled by draws of its own."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import numpy as np

from tfcollapse import draws
from tfcollapse.config import Run
from tfcollapse.diagnostics import posterior


class Block(NamedTuple):
    """A model on a block of images.

    Attributes:
      sampled_error, mean_error: [n], squared error summed over pixels, at one sample of z and at its mean.
      mean, log_variance: [n, latent]; an AE's log variance is -inf.
    """

    sampled_error: np.ndarray
    mean_error: np.ndarray
    mean: np.ndarray
    log_variance: np.ndarray


class Engine(Protocol):
    """What evaluation needs of an engine."""

    def evaluate(self, images: np.ndarray, noise: np.ndarray) -> Block:
        """uint8 [n <= EVALUATION_BLOCK, h, w, c] and float32 [EVALUATION_BLOCK, latent]."""


def evaluate(engine: Engine, run: Run, images: np.ndarray) -> Block:
    """The model on every one of `images`, uint8 [n, h, w, c]."""
    size, latent = draws.EVALUATION_BLOCK, run.network.latent_dim
    blocks = [
        engine.evaluate(images[start : start + size], draws.evaluation_noise(run.seed, number, latent))
        for number, start in enumerate(range(0, len(images), size))
    ]
    return Block(*(np.concatenate(parts) for parts in zip(*blocks, strict=True)))


@np.errstate(over="ignore", invalid="ignore")  # a diverged model's numbers are not finite, and say so
def measures(block: Block, run: Run, dimensions: int) -> dict[str, Any]:
    """The numbers a record keeps of one split.

    `reconstruction_error` is eq. (8)'s: (1/nd) sum of squared errors, at a sample of z for a VAE. The KL is
    in nats, summed over dimensions, averaged over images.
    """
    numbers: dict[str, Any] = {
        "images": len(block.mean),
        "reconstruction_error": float(block.sampled_error.mean(dtype=np.float64) / dimensions),
        "reconstruction_error_at_mean": float(block.mean_error.mean(dtype=np.float64) / dimensions),
        "latent_variance": np.var(block.mean, axis=0, dtype=np.float64).tolist(),
    }
    if run.objective.kind == "vae":
        kl = posterior.kl_per_dimension(block.mean, block.log_variance)
        numbers |= {
            # Not for an AE: its latent scale is arbitrary, and so would be a threshold on it.
            "active_units": int(posterior.active_units(block.mean).sum()),
            "kl": float(kl.sum()),
            "kl_per_dimension": kl.tolist(),
            "sigma_above_0.9": float((block.log_variance > 2 * np.log(0.9)).mean()),
            "sigma_histogram": posterior.sigma_histogram(block.log_variance).tolist(),
        }
    return numbers
