"""A trained model over a whole split: nothing dropped, z sampled by draws of its own."""

from __future__ import annotations

import math
from typing import Any, NamedTuple, Protocol

import numpy as np
from keras import ops

from tfcollapse.config.declaration import Run
from tfcollapse.data import random_streams as draws
from tfcollapse.data.memory_mapped import blocks
from tfcollapse.metrics import posterior
from tfcollapse.metrics.layer_signal import signal
from tfcollapse.models.autoencoder import Autoencoder


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


def evaluate(engine: Engine, run: Run, images: np.ndarray) -> dict[str, Any]:
    """The numbers a record keeps of one split, from every one of `images`, uint8 [n, h, w, c].

    `reconstruction_error` is eq. (8)'s: (1/nd) sum of squared errors, at a sample of z for a VAE. The KL is
    in nats, summed over dimensions, averaged over images. Memory does not grow with n.
    """
    totals = _Totals(run.objective.kind == "vae")
    for number, block in enumerate(blocks(images, draws.EVALUATION_BLOCK)):
        totals.add(engine.evaluate(block, draws.evaluation_noise(run.seed, number, run.network.latent_dim)))
    return totals.numbers(math.prod(images.shape[1:]))


class _Totals:
    """Sums over blocks, in float64."""

    def __init__(self, variational: bool):
        self.variational = variational
        self.count = 0
        self.sums: dict[str, Any] = {}
        self.mean = self.spread = np.zeros(())

    @np.errstate(over="ignore", invalid="ignore")  # a diverged model's numbers are not finite, and say so
    def add(self, block: Block) -> None:
        size = len(block.mean)
        parts: dict[str, Any] = {
            "sampled_error": block.sampled_error.sum(dtype=np.float64),
            "mean_error": block.mean_error.sum(dtype=np.float64),
        }
        if self.variational:
            parts |= {
                "kl": size * posterior.kl_per_dimension(block.mean, block.log_variance),
                "above": (block.log_variance > 2 * np.log(0.9)).sum(),
                "histogram": size * posterior.sigma_histogram(block.log_variance),
            }
        self.sums = {name: self.sums.get(name, 0.0) + part for name, part in parts.items()}
        # Chan et al. 1979: the variance of two parts from theirs and the distance of their means.
        mean = block.mean.mean(axis=0, dtype=np.float64)
        apart, both = mean - self.mean, self.count + size
        self.spread = (
            self.spread + size * block.mean.var(axis=0, dtype=np.float64) + apart**2 * self.count * size / both
        )
        self.mean, self.count = self.mean + apart * size / both, both

    def numbers(self, dimensions: int) -> dict[str, Any]:
        variance = self.spread / self.count
        found: dict[str, Any] = {
            "images": self.count,
            "reconstruction_error": float(self.sums["sampled_error"] / (self.count * dimensions)),
            "reconstruction_error_at_mean": float(self.sums["mean_error"] / (self.count * dimensions)),
            "latent_variance": variance.tolist(),
        }
        if self.variational:
            kl = self.sums["kl"] / self.count
            found |= {
                # Not for an AE: its latent scale is arbitrary, and so would be a threshold on it.
                "active_units": int(posterior.active_units(variance).sum()),
                "kl": float(kl.sum()),
                "kl_per_dimension": kl.tolist(),
                "sigma_above_0.9": float(self.sums["above"] / (self.count * len(kl))),
                "sigma_histogram": (self.sums["histogram"] / self.count).tolist(),
            }
        return found


def initial_signal(model: Autoencoder, images: np.ndarray) -> dict[str, list[float]]:
    """Measure the `signal` after each layer that has weights, before training.

    Args:
      model: untrained.
      images: uint8 [n, h, w, c].

    Returns:
      "encoder": its layers in order, the mean's head last; "decoder": its layers, at the posterior's mean.
    """
    pixels = images.astype(np.float32) / 255.0
    signals: dict[str, list[float]] = {"encoder": [], "decoder": []}
    for layer, output in model.encoder.layer_outputs(pixels):
        if layer.weights:
            signals["encoder"].append(_signal(output))
    mean = model.encoder.mean(output)
    signals["encoder"].append(_signal(mean))
    for layer, output in model.decoder.layer_outputs(mean):
        if layer.weights:
            signals["decoder"].append(_signal(output))
    return signals


def _signal(output: Any) -> float:
    return signal(ops.convert_to_numpy(output))
