"""Make a model that can be trained here from an encoder and a decoder of the user's own."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from tfcollapse.config.declaration import Run
from tfcollapse.config.objective import Objective
from tfcollapse.data.memory_mapped import blocks
from tfcollapse.diagnosis.adapter.model_adapter import ModelAdapter
from tfcollapse.diagnosis.blame.arms import HE
from tfcollapse.diagnosis.blame.layer_gains import leaves
from tfcollapse.errors import ConfigError, line_of
from tfcollapse.models.autoencoder import Autoencoder
from tfcollapse.models.objectives import bounded_log_variance
from tfcollapse.models.outputs import encoder_outputs

Build = Callable[[int], tuple[keras.Model, keras.Model]]
"""A user's function: seed to a fresh (encoder, decoder)."""


def user_autoencoder(build: Build, run: Run, image_shape: tuple[int, ...]) -> Autoencoder:
    """Build a user's encoder and decoder as an autoencoder with the objective, the start and the seed of `run`."""
    encoder, decoder = build(run.seed)
    model = Autoencoder(
        _UserEncoder(encoder, run.objective),
        _UserDecoder(decoder, image_shape),
        run.objective,
        image_shape=image_shape,
        latent_dim=run.network.latent_dim,
        seed=run.seed,
    )
    model.reconstruct(np.zeros((1, *image_shape), np.float32))  # the first call makes the variables
    if run.network.initializer == HE:
        draw_he_start(encoder, decoder, run.seed)
    return model


def draw_he_start(encoder: keras.Model, decoder: keras.Model, seed: int) -> int:
    """Draw the kernels of every dense and convolutional layer anew from He's normal distribution.

    Args:
      encoder, decoder: Keras models whose variables exist. Their biases and other weights stay.
      seed: of the draws.

    Returns:
      How many kernels were drawn.
    """
    kernels = [layer.kernel for part in (encoder, decoder) for layer in leaves(part) if _has_kernel(layer)]
    for number, kernel in enumerate(kernels):
        kernel.assign(keras.initializers.HeNormal(seed=seed * 100_003 + number)(kernel.shape))
    return len(kernels)


def _has_kernel(layer: keras.Layer) -> bool:
    return hasattr(layer, "kernel_initializer") and len(getattr(getattr(layer, "kernel", None), "shape", ())) >= 2


def user_latent_dim(build: Build, data: np.ndarray, seed: int, option: str = "build") -> int:
    """Count the latents of what a user's function builds, and check that eq. (4) trains it.

    Args:
      build: the function.
      data: [n, ...], uint8 or float32, that it is trained on.
      seed: its argument.
      option: the name of the function in messages.

    Raises:
      ConfigError: a function that takes no seed, that fails, or that returns other things than two fresh Keras models;
        data or parts that do not fit; a decoder that reads the data, or has variances of its own.
    """
    encoder, decoder = _built(build, seed, option)
    adapter = ModelAdapter(encoder, decoder, numbers(data[:2]))
    if adapter.autoregressive or adapter.own_variance:
        what = "reads the images too" if adapter.autoregressive else "has variances of its own"
        raise ConfigError(
            f"{option}: expected a decoder from z to images, received one that {what}, which eq. (4) does not train: "
            "judge the model as you train it with 'tfcollapse diagnose'"
        )
    if adapter.spread != "log_variance" or len(adapter.latent_shape) > 1:
        raise ConfigError(
            f"{option}: expected an encoder of (mean, log_variance), [n, latent] each, received a mean of "
            f"{('n', *adapter.latent_shape)} and a {adapter.spread}: return tensors of that kind, such as "
            "2 * log(sigma), flattened"
        )
    for name, part in (("encoder", encoder), ("decoder", decoder)):
        if not isinstance(part, keras.Model):
            raise ConfigError(
                f"{option}: expected two Keras models (encoder, decoder), received {type(part).__name__} for the "
                f"{name}: return keras.Model objects, whose weights can be trained"
            )
    if _built(build, seed, option)[0] is encoder:
        raise ConfigError(
            f"{option}: expected fresh models at every call, received the same encoder twice: build the layers inside "
            "the function"
        )
    return adapter.latent_dim


def _built(build: Build, seed: int, option: str) -> tuple[Any, Any]:
    """Call a user's function, and return its pair. Raises ConfigError."""
    try:
        inspect.signature(build).bind(seed)
    except TypeError:
        raise ConfigError(
            f"{option}: expected a function of one argument, the seed, received "
            f"{getattr(build, '__name__', 'one')}{inspect.signature(build)}: write 'def build(seed):'"
        ) from None
    except ValueError:  # a builtin, whose signature cannot be read
        pass
    try:
        parts = build(seed)
    except Exception as error:  # a user's own code may raise anything
        raise ConfigError(
            f"{option}: expected two Keras models from the seed {seed}, received {line_of(error)}"
        ) from error
    if not isinstance(parts, (tuple, list)) or len(parts) != 2:
        what = f"{len(parts)} objects" if isinstance(parts, (tuple, list)) else type(parts).__name__
        raise ConfigError(
            f"{option}: expected two Keras models (encoder, decoder), received {what}: end it with "
            "'return encoder, decoder'"
        )
    return parts[0], parts[1]


def numbers(block: np.ndarray) -> np.ndarray:
    """Return examples as the training gives them to the model: float32, uint8 divided by 255."""
    return block.astype(np.float32) / 255 if block.dtype == np.uint8 else block.astype(np.float32)


def reconstruction_error(model: Autoencoder, images: np.ndarray, seed: int = 0) -> float:
    """Return the squared error per pixel, averaged over images, [n, ...]; of a VAE at z that `seed` draws."""
    total, random = 0.0, np.random.default_rng(seed)
    for block in blocks(images, 256):
        batch = numbers(block)
        size = (len(batch), model.latent_dim)
        noise = random.standard_normal(size, dtype=np.float32) if model.variational else None
        total += float(np.square(batch - np.asarray(model.reconstruct(batch, noise)), dtype=np.float64).sum())
    return total / images.size


class _UserEncoder(keras.Model):
    """A user's encoder with the outputs that the objective takes: for an AE the mean alone."""

    def __init__(self, encoder: keras.Model, objective: Objective):
        super().__init__(name="moments")
        self.encoder, self.variational, self.kl_floor = encoder, objective.kind == "vae", objective.kl_floor

    def call(self, images: Any) -> Any:
        mean, log_variance, _ = encoder_outputs(self.encoder(images), joined=False)
        if not self.variational:  # which does not use the log variance; times 0, its weights have a gradient
            return mean + 0.0 * log_variance
        return mean, bounded_log_variance(log_variance, self.kl_floor)


class _UserDecoder(keras.Model):
    """A user's decoder with outputs in the shape of the data."""

    def __init__(self, decoder: keras.Model, shape: tuple[int, ...]):
        super().__init__(name="shaped")
        self.decoder, self.shape_of_data = decoder, shape

    def call(self, latents: Any) -> Any:
        return ops.reshape(self.decoder(latents), (-1, *self.shape_of_data))
