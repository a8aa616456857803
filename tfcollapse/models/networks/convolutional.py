"""The convolutional encoder and decoder of Appendix A; the residual ones differ in one kind of layer.

Encoder: at every scale from the image's side down to 4, `depth` units (3x3 convolutions with ReLU, or residual
blocks); 2x2 max pooling between scales; global average at 4x4; dense heads. Decoder: a dense layer to 2x2x16C;
at every scale one 3x3 stride-2 transposed convolution with ReLU that halves the channels, then units; a last
3x3 convolution to the image's channels. C is `base_channels`, the channels where the side is 32.
"""

from __future__ import annotations

from typing import Any

import keras

from tfcollapse.errors import ConfigError
from tfcollapse.models.networks.layers import convolution, dense, upscaling
from tfcollapse.models.networks.parts import Decoder, Encoder

TOP = 4
"""Side of the smallest feature map of the encoder."""


def scales(image_shape: tuple[int, int, int], base_channels: int) -> list[tuple[int, int]]:
    """Return (side, channels) at every scale, from the image's side down to 4.

    Raises:
      ConfigError: the image is not square, or halving its side does not reach 4, or leaves no channels.
    """
    height, width, _ = image_shape
    side, sides = height, []
    while side > TOP and side % 2 == 0:
        sides.append(side)
        side //= 2
    if height != width or side != TOP:
        raise ConfigError(
            f"convolutional networks: expected square images whose side halves to {TOP} (4, 8, 16, 32, 64, 128), "
            f"received {height}x{width}: set data.crop or data.resize"
        )
    if 32 * base_channels % height:
        raise ConfigError(
            f"Network.base_channels: expected a multiple of {max(1, height // 32)} for {height}x{width} images, "
            f"received {base_channels}"
        )
    return [(side, 32 * base_channels // side) for side in (*sides, TOP)]


@keras.saving.register_keras_serializable("tfcollapse")
class ConvolutionalEncoder(Encoder):
    """An `Encoder` with t = `depth` convolutions at every scale, `base_channels` channels where the side is 32."""

    def chain(self, base_channels: int = 64, **unit: Any) -> list[keras.layers.Layer]:
        body = []
        for side, channels in scales(self.image_shape, base_channels):
            body += [
                self.unit(channels, name=f"encoder_{side}_{i + 1}", **self.start, **unit) for i in range(self.depth)
            ]
            body.append(
                keras.layers.GlobalAveragePooling2D(name="average")
                if side == TOP
                else keras.layers.MaxPooling2D(2, name=f"pool_{side}")
            )
        return body

    def unit(self, channels: int, **options: Any) -> keras.layers.Layer:
        """Return the layer that stands `depth` times at every scale."""
        return convolution(channels, activation="relu", **options)


@keras.saving.register_keras_serializable("tfcollapse")
class ConvolutionalDecoder(Decoder):
    """A `Decoder` upscaled by one transposed convolution per scale, with t - 1 convolutions after each."""

    def chain(self, base_channels: int = 64, **unit: Any) -> list[keras.layers.Layer]:
        start, from_top = self.start, scales(self.image_shape, base_channels)[::-1]
        top = 2 * from_top[0][1]  # 1024 at 2x2
        half = TOP // 2
        body = [
            dense(half * half * top, name="expand", **start),
            keras.layers.Reshape((half, half, top), name="unflatten"),
        ]
        for side, channels in from_top:
            body.append(upscaling(channels, name=f"upscale_{side}", activation="relu", **start))
            body += [
                self.unit(channels, name=f"decoder_{side}_{i + 1}", **start, **unit)
                for i in range(self.units_beside(self.depth))
            ]
        body.append(convolution(self.image_shape[-1], name="pixels", activation=self.output_activation, **start))
        return body

    def unit(self, channels: int, **options: Any) -> keras.layers.Layer:
        """Return the layer that stands after the transposed convolution at every scale."""
        return convolution(channels, activation="relu", **options)

    @staticmethod
    def units_beside(depth: int) -> int:
        """Return how many units follow the transposed convolution, which is itself one of the t layers."""
        return depth - 1
