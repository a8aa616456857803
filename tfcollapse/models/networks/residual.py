"""The residual networks of Appendix A: the convolutional ones with a residual block where a convolution stood."""

from __future__ import annotations

from typing import Any

import keras

from tfcollapse.models.networks.convolutional import ConvolutionalDecoder, ConvolutionalEncoder
from tfcollapse.models.networks.layers import adopt_policy, build_chain, changed_options, convolution


@keras.saving.register_keras_serializable("tfcollapse")
class ResidualBlock(keras.layers.Layer):
    """`block_depth` 3x3 convolutions with ReLU between, the shortcut added, then ReLU.

    Args:
      channels: of every convolution.
      block_depth: c, convolutions.
      shortcut: "identity" (1x1 convolution only where channels change) or "projection" (1x1 always).
      batch_norm: normalise after each convolution.
      initializer, seed: of the kernels.

    Call: [batch, side, side, any channels] to [batch, side, side, channels].
    """

    def __init__(
        self,
        channels: int,
        *,
        name: str,
        initializer: str,
        seed: int,
        block_depth: int = 2,
        shortcut: str = "identity",
        batch_norm: bool = False,
        dtype: Any = None,
        trainable: bool = True,
    ):
        super().__init__(name=name, dtype=dtype, trainable=trainable)
        self.channels, self.block_depth, self.shortcut, self.batch_norm = channels, block_depth, shortcut, batch_norm
        self.initializer, self.seed = initializer, seed
        self.convolutions = [
            convolution(channels, name=f"{name}_{i + 1}", initializer=initializer, seed=seed)
            for i in range(block_depth)
        ]
        self.norms = [
            keras.layers.BatchNormalization(name=f"{name}_{i + 1}_norm")
            for i in range(block_depth if batch_norm else 0)
        ]
        self.projection = convolution(channels, 1, name=f"{name}_shortcut", initializer=initializer, seed=seed)
        adopt_policy(self)

    def build(self, input_shape: Any) -> None:
        self.projects = self.shortcut == "projection" or input_shape[-1] != self.channels
        shape = build_chain(self.convolutions, input_shape)
        for norm in self.norms:
            norm.build(shape)
        if self.projects:
            self.projection.build(input_shape)

    def call(self, inputs: Any) -> Any:
        hidden = inputs
        for i, layer in enumerate(self.convolutions):
            hidden = layer(keras.ops.relu(hidden) if i else hidden)
            if self.norms:
                hidden = self.norms[i](hidden)
        return keras.ops.relu(hidden + (self.projection(inputs) if self.projects else inputs))

    def compute_output_shape(self, input_shape: Any) -> Any:
        return (*input_shape[:-1], self.channels)

    def get_config(self) -> dict[str, Any]:
        names = ("channels", "name", "initializer", "seed", "block_depth", "shortcut", "batch_norm")
        return {name: getattr(self, name) for name in names} | changed_options(self)


@keras.saving.register_keras_serializable("tfcollapse")
class ResidualEncoder(ConvolutionalEncoder):
    """`ConvolutionalEncoder` with b = `depth` residual blocks at every scale; further arguments are a block's."""

    def unit(self, channels: int, **options: Any) -> keras.layers.Layer:
        return ResidualBlock(channels, **options)


@keras.saving.register_keras_serializable("tfcollapse")
class ResidualDecoder(ConvolutionalDecoder):
    """`ConvolutionalDecoder` with b = `depth` residual blocks after each transposed convolution."""

    def unit(self, channels: int, **options: Any) -> keras.layers.Layer:
        return ResidualBlock(channels, **options)

    @staticmethod
    def units_beside(depth: int) -> int:
        return depth
