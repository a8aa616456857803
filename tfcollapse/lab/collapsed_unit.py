"""A collapsed unit of a deep VAE: its exact gradients, and products with the Hessian restricted to it (Appendix D)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfcollapse.errors import ConfigError
from tfcollapse.lab.float64 import in_float64
from tfcollapse.models.autoencoder import Autoencoder
from tfcollapse.models.networks.layers import apply_chain

_NODES = np.array([1.0, -1.0])
"""Gauss-Hermite nodes of z_j, weights 1/2: exact here, as at w_j = 0 gradient and Hessian hold z_j at most squared."""


class UnitGradient(NamedTuple):
    """Derivatives of eq. (4) by what belongs to one unit.

    Attributes:
      decoder: by column j of the decoder's first weights (a row of the Keras kernel).
      mean, log_variance: by row j of the heads' weights (a column of the Keras kernel), the bias last.
    """

    decoder: np.ndarray
    mean: np.ndarray
    log_variance: np.ndarray

    @property
    def largest(self) -> float:
        """The largest absolute entry."""
        return float(max(np.abs(part).max() for part in self))


def collapse(model: Autoencoder, unit: int, mean_bias: float = 0.0, log_variance_bias: float = 0.0) -> None:
    """Set Proposition 4's weights of a unit to zero in place, and the biases of its heads to these values."""
    first = _first(model)
    for variable, index, value in (
        (first.kernel, (unit, slice(None)), 0.0),
        (model.encoder.mean.kernel, (slice(None), unit), 0.0),
        (model.encoder.log_variance.kernel, (slice(None), unit), 0.0),
        (model.encoder.mean.bias, (unit,), mean_bias),
        (model.encoder.log_variance.bias, (unit,), log_variance_bias),
    ):
        values = np.array(variable)
        values[index] = value
        variable.assign(values)


def unit_gradient(model: Autoencoder, unit: int, images: np.ndarray, gamma: float, seed: int = 0) -> UnitGradient:
    """Eq. (4)'s exact derivatives by a collapsed unit's weights: autodiff through the whole model, z_j by quadrature.

    Args:
      model: of any architecture of the package, the unit collapsed by `collapse`.
      images: [n, h, w, c] in [0, 1].
      gamma: the decoder variance.
    """
    images = np.concatenate([images, images])
    noise = np.random.default_rng(seed).standard_normal((len(images) // 2, model.latent_dim))
    noise = np.concatenate([noise, noise])
    noise[:, unit] = np.repeat(_NODES, len(images) // 2)
    variables = [_first(model).kernel]
    for head in (model.encoder.mean, model.encoder.log_variance):
        variables += [head.kernel, head.bias]
    with tf.GradientTape() as tape:
        posterior = model.encode(tf.constant(images, model.compute_dtype))
        outputs = model.decode(posterior.sample(tf.constant(noise, model.compute_dtype)))
        error = tf.reduce_sum(tf.square(images - outputs), axis=(1, 2, 3))
        own = tf.square(posterior.mean) + tf.exp(posterior.log_variance) - posterior.log_variance
        value = tf.reduce_mean(error / gamma + tf.reduce_sum(own, axis=-1))
    decoder, *heads = (np.asarray(each) for each in tape.gradient(value, [v.value for v in variables]))
    mean, log_variance = (np.append(heads[i][:, unit], heads[i + 1][unit]) for i in (0, 2))
    return UnitGradient(decoder[unit], mean, log_variance)


class UnitHessian:
    """Products with the Hessian of eq. (4) restricted to one collapsed unit of a dense VAE, in float64.

    The parameters are the unit's decoder column, then its mean head's row and bias, then its log-variance head's. ReLU
    networks are piecewise linear, so the Hessian is that of the piece at hand.

    Args:
      model: a VAE of this package; a copy is collapsed at `unit`, the rest stays as it is.
      images: [n, h, w, c] in [0, 1].
      gamma: the decoder variance; None takes the optimal one, eq. (10), with the unit collapsed.

    Attributes:
      size: parameters of the unit.
      gamma: the decoder variance used.
    """

    def __init__(self, model: Autoencoder, unit: int, images: np.ndarray, gamma: float | None = None, seed: int = 0):
        if not 0 <= unit < model.latent_dim:
            raise ConfigError(f"unit: expected 0 to {model.latent_dim - 1}, received {unit}")
        model = in_float64(model)
        collapse(model, unit)
        first, *self._rest = model.decoder.body
        images = tf.constant(images, tf.float64)
        self._features = apply_chain(model.encoder.body, images)
        noise = np.random.default_rng(seed).standard_normal((len(images), model.latent_dim))
        others = model.encode(images).sample(tf.constant(noise))
        self._before = tf.matmul(others, first.kernel.value) + first.bias
        self._activation = first.activation
        self._images = images
        self._sizes = [first.units, self._features.shape[-1], 1, self._features.shape[-1], 1]
        self.size = sum(self._sizes)
        error = tf.square(images - self._decode(self._before))
        self.gamma = float(tf.reduce_mean(error)) if gamma is None else gamma
        self._compiled = tf.function(self._product).get_concrete_function(tf.TensorSpec([self.size], tf.float64))

    def product(self, vector: np.ndarray) -> np.ndarray:
        """The Hessian times a vector, [size]."""
        return self._compiled(tf.constant(vector, tf.float64)).numpy()

    def _decode(self, before: tf.Tensor) -> tf.Tensor:
        return apply_chain(self._rest, self._activation(before))

    def _energy(self, flat: tf.Tensor) -> tf.Tensor:
        column, mean_row, mean_bias, variance_row, variance_bias = tf.split(flat, self._sizes)
        mean = tf.linalg.matvec(self._features, mean_row) + mean_bias
        log_variance = tf.linalg.matvec(self._features, variance_row) + variance_bias
        error = 0.0
        for node in _NODES:
            z = mean + tf.exp(0.5 * log_variance) * node
            outputs = self._decode(self._before + z[:, None] * column)
            error += tf.reduce_mean(tf.reduce_sum(tf.square(self._images - outputs), axis=(1, 2, 3))) / len(_NODES)
        return error / self.gamma + tf.reduce_mean(tf.square(mean) + tf.exp(log_variance) - log_variance)

    def _product(self, vector: tf.Tensor) -> tf.Tensor:
        point = tf.zeros_like(vector)
        with tf.GradientTape() as outer:
            outer.watch(point)
            with tf.GradientTape() as inner:
                inner.watch(point)
                energy = self._energy(point)
            along = tf.reduce_sum(inner.gradient(energy, point) * vector)
        return outer.gradient(along, point)


def _first(model: Autoencoder):
    """The decoder's first layer: dense in every architecture of the package."""
    return model.decoder.body[0]
