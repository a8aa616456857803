"""Dense networks whose decoder gets z at every layer: "generative skip models", Dieng et al. (2018)."""

from __future__ import annotations

import keras

from tfcollapse.models.networks.dense import DenseDecoder, DenseEncoder


@keras.saving.register_keras_serializable("tfcollapse")
class SkipDenseEncoder(DenseEncoder):
    """A `DenseEncoder`: the skip connections are the decoder's alone."""


@keras.saving.register_keras_serializable("tfcollapse")
class SkipDenseDecoder(DenseDecoder):
    """A `DenseDecoder` in which every dense layer takes z: the later ones z and what the layer before gives."""

    def skips(self) -> list[keras.layers.Layer]:
        """Return every dense layer but the first."""
        return [layer for layer in self.body[1:] if isinstance(layer, keras.layers.Dense)]
