"""Collapse a unit of a deep VAE, and compute its exact gradients and products with its Hessian (Appendix D)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfcollapse.errors import ConfigError
from tfcollapse.lab.float64 import in_float64
from tfcollapse.models.autoencoder import Autoencoder
from tfcollapse.models.networks.layers import apply_chain

_NODES = np.array([1.0, -1.0])
"""The Gauss-Hermite nodes of z_j, each with weight 1/2.

Two nodes are exact here: at w_j = 0 the gradient and the Hessian hold z_j at most squared.
"""


class UnitGradient(NamedTuple):
    """The derivatives of eq. (4) by the weights of one unit j.

    Attributes:
      decoder: [units of the first decoder layer], by column j of the decoder's first weights, which is a row of the
        Keras kernel.
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

    The parameters are the unit's decoder column, then the row and the bias of its mean head, then those of its
    log-variance head. A ReLU network is piecewise linear, and the Hessian is that of the piece at which the unit is
    collapsed. The energy is nats times two, averaged over images.

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
        """Return the Hessian times `vector`; both are [size]."""
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
    """Return the decoder's first layer, which is dense in every architecture of this package."""
    return model.decoder.body[0]
