"""How much of the energy an encoder leaves on the table: He et al. 2019's lag, by descent on the posterior itself."""

from __future__ import annotations

import numpy as np

from tfcollapse.diagnosis.model_adapter import ModelAdapter, apply

_IMAGES, _STEPS, _RATE, _PAIRS = 64, 100, 0.02, 4


def amortization_gap(adapter: ModelAdapter, images: np.ndarray, gamma: float, seed: int) -> float | None:
    """Nats an image that 100 steps of Adam on (mu, log sigma^2) gain, the decoder held, half of eq. (4).

    A lower bound on the gap between the encoder and the best Gaussian posterior. The draws of z, in mirrored pairs, are
    the same before and after, and others than those that the descent saw.

    Args:
      images: float32 [n, ...]; the first 64 are used.
      gamma: the decoder variance, times beta.

    Returns:
      None where TensorFlow cannot differentiate the decoder: NumPy functions, other backends.
    """
    try:
        import tensorflow as tf
    except ImportError:
        return None
    images = images[:_IMAGES]
    random = np.random.default_rng(seed)
    draws, held_out = (_mirrored(random, len(images), adapter.latent_dim) for _ in range(2))
    mean, log_variance = (tf.Variable(part.astype(np.float32)) for part in adapter.encode(images))
    x = tf.constant(images)

    def energy(noise: np.ndarray) -> tf.Tensor:
        total = 0.0
        for each in noise:
            z = mean + tf.exp(0.5 * log_variance) * each
            output = apply(adapter.decoder, [z, x] if adapter.autoregressive else [z])
            output = output[0] if isinstance(output, (tuple, list)) else output
            output = tf.reshape(tf.cast(output, tf.float32), [len(images), -1])
            total += tf.reduce_sum(tf.square(output - tf.reshape(x, [len(images), -1])))
        kl = tf.reduce_sum(tf.square(mean) + tf.exp(log_variance) - log_variance)
        return 0.5 * (total / len(noise) / gamma + kl) / len(images)

    return _descend(tf, energy, [mean, log_variance], draws, held_out)


def _descend(tf, energy, variables, draws, held_out) -> float | None:
    import keras

    optimizer = keras.optimizers.Adam(_RATE)

    @tf.function
    def step() -> tf.Tensor:
        with tf.GradientTape() as tape:
            value = energy(draws)
        gradients = tape.gradient(value, variables)
        if any(gradient is None for gradient in gradients):
            raise TypeError("the decoder has no gradient")
        optimizer.apply(gradients, variables)
        return value

    try:
        before = float(energy(held_out))
        for _ in range(_STEPS):
            step()
    except Exception:  # noqa: BLE001 - a stranger's decoder is free not to take tensors of a graph, which have no values
        return None
    return max(0.0, before - float(energy(held_out)))


def _mirrored(random: np.random.Generator, count: int, latent: int) -> np.ndarray:
    """Draws [2 pairs, count, latent] of mean 0 and variance 1 for each image and latent: a descent fits its draws."""
    half = random.standard_normal((_PAIRS, count, latent)).astype(np.float32)
    half /= np.sqrt(np.square(half).mean(axis=0))
    return np.concatenate([half, -half])
