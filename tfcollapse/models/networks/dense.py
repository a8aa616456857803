"""The fully connected encoder and decoder of Appendix A: L = `depth` hidden ReLU layers of 512 units each."""

from __future__ import annotations

import math
from typing import Any

import keras

from tfcollapse.models.networks.layers import dense
from tfcollapse.models.networks.parts import Decoder, Encoder


@keras.saving.register_keras_serializable("tfcollapse")
class DenseEncoder(Encoder):
    """An `Encoder` of `depth` hidden layers, `width` units each."""

    def chain(self, width: int = 512) -> list[keras.layers.Layer]:
        return [keras.layers.Flatten(name="flatten"), *_hidden("encoder", width, self.depth, self.start)]


@keras.saving.register_keras_serializable("tfcollapse")
class DenseDecoder(Decoder):
    """A `Decoder` of `depth` hidden layers, `width` units each."""

    def chain(self, width: int = 512) -> list[keras.layers.Layer]:
        return [
            *_hidden("decoder", width, self.depth, self.start),
            dense(math.prod(self.image_shape), name="pixels", activation=self.output_activation, **self.start),
            keras.layers.Reshape(self.image_shape, name="unflatten"),
        ]


def _hidden(name: str, width: int, depth: int, start: dict[str, Any]) -> list[keras.layers.Layer]:
    return [dense(width, name=f"{name}_{i + 1}", activation="relu", **start) for i in range(depth)]
