"""Collapse a unit of a deep VAE, and compute its exact gradients and curvatures (Appendix D)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from tfcollapse.errors import ConfigError
from tfcollapse.models.autoencoder import Autoencoder


class Curvatures(NamedTuple):
    """The curvature of the energy of each image along a direction: 2 (signal - 2 agreement) / gamma + prior.

    Attributes:
      signal: [n], |y|^2 with y the change of the reconstruction for z_j = 1.
      agreement: [n], mu times r . y with r the residual: what the unit's mean recovers of it.
      prior: [n], the KL term's curvature.
      gamma: the decoder variance in use.
    """

    signal: np.ndarray
    agreement: np.ndarray
    prior: np.ndarray
    gamma: float

    @property
    def of_images(self) -> np.ndarray:
        """Return the curvature of each image's energy, [n]."""
        return 2 * (self.signal - 2 * self.agreement) / self.gamma + self.prior

    @property
    def mean(self) -> float:
        """Return the curvature of the energy, which is averaged over images."""
        return float(self.of_images.mean())

    @property
    def error(self) -> float:
        """Return the standard error of `mean` over images."""
        return float(self.of_images.std(ddof=1) / np.sqrt(len(self.signal)))

    @property
    def critical_gamma(self) -> float:
        """Return the gamma below which this direction is a way out, at the best ratio of decoder to encoder weights.

        It is 0 where the direction is none at any gamma.
        """
        signal, agreement, prior = self.signal.mean(), max(self.agreement.mean(), 0.0), self.prior.mean()
        return float(2 * agreement**2 / (signal * prior)) if agreement else 0.0


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
    set_unit(model, unit, 0.0, 0.0, mean_bias, 0.0, log_variance_bias)


def set_unit(model: Autoencoder, unit: int, decoder: Any, mean: Any, mean_bias: Any, variance: Any, bias: Any) -> None:
    """Set the weights of a unit, in place: numbers, or arrays in the order of a direction of `UnitHessian`.

    Args:
      model: a VAE of this package; where its decoder takes z in several layers, `decoder` is one number.
      unit: the index of the unit, from 0.
      decoder: its column of decoder weights.
      mean, mean_bias: its row and its bias in the mean head.
      variance, bias: its row and its bias in the log-variance head.
    """
    encoder = model.encoder
    for variable, index, value in (
        *((layer.kernel, (unit, slice(None)), decoder) for layer in model.decoder.latent_layers()),
        (encoder.mean.kernel, (slice(None), unit), mean),
        (encoder.log_variance.kernel, (slice(None), unit), variance),
        (encoder.mean.bias, (slice(unit, unit + 1),), mean_bias),
        (encoder.log_variance.bias, (slice(unit, unit + 1),), bias),
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
    """The Hessian of eq. (4) restricted to the weights of one collapsed unit, and the curvature along its directions.

    The parameters are the unit's decoder column w (of each layer that takes z), then the row and the bias of its mean
    head, then those of its log-variance head. A ReLU network is piecewise linear, and the Hessian is that of the piece
    at which the unit is collapsed. There the curvature of the energy of one image along a direction is exactly

      2 (|y|^2 - 2 mu (r . y)) / gamma + 2 mu^2 + l^2

    Here y = J w is the change of the reconstruction for z_j = 1, r the residual, and mu and l are the changes of the
    unit's mean and log variance. Only the first term depends on gamma.

    Args:
      model: a VAE of this package in float64 (`in_float64`). It is not changed: z_j is set to 0, which has the effect
        of zero weights.
      units: the index of the unit, from 0; or several, which are collapsed together, and whose Hessians are then equal.
      images: [n, h, w, c] in [0, 1].
      gamma: the decoder variance; None takes the optimal one, eq. (10), with the unit collapsed.
      seed: the seed of the draws of the other latents.

    Attributes:
      sizes: the numbers of parameters in the decoder column, the mean's row and bias, and the log variance's.
      size: the number of the unit's parameters, which is their sum.
      gamma: the decoder variance in use.

    Raises:
      ConfigError: the model has no such unit, or its layers are normalised, and so are not piecewise linear.
    """

    def __init__(
        self,
        model: Autoencoder,
        units: int | Sequence[int],
        images: np.ndarray,
        gamma: float | None = None,
        seed: int = 0,
    ):
        units = [units] if isinstance(units, int) else list(units)
        if not all(0 <= unit < model.latent_dim for unit in units):
            raise ConfigError(f"unit: expected 0 to {model.latent_dim - 1}, received {units}")
        if model.decoder.own.get("norm", "none") != "none":
            raise ConfigError(
                "UnitHessian: expected a decoder without normalisation, which is piecewise linear, received one of "
                f"norm '{model.decoder.own['norm']}': build it with Network.norm 'none'"
            )
        self._decoder, self._latent_layers = model.decoder, model.decoder.latent_layers()
        images = tf.constant(images, tf.float64)
        self._features = model.encoder.apply_body(images)
        noise = np.random.default_rng(seed).standard_normal((len(images), model.latent_dim))
        others = np.array(model.encode(images).sample(tf.constant(noise)))
        others[:, units] = 0.0
        self._others = tf.constant(others)
        self._units = [layer.units for layer in self._latent_layers]
        self.sizes = [sum(self._units), self._features.shape[-1], 1, self._features.shape[-1], 1]
        self.size = sum(self.sizes)
        self._residual = images - self._decode(tf.zeros(self.sizes[0], tf.float64))
        self.gamma = float(tf.reduce_mean(tf.square(self._residual))) if gamma is None else gamma
        self._compiled = tf.function(self._product)  # traced at the first product

    def product(self, vector: np.ndarray) -> np.ndarray:
        """Return the Hessian of the energy times `vector`; both are [size]. The energy is averaged over images."""
        return self._compiled(tf.constant(vector, tf.float64), tf.constant(self.gamma, tf.float64)).numpy()

    def along(self, direction: np.ndarray) -> Curvatures:
        """Return the curvature of each image's energy along `direction`, [size]."""
        signal, agreement, mean, log_variance, _ = self._change(tf.constant(direction, tf.float64))
        prior = 2 * tf.square(mean) + tf.square(log_variance)
        signal = tf.reduce_sum(tf.square(signal), axis=1)
        return Curvatures(signal.numpy(), (mean * agreement).numpy(), prior.numpy(), self.gamma)

    def _decode(self, column: tf.Tensor) -> tf.Tensor:
        """Decode the other units' z, and this unit's z = 1 with `column` in place of its own, which is zero."""
        columns = iter(tf.split(column, self._units))

        def apply(layer, taken):
            if layer not in self._latent_layers:
                return layer(taken)
            return layer.activation(tf.matmul(taken, layer.kernel.value) + layer.bias + next(columns))

        return self._decoder.apply_body(self._others, apply)

    def _change(self, direction: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """Return y [n, pixels], r . y, mu and l, each [n], and the function that maps v [n, pixels] to J^T v."""
        column, mean_row, mean_bias, variance_row, variance_bias = tf.split(direction, self.sizes)
        point = tf.zeros_like(column)
        with tf.GradientTape() as tape, tf.autodiff.ForwardAccumulator(point, column) as forward:
            tape.watch(point)
            outputs = self._decode(point)
        signal = tf.reshape(forward.jvp(outputs), (len(outputs), -1))
        agreement = tf.reduce_sum(tf.reshape(self._residual, signal.shape) * signal, axis=1)
        mean = tf.linalg.matvec(self._features, mean_row) + mean_bias
        log_variance = tf.linalg.matvec(self._features, variance_row) + variance_bias

        def transposed(values: tf.Tensor) -> tf.Tensor:
            return tape.gradient(outputs, point, output_gradients=tf.reshape(values, outputs.shape))

        return signal, agreement, mean, log_variance, transposed

    def _product(self, vector: tf.Tensor, gamma: tf.Tensor) -> tf.Tensor:
        """Return half the gradient, by the direction, of the mean curvature along it."""
        signal, agreement, mean, log_variance, transposed = self._change(vector)
        residual = tf.reshape(self._residual, signal.shape)
        count = tf.cast(len(signal), tf.float64)
        column = 2 * transposed(signal - mean[:, None] * residual) / gamma
        parts = [column]
        for values in (2 * (mean - agreement / gamma), log_variance):
            parts += [tf.linalg.matvec(self._features, values, transpose_a=True), tf.reduce_sum(values, keepdims=True)]
        return tf.concat(parts, axis=0) / count
