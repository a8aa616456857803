"""Measure how much of the images and of the gradient reaches each layer of an encoder and a decoder."""

import contextlib
import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import keras
import numpy as np

from tfcollapse.config.annotations import arguments_checked
from tfcollapse.diagnosis.examples import read_examples
from tfcollapse.errors import ConfigError, line_of
from tfcollapse.metrics.layer_signal import signal
from tfcollapse.models.outputs import decoder_outputs, encoder_outputs


class LayerGain(NamedTuple):
    """The signal and the gradient at one layer that has weights.

    Attributes:
      part: "encoder" or "decoder".
      layer: its name.
      signal: standard deviation over images of its output, as the root mean square over units.
      gradient: norm of the derivative of the squared error (summed over pixels) by its output, as the root mean square
        over images.

    Example:
      >>> gain = tc.LayerGain("decoder", "decoder_1", signal=0.06, gradient=3.2)
      >>> f"{gain.part} {gain.layer}: {gain.signal}"
      'decoder decoder_1: 0.06'
    """

    part: str
    layer: str
    signal: float
    gradient: float


@arguments_checked
def layer_gains(encoder: Any, decoder: Any, images: Any) -> list[LayerGain]:
    """Measure the signal and the gradient at every layer of encoder (up to the mean) and decoder, z at its mean.

    Before training they show the start that training has. Where both shrink by a factor at every layer, a deep enough
    network does not learn. A layer that is made of layers, and is no Keras model, counts as one.

    Args:
      encoder: Keras model, images to (mean, log_variance), or to the mean.
      decoder: Keras model, z to images.
      images: [n, ...], in the units of `tfcollapse.diagnose`; 256 are enough.

    Returns:
      One for each layer, in the order in which the images pass them.

    Raises:
      ConfigError: plain functions, which have no layers; images that do not fit.

    Example:
      >>> model = tc.build(tc.Run(network=tc.Network(depth=1, width=16, latent_dim=4)), (28, 28, 1))
      >>> images = tc.load(tc.Data(name="fashion_mnist_mini", train=64)).train
      >>> gains = tc.layer_gains(model.encoder, model.decoder, images)
      >>> [gain.layer for gain in gains]
      ['encoder_1', 'mean', 'decoder_1', 'pixels']
      >>> gains[-1].signal < gains[0].signal
      True
    """
    import tensorflow as tf

    for name, part in (("encoder", encoder), ("decoder", decoder)):
        if not isinstance(part, keras.Model):
            raise ConfigError(
                f"{name}: expected a Keras model, whose layers can be seen, received {type(part).__name__}"
            )
    examples = read_examples(images)
    x = tf.constant(examples.as_float(examples.array))
    with tf.GradientTape() as tape:
        with _recorded_outputs(encoder) as of_encoder:
            encoded = _called("encoder", encoder, x)
        mean = encoder_outputs(encoded, joined=False).mean if isinstance(encoded, (tuple, list, dict)) else encoded
        with _recorded_outputs(decoder) as of_decoder:
            decoded = decoder_outputs(_called("decoder", decoder, mean)).mean
        if math.prod(decoded.shape) != math.prod(x.shape):
            raise ConfigError(f"decoder: expected examples of {tuple(x.shape)}, received {tuple(decoded.shape)}")
        loss = tf.reduce_sum(tf.square(tf.reshape(decoded, [len(examples), -1]) - tf.reshape(x, [len(examples), -1])))
    outputs = [("encoder", *pair) for pair in of_encoder] + [("decoder", *pair) for pair in of_decoder]
    gradients = tape.gradient(loss, [output for _, _, output in outputs])
    return [
        LayerGain(part, name, signal(output.numpy()), _norm(gradient.numpy()))
        for (part, name, output), gradient in zip(outputs, gradients, strict=True)
        if gradient is not None  # the head of the log variance does not lead to the error
    ]


def _called(name: str, model: keras.Model, inputs: Any) -> Any:
    """Call a model. Raises ConfigError where it fails."""
    try:
        return model(inputs)
    except Exception as error:
        raise ConfigError(f"{name}: expected to take {tuple(inputs.shape)}, received {line_of(error)}") from error


def _norm(gradient: np.ndarray) -> float:
    """Return the root mean square over images of the norm of [n, ...]."""
    return float(np.sqrt(np.square(gradient, dtype=np.float64).sum() / len(gradient)))


@contextlib.contextmanager
def _recorded_outputs(model: keras.Model) -> Iterator[list[tuple[str, Any]]]:
    """Collect the name and the output of each layer with weights while the model is called."""
    outputs: list[tuple[str, Any]] = []
    layers = list(leaves(model))
    for layer in layers:
        layer.call = _recording(layer, layer.call, outputs)
    try:
        yield outputs
    finally:
        for layer in layers:
            del layer.call


def _recording(layer: keras.Layer, call: Any, outputs: list[tuple[str, Any]]) -> Any:
    """Wrap a layer's call so that its output is added to `outputs`."""

    def recorded(*arguments: Any, **named: Any) -> Any:
        output = call(*arguments, **named)
        if layer.weights and not isinstance(output, (tuple, list, dict)):
            outputs.append((layer.name, output))
        return output

    return recorded


def leaves(model: keras.Model) -> Iterator[keras.Layer]:
    """Yield the layers of a model, and of the models in it."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from leaves(layer)
        else:
            yield layer
