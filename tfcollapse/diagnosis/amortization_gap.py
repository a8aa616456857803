"""Measure how far an encoder is from the best Gaussian posterior: the lag of He et al. 2019."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tfcollapse.diagnosis.model_adapter import Encoded, ModelAdapter, apply

_IMAGES, _STEPS, _RATE, _PAIRS = 64, 100, 0.02, 4


def amortization_gap(adapter: ModelAdapter, encoded: Encoded, gamma: float, seed: int) -> float | None:
    """Return the nats an image by which a descent on the posterior itself lowers half of eq. (4).

    The descent is 100 steps of Adam on (mu, log sigma^2) of every image; the decoder stays. The result is a lower bound
    on the gap between the encoder and the best Gaussian posterior. The energies before and after are measured with the
    same draws of z, and the descent uses other draws. Both come in mirrored pairs.

    Args:
      encoded: the first 64 images are used.
      gamma: the decoder variance, times beta.
      seed: of the draws.

    Returns:
      None where TensorFlow cannot differentiate the decoder: NumPy functions, other backends.
    """
    try:
        import tensorflow as tf
    except ImportError:
        return None
    encoded = encoded.first(_IMAGES)
    random = np.random.default_rng(seed)
    descent_draws, held_out_draws = (_mirrored(random, *encoded.mean.shape) for _ in range(2))
    mean, log_variance = (tf.Variable(part.astype(np.float32)) for part in (encoded.mean, encoded.log_variance))
    images = tf.constant(encoded.examples)
    pixels = tf.reshape(images, [len(encoded), -1])

    def energy(draws: np.ndarray) -> tf.Tensor:
        total = 0.0
        for noise in draws:
            z = mean + tf.exp(0.5 * log_variance) * noise
            output = apply(adapter.decoder, [z, images] if adapter.autoregressive else [z])
            output = output[0] if isinstance(output, (tuple, list)) else output
            total += tf.reduce_sum(tf.square(tf.reshape(tf.cast(output, tf.float32), pixels.shape) - pixels))
        kl = tf.reduce_sum(tf.square(mean) + tf.exp(log_variance) - log_variance)
        return 0.5 * (total / len(draws) / gamma + kl) / len(encoded)

    return _descend(tf, energy, [mean, log_variance], descent_draws, held_out_draws)


def _descend(
    tf: Any,
    energy: Callable[[np.ndarray], Any],
    variables: list[Any],
    descent_draws: np.ndarray,
    held_out_draws: np.ndarray,
) -> float | None:
    """Descend on the energy, and return by how much it fell on the held-out draws; None without a gradient."""
    import keras

    optimizer = keras.optimizers.Adam(_RATE)

    @tf.function
    def step() -> None:
        with tf.GradientTape() as tape:
            value = energy(descent_draws)
        gradients = tape.gradient(value, variables)
        if any(gradient is None for gradient in gradients):
            raise TypeError("the decoder has no gradient")
        optimizer.apply(gradients, variables)

    try:
        before = float(energy(held_out_draws))
        for _ in range(_STEPS):
            step()
    except Exception:  # noqa: BLE001 - a user's decoder may not take the tensors of a graph, which have no values
        return None
    return max(0.0, before - float(energy(held_out_draws)))


def _mirrored(random: np.random.Generator, count: int, latent_dim: int) -> np.ndarray:
    """Draw noise, [2 pairs, count, latent], of mean 0 and variance 1 for each image and latent.

    Other moments would be fitted by the descent.
    """
    half = random.standard_normal((_PAIRS, count, latent_dim)).astype(np.float32)
    half /= np.sqrt(np.square(half).mean(axis=0))
    return np.concatenate([half, -half])
