"""Evaluate a model on every image of a split, and measure the signal in its layers before training."""

from __future__ import annotations

import math
from typing import Any, NamedTuple, Protocol

import numpy as np
from keras import ops

from tfcollapse.config.declaration import Run
from tfcollapse.data import random_streams
from tfcollapse.data.memory_mapped import blocks
from tfcollapse.metrics import posterior
from tfcollapse.metrics.accumulator import PosteriorAccumulator
from tfcollapse.metrics.information import AggregatePosterior
from tfcollapse.metrics.layer_signal import signal
from tfcollapse.models.autoencoder import Autoencoder

_DRAWS = 512
"""Images whose samples of z estimate I_q(x; z). They are the first ones of the split."""


class Block(NamedTuple):
    """What a model gives for a block of images.

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
        """Run the model on a block of images.

        Args:
          images: uint8 [n <= EVALUATION_BLOCK, h, w, c].
          noise: float32 [EVALUATION_BLOCK, latent], standard normal; the first n rows are used.
        """


def evaluate(engine: Engine, run: Run, images: np.ndarray) -> dict[str, Any]:
    """Return the numbers that a record keeps of one split.

    `reconstruction_error` is that of eq. (8): (1/nd) times the sum of squared errors, at a sample of z for a VAE. The
    KL is in nats, summed over dimensions and averaged over images. `mutual_information` is I_q(x; z) in nats, which no
    estimate over n images can put above log n. Memory does not grow with n.

    Args:
      engine: holds the model.
      run: gives the seed of the noise, and says whether the model is a VAE.
      images: uint8 [n, h, w, c]; every one of them is used.
    """
    variational = run.objective.kind == "vae"
    accumulator = PosteriorAccumulator(math.prod(images.shape[1:]), covariance=True)
    aggregate: AggregatePosterior | None = None
    for number, batch in enumerate(blocks(images, random_streams.EVALUATION_BLOCK)):
        noise = random_streams.evaluation_noise(run.seed, number, run.network.latent_dim)
        block = engine.evaluate(batch, noise)
        log_variance = block.log_variance if variational else None
        if variational:
            if aggregate is None:
                drawn = slice(min(_DRAWS, len(batch)))
                aggregate = AggregatePosterior(block.mean[drawn], block.log_variance[drawn], noise[drawn])
            aggregate.add(block.mean, block.log_variance)
        accumulator.add(block.mean, log_variance, block.sampled_error, block.mean_error)
    latent_variance = accumulator.latent_variance
    numbers: dict[str, Any] = {
        "images": accumulator.count,
        "reconstruction_error": accumulator.error,
        "reconstruction_error_at_mean": accumulator.error_at_mean,
        "latent_variance": latent_variance.tolist(),
        "effective_rank": posterior.effective_rank(accumulator.covariance),
    }
    if aggregate is not None:
        kl = accumulator.kl_per_dimension
        numbers |= {
            # Not for an AE: its latent scale is arbitrary, and so would be a threshold on it.
            "active_units": int(posterior.active_units(latent_variance).sum()),
            "kl": float(kl.sum()),
            "kl_per_dimension": kl.tolist(),
            "mutual_information": aggregate.information().nats,
            "sigma_above_0.9": accumulator.share_near_prior,
            "sigma_histogram": accumulator.sigma_histogram.tolist(),
        }
    return numbers


def initial_signal(model: Autoencoder, images: np.ndarray) -> dict[str, list[float]]:
    """Measure the `signal` after each layer that has weights, before training.

    Args:
      model: untrained.
      images: uint8 [n, h, w, c].

    Returns:
      Under "encoder" one number for each of its layers in order, the head of the mean last. Under "decoder" the same at
      the posterior's mean.
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
    """Return the `signal` of a layer's output, a tensor [n, ...]."""
    return signal(ops.convert_to_numpy(output))
