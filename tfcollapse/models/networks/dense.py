"""The fully connected encoder and decoder of Appendix A: L = `depth` hidden ReLU layers of 512 units each."""

from __future__ import annotations

import math

import keras

from tfcollapse.models.networks.hidden import hidden_layer
from tfcollapse.models.networks.layers import dense
from tfcollapse.models.networks.parts import Decoder, Encoder


@keras.saving.register_keras_serializable("tfcollapse")
class DenseEncoder(Encoder):
    """An `Encoder` of `depth` hidden layers, `width` units each, normalised as `norm` says (`hidden.HiddenLayer`)."""

    shortcuts = False

    def chain(self, width: int = 512, norm: str = "none") -> list[keras.layers.Layer]:
        return [keras.layers.Flatten(name="flatten"), *_hidden(self, "encoder", width, norm)]


@keras.saving.register_keras_serializable("tfcollapse")
class DenseDecoder(Decoder):
    """A `Decoder` of `depth` hidden layers, `width` units each, normalised as `norm` says (`hidden.HiddenLayer`)."""

    shortcuts = False

    def chain(self, width: int = 512, norm: str = "none") -> list[keras.layers.Layer]:
        return [
            *_hidden(self, "decoder", width, norm),
            dense(math.prod(self.image_shape), name="pixels", activation=self.output_activation, **self.start),
            keras.layers.Reshape(self.image_shape, name="unflatten"),
        ]


def _hidden(part: DenseEncoder | DenseDecoder, name: str, width: int, norm: str) -> list[keras.layers.Layer]:
    """Return the hidden layers of a part. A shortcut needs an input of the layer's own width, which the first lacks."""
    shortcuts = part.depth - 1 if part.shortcuts else 0
    return [
        hidden_layer(width, name=f"{name}_{i + 1}", norm=norm, shortcuts=shortcuts if i else 0, **part.start)
        for i in range(part.depth)
    ]
