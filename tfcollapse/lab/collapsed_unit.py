"""Collapse a unit of a deep VAE, and compute its exact gradients and products with its Hessian (Appendix D)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfcollapse.errors import ConfigError
from tfcollapse.lab.float64 import in_float64
from tfcollapse.models.autoencoder import Autoencoder

_NODES = np.array([1.0, -1.0])
"""The Gauss-Hermite nodes of z_j, each with weight 1/2.

Two nodes are exact here: at w_j = 0 the gradient and the Hessian hold z_j at most squared.
"""


class UnitGradient(NamedTuple):
    """The derivatives of eq. (4) by the weights of one unit j.

    Attributes:
      decoder: [units of the layers that take z], by column j of the decoder's weights from z, which is a row of a
        Keras kernel; layer after layer, where several layers take z.
      mean, log_variance: [features + 1] each, by row j of the head's weights, which is a column of the Keras kernel;
        the derivative by the bias is the last entry.
    """

    decoder: np.ndarray
    mean: np.ndarray
    log_variance: np.ndarray

    @property
    def largest(self) -> float:
        """Return the largest absolute entry of the three parts."""
        return float(max(np.abs(part).max() for part in self))


def collapse(model: Autoencoder, unit: int, mean_bias: float = 0.0, log_variance_bias: float = 0.0) -> None:
    """Set the weights of a unit that Proposition 4 names to zero, in place.

    Args:
      model: a VAE of this package.
      unit: the index of the unit, from 0.
      mean_bias, log_variance_bias: the values that the unit's biases in the two heads are set to.
    """
    for variable, index, value in (
        *((layer.kernel, (unit, slice(None)), 0.0) for layer in model.decoder.latent_layers()),
        (model.encoder.mean.kernel, (slice(None), unit), 0.0),
        (model.encoder.log_variance.kernel, (slice(None), unit), 0.0),
        (model.encoder.mean.bias, (unit,), mean_bias),
        (model.encoder.log_variance.bias, (unit,), log_variance_bias),
    ):
        values = np.array(variable)
        values[index] = value
        variable.assign(values)


def unit_gradient(model: Autoencoder, unit: int, images: np.ndarray, gamma: float, seed: int = 0) -> UnitGradient:
    """Return the exact derivatives of eq. (4) by the weights of a collapsed unit.

    They are computed by automatic differentiation through the whole model. The expectation over z_j is computed by
    quadrature; the other latents are sampled once.

    Args:
      model: a VAE of any architecture of this package, whose unit `collapse` has collapsed.
      unit: the index of the unit, from 0.
      images: [n, h, w, c] in [0, 1].
      gamma: the decoder variance.
      seed: the seed of the draws of the other latents.

    Returns:
      The derivatives of the energy: nats times two, averaged over images.
    """
    images = np.concatenate([images, images])
    noise = np.random.default_rng(seed).standard_normal((len(images) // 2, model.latent_dim))
    noise = np.concatenate([noise, noise])
    noise[:, unit] = np.repeat(_NODES, len(images) // 2)
    kernels = [layer.kernel for layer in model.decoder.latent_layers()]
    variables = list(kernels)
    for head in (model.encoder.mean, model.encoder.log_variance):
        variables += [head.kernel, head.bias]
    with tf.GradientTape() as tape:
        posterior = model.encode(tf.constant(images, model.compute_dtype))
        outputs = model.decode(posterior.sample(tf.constant(noise, model.compute_dtype)))
        error = tf.reduce_sum(tf.square(images - outputs), axis=(1, 2, 3))
        own = tf.square(posterior.mean) + tf.exp(posterior.log_variance) - posterior.log_variance
        value = tf.reduce_mean(error / gamma + tf.reduce_sum(own, axis=-1))
    gradients = [np.asarray(gradient) for gradient in tape.gradient(value, [v.value for v in variables])]
    decoder = np.concatenate([gradient[unit] for gradient in gradients[: len(kernels)]])
    heads = gradients[len(kernels) :]
    mean, log_variance = (np.append(heads[i][:, unit], heads[i + 1][unit]) for i in (0, 2))
    return UnitGradient(decoder, mean, log_variance)


class UnitHessian:
    """Products with the Hessian of eq. (4) restricted to one collapsed unit of a dense VAE, in float64.

    The parameters are the unit's decoder column (of each layer that takes z), then the row and the bias of its mean
    head, then those of its log-variance head. A ReLU network is piecewise linear, and the Hessian is that of the piece
    at which the unit is collapsed. The energy is nats times two, averaged over images.

    Args:
      model: a VAE of this package. It stays as it is: a copy of it is collapsed at `unit`.
      unit: the index of the unit, from 0.
      images: [n, h, w, c] in [0, 1].
      gamma: the decoder variance; None takes the optimal one, eq. (10), with the unit collapsed.
      seed: the seed of the draws of the other latents.

    Attributes:
      size: the number of the unit's parameters.
      gamma: the decoder variance in use.

    Raises:
      ConfigError: the model has no such unit.
    """

    def __init__(self, model: Autoencoder, unit: int, images: np.ndarray, gamma: float | None = None, seed: int = 0):
        if not 0 <= unit < model.latent_dim:
            raise ConfigError(f"unit: expected 0 to {model.latent_dim - 1}, received {unit}")
        model = in_float64(model)
        collapse(model, unit)
        self._decoder, self._latent_layers = model.decoder, model.decoder.latent_layers()
        images = tf.constant(images, tf.float64)
        self._features = model.encoder.apply_body(images)
        noise = np.random.default_rng(seed).standard_normal((len(images), model.latent_dim))
        self._others = model.encode(images).sample(tf.constant(noise))
        self._images = images
        self._units = [layer.units for layer in self._latent_layers]
        self._sizes = [sum(self._units), self._features.shape[-1], 1, self._features.shape[-1], 1]
        self.size = sum(self._sizes)
        no_z, no_column = tf.zeros(len(images), tf.float64), tf.zeros(sum(self._units), tf.float64)
        error = tf.square(images - self._decode(no_z, no_column))
        self.gamma = float(tf.reduce_mean(error)) if gamma is None else gamma
        self._compiled = tf.function(self._product).get_concrete_function(tf.TensorSpec([self.size], tf.float64))

    def product(self, vector: np.ndarray) -> np.ndarray:
        """Return the Hessian times `vector`; both are [size]."""
        return self._compiled(tf.constant(vector, tf.float64)).numpy()

    def _decode(self, z: tf.Tensor, column: tf.Tensor) -> tf.Tensor:
        """Decode the other units' z, with this unit's `z` [n] and its `column` in place of its own, which is zero."""
        columns = iter(tf.split(column, self._units))

        def apply(layer, taken):
            if layer not in self._latent_layers:
                return layer(taken)
            return layer.activation(tf.matmul(taken, layer.kernel.value) + layer.bias + z[:, None] * next(columns))

        return self._decoder.apply_body(self._others, apply)

    def _energy(self, flat: tf.Tensor) -> tf.Tensor:
        column, mean_row, mean_bias, variance_row, variance_bias = tf.split(flat, self._sizes)
        mean = tf.linalg.matvec(self._features, mean_row) + mean_bias
        log_variance = tf.linalg.matvec(self._features, variance_row) + variance_bias
        error = 0.0
        for node in _NODES:
            z = mean + tf.exp(0.5 * log_variance) * node
            outputs = self._decode(z, column)
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
