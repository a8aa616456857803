"""What survives of the images, and of the gradient, layer by layer: why a deep network may never start to learn."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import keras
import numpy as np

from tfcollapse.diagnosis.model_adapter import as_float, check_images
from tfcollapse.errors import ConfigError
from tfcollapse.metrics.layer_signal import signal


class LayerGain(NamedTuple):
    """One layer that has weights, in the order in which the images meet it.

    Attributes:
      part: "encoder" or "decoder".
      layer: its name.
      signal: standard deviation over images of its output, root mean square over units.
      gradient: of the squared error, summed over pixels, by its output: the norm, root mean square over images.
    """

    part: str
    layer: str
    signal: float
    gradient: float


def layer_gains(encoder: keras.Model, decoder: keras.Model, images: np.ndarray) -> list[LayerGain]:
    """Signal and gradient at every layer of encoder (up to the mean) and decoder, z at the posterior's mean.

    Of untrained models this is the start that training has: where both shrink by a factor a layer, depth alone decides.
    A layer made of layers that is no Keras model counts as one.

    Args:
      encoder: Keras model, images to (mean, log_variance), or to the mean.
      decoder: Keras model, z to images.
      images: [n, ...], uint8 or in [0, 1]; some 256 are plenty.

    Raises:
      ConfigError: plain functions, which have no layers; images that do not fit.
    """
    import tensorflow as tf

    for name, part in (("encoder", encoder), ("decoder", decoder)):
        if not isinstance(part, keras.Model):
            raise ConfigError(
                f"{name}: expected a Keras model, whose layers can be seen, received {type(part).__name__}"
            )
    x, found = tf.constant(as_float(check_images(images))), []
    with tf.GradientTape() as tape:
        with _watched(encoder) as met:
            encoded = encoder(x)
        mean = encoded[0] if isinstance(encoded, (tuple, list)) else encoded
        found += [("encoder", *each) for each in met]
        with _watched(decoder) as met:
            output = decoder(mean)
        found += [("decoder", *each) for each in met]
        output = output[0] if isinstance(output, (tuple, list)) else output
        loss = tf.reduce_sum(tf.square(tf.reshape(output, [len(images), -1]) - tf.reshape(x, [len(images), -1])))
    gradients = tape.gradient(loss, [output for _, _, output in found])
    return [
        LayerGain(part, name, signal(output.numpy()), _norm(gradient.numpy()))
        for (part, name, output), gradient in zip(found, gradients, strict=True)
        if gradient is not None  # the head of the log variance is not on the way
    ]


def _norm(gradient: np.ndarray) -> float:
    return float(np.sqrt(np.square(gradient, dtype=np.float64).sum() / len(gradient)))


@contextlib.contextmanager
def _watched(model: keras.Model) -> Iterator[list[tuple[str, Any]]]:
    """Collects what each layer with weights gives while the model is called."""
    met: list[tuple[str, Any]] = []
    layers = list(_leaves(model))
    for layer in layers:
        layer.call = _recording(layer, layer.call, met)
    try:
        yield met
    finally:
        for layer in layers:
            del layer.call


def _recording(layer: keras.Layer, call: Any, met: list[tuple[str, Any]]) -> Any:
    def recorded(*given: Any, **named: Any) -> Any:
        output = call(*given, **named)
        if layer.weights and not isinstance(output, (tuple, list, dict)):
            met.append((layer.name, output))
        return output

    return recorded


def _leaves(model: keras.Model) -> Iterator[keras.Layer]:
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _leaves(layer)
        else:
            yield layer
