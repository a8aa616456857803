"""Make a model that can be trained here from an encoder and a decoder of the user's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from tfcollapse.config.declaration import Run
from tfcollapse.data.memory_mapped import blocks
from tfcollapse.diagnosis.model_adapter import ModelAdapter
from tfcollapse.errors import ConfigError
from tfcollapse.models.autoencoder import Autoencoder

Build = Callable[[int], tuple[keras.Model, keras.Model]]
"""A user's function: seed to a fresh (encoder, decoder)."""


def user_autoencoder(build: Build, run: Run, image_shape: tuple[int, ...]) -> Autoencoder:
    """Build a user's encoder and decoder as an autoencoder with the objective and the seed of `run`."""
    encoder, decoder = build(run.seed)
    return Autoencoder(
        _UserEncoder(encoder, run.objective.kind == "vae"),
        decoder,
        run.objective,
        image_shape=image_shape,
        latent_dim=run.network.latent_dim,
        seed=run.seed,
    )


def user_latent_dim(encoder: keras.Model, decoder: keras.Model, images: np.ndarray) -> int:
    """Count the latents of a user's encoder, and check that eq. (4) trains the decoder.

    Raises:
      ConfigError: images or parts that do not fit; a decoder that reads the images, or has variances of its own.
    """
    adapter = ModelAdapter(encoder, decoder, images[:2].astype(np.float32) / 255)
    if adapter.autoregressive or adapter.own_variance:
        what = "reads the images too" if adapter.autoregressive else "has variances of its own"
        raise ConfigError(
            f"build: expected a decoder from z to images, received one that {what}, which eq. (4) does not train: "
            "judge the model as you train it with 'tfcollapse diagnose'"
        )
    return adapter.latent_dim


def reconstruction_error(model: Autoencoder, images: np.ndarray) -> float:
    """Return an AE's squared error per pixel, averaged over images, [n, ...]."""
    total = 0.0
    for block in blocks(images, 256):
        batch = block.astype(np.float32) / 255  # as in training
        total += float(np.square(batch - np.asarray(model.reconstruct(batch)), dtype=np.float64).sum())
    return total / images.size


class _UserEncoder(keras.Model):
    """A user's encoder with the outputs that `Autoencoder` takes: the mean alone for an AE."""

    def __init__(self, encoder: keras.Model, variational: bool):
        super().__init__(name="moments")
        self.encoder, self.variational = encoder, variational

    def call(self, images: Any) -> Any:
        mean, log_variance = self.encoder(images)[:2]
        # An AE does not use the log variance. Times 0, its weights have the gradient that an optimiser expects.
        return (mean, log_variance) if self.variational else mean + 0.0 * log_variance
