"""Define encoders, decoders and a VAE in plain Keras, as a user would write them, for the constructed cases."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import layers, ops


def encoder(image_shape: tuple[int, ...], latent_dim: int, width: int) -> keras.Model:
    """Build an encoder from images to (mean, log_variance).

    Args:
      width: of its one hidden layer; 0 for none.
    """
    images = keras.Input(image_shape)
    hidden = layers.Flatten()(images)
    if width:
        hidden = layers.Dense(width, activation="relu")(hidden)
    return keras.Model(images, [layers.Dense(latent_dim)(hidden), layers.Dense(latent_dim)(hidden)])


def convolutional_parts(image_shape: tuple[int, int, int], latent_dim: int) -> tuple[keras.Model, keras.Model]:
    """Build a convolutional encoder to (mean, log_variance) and a decoder, for images whose sides 4 divides."""
    images = keras.Input(image_shape)
    hidden = layers.Conv2D(8, 3, strides=2, padding="same", activation="relu")(images)
    hidden = layers.Conv2D(16, 3, strides=2, padding="same", activation="relu")(hidden)
    hidden = layers.Flatten()(hidden)
    latents = keras.Input((latent_dim,))
    height, width, channels = image_shape
    grown = layers.Dense(height * width, activation="relu")(latents)
    grown = layers.Reshape((height // 4, width // 4, 16))(grown)
    grown = layers.Conv2DTranspose(16, 3, strides=2, padding="same", activation="relu")(grown)
    grown = layers.Conv2DTranspose(channels, 3, strides=2, padding="same")(grown)
    heads = [layers.Dense(latent_dim)(hidden), layers.Dense(latent_dim)(hidden)]
    return keras.Model(images, heads), keras.Model(latents, grown)


class OwnVarianceDecoder(keras.Model):
    """Decode z to (mean, log_variance), with one variance for each image: category (iii) where nothing bounds it.

    Args:
      floor: added to every variance; 0 bounds nothing.
    """

    def __init__(self, image_shape: tuple[int, ...], floor: float):
        super().__init__()
        self.shape, self.floor = image_shape, floor
        self.hidden = layers.Dense(32, activation="relu")
        self.mean = layers.Dense(math.prod(image_shape))
        self.log_variance = layers.Dense(1)

    def call(self, latents: Any) -> tuple[Any, Any]:
        hidden = self.hidden(latents)
        mean = ops.reshape(self.mean(hidden), (-1, *self.shape))
        # The factor speeds Adam up. The clip keeps a variance that runs off to 0 a finite logarithm.
        variance = self.floor + ops.exp(ops.clip(3.0 * self.log_variance(hidden), -25.0, 5.0))
        return mean, ops.broadcast_to(ops.log(variance)[:, :, None, None], ops.shape(mean))


class CausalDecoder(keras.Model):
    """Decode (z, images) to images: every pixel from z, and from the pixels above it and to its left: category (iv).

    Args:
      blind: whether the convolution sees no pixel at all.
    """

    def __init__(self, image_shape: tuple[int, ...], blind: bool):
        super().__init__()
        self.shape = image_shape
        # Of Glorot's size the weights are ten times too large for these images, and the scale of z arrives late.
        small = keras.initializers.RandomNormal(stddev=0.02)
        self.from_latents = layers.Dense(math.prod(image_shape), kernel_initializer=small)
        self.kernel = self.add_weight(shape=(2, 2, image_shape[-1], image_shape[-1]), name="kernel")
        seen = [0.0, 0.0, 0.0, 0.0] if blind else [1.0, 1.0, 1.0, 0.0]
        self.mask = ops.reshape(ops.convert_to_tensor(seen), (2, 2, 1, 1))

    def build(self, latents_shape: Any, images_shape: Any) -> None:
        self.from_latents.build(latents_shape)

    def call(self, latents: Any, images: Any) -> Any:
        mean = ops.reshape(self.from_latents(latents), (-1, *self.shape))
        before = ops.pad(images - 0.5, ((0, 0), (1, 0), (1, 0), (0, 0)))
        return mean + ops.conv(before, self.kernel * self.mask, padding="valid")


class SoftThresholdDecoder(keras.Model):
    """Decode z to the soft threshold of W z, plus b: eq. (5).

    Args:
      alpha: the threshold.
      start: the initial value of every weight.
    """

    def __init__(self, image_shape: tuple[int, ...], alpha: float, start: float):
        super().__init__()
        self.shape, self.alpha = image_shape, alpha
        d = math.prod(image_shape)
        self.weight = layers.Dense(d, use_bias=False, kernel_initializer=keras.initializers.Constant(start))
        self.offset = self.add_weight(shape=(d,), initializer=keras.initializers.Constant(0.5), name="offset")

    def call(self, latents: Any) -> Any:
        u = self.weight(latents)
        threshold = ops.sign(u) * ops.maximum(ops.abs(u) - self.alpha, 0.0)
        return ops.reshape(threshold + self.offset, (-1, *self.shape))


class ExampleVAE(keras.Model):
    """A VAE like the keras.io example, with a train_step of its own.

    Args:
      gamma: the decoder variance; None for eq. (10) on each batch.
    """

    def __init__(self, encoder: keras.Model, decoder: keras.Model, gamma: float | None = None):
        super().__init__()
        self.gamma = gamma
        self.encoder, self.decoder = encoder, decoder
        self.log_gamma = self.add_weight(shape=(), initializer="zeros", trainable=False, name="log_gamma")
        self.random = keras.random.SeedGenerator(0)

    def train_step(self, images: Any) -> dict[str, Any]:
        import tensorflow as tf

        with tf.GradientTape() as tape:
            mean, log_variance = self.encoder(images)
            latents = mean + ops.exp(0.5 * log_variance) * keras.random.normal(ops.shape(mean), seed=self.random)
            kl = ops.sum(ops.square(mean) + ops.exp(log_variance) - log_variance, axis=-1)
            loss = ops.mean(self._data_term(latents, images) + kl)
        self.optimizer.apply(tape.gradient(loss, self.trainable_variables), self.trainable_variables)
        return {"loss": loss}

    def _data_term(self, latents: Any, images: Any) -> Any:
        if isinstance(self.decoder, OwnVarianceDecoder):
            output, log_variance = self.decoder(latents)
            return ops.sum(ops.square(images - output) / ops.exp(log_variance) + log_variance, axis=(1, 2, 3))
        causal = isinstance(self.decoder, CausalDecoder)
        output = self.decoder(latents, images) if causal else self.decoder(latents)
        error = ops.sum(ops.square(images - output), axis=(1, 2, 3))
        gamma = ops.mean(error) / math.prod(images.shape[1:]) if self.gamma is None else self.gamma
        self.log_gamma.assign(ops.stop_gradient(ops.log(gamma)))
        return error / ops.exp(self.log_gamma)
