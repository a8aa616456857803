"""The convolutional encoder and decoder of Appendix A, and the residual ones, which differ in one layer kind.

Encoder: at every scale from the image's side down to 4, `depth` units (3x3 convolutions with ReLU, or residual
blocks); 2x2 max pooling between scales; global average at 4x4; dense heads. Decoder: a dense layer to 2x2x16C;
at every scale one 3x3 stride-2 transposed convolution with ReLU that halves the channels, then units; a last
3x3 convolution to the image's channels. C is `base_channels`, the channels where the side is 32.
"""

from __future__ import annotations

from typing import Any

import keras

from tfcollapse.errors import ConfigError
from tfcollapse.networks.layers import apply_chain, build_chain, convolution, dense, upscaling

TOP = 4
"""Side of the smallest feature map of the encoder."""


def scales(image_shape: tuple[int, int, int], base_channels: int) -> list[tuple[int, int]]:
    """(side, channels) at every scale, from the image's side down to 4.

    Raises:
      ConfigError: the image is not square, or halving its side does not reach 4, or leaves no channels.
    """
    height, width, _ = image_shape
    side, found = height, []
    while side > TOP and side % 2 == 0:
        found.append(side)
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
    return [(side, 32 * base_channels // side) for side in (*found, TOP)]


@keras.saving.register_keras_serializable("tfcollapse")
class ConvolutionalEncoder(keras.Model):
    """Images to the posterior's parameters, by t convolutions at every scale.

    Args:
      image_shape: (side, side, channels), side 4, 8, 16, 32, ...
      depth: t, units per scale.
      base_channels: channels at side 32.
      latent_dim, variational, initializer, seed: as for `DenseEncoder`.

    Call: float [batch, side, side, channels] to mean [batch, latent_dim], or to (mean, log_variance).

    Raises:
      ConfigError: a size that the halving cannot reach.
    """

    def __init__(
        self,
        *,
        image_shape: tuple[int, int, int],
        depth: int,
        base_channels: int = 64,
        latent_dim: int = 64,
        variational: bool = True,
        initializer: str = "glorot_uniform",
        seed: int = 0,
        name: str | None = None,
        **unit: Any,
    ):
        super().__init__(name=name)
        self.image_shape, self.depth, self.base_channels = tuple(image_shape), depth, base_channels
        self.latent_dim, self.variational, self.initializer, self.seed = latent_dim, variational, initializer, seed
        self.unit_options = unit
        start = {"initializer": initializer, "seed": seed}
        self.body = []
        for side, channels in scales(image_shape, base_channels):
            self.body += [self.unit(channels, name=f"encoder_{side}_{i + 1}", **start) for i in range(depth)]
            self.body.append(
                keras.layers.GlobalAveragePooling2D(name="average")
                if side == TOP
                else keras.layers.MaxPooling2D(2, name=f"pool_{side}")
            )
        self.mean = dense(latent_dim, name="mean", **start)
        self.log_variance = dense(latent_dim, name="log_variance", **start) if variational else None

    def unit(self, channels: int, **options: Any) -> keras.layers.Layer:
        """What stands `depth` times at every scale."""
        return convolution(channels, activation="relu", **options)

    def build(self, input_shape: Any = None) -> None:
        shape = build_chain(self.body, (None, *self.image_shape))
        for head in filter(None, (self.mean, self.log_variance)):
            head.build(shape)

    def call(self, images: Any) -> Any:
        features = apply_chain(self.body, images)
        if self.log_variance is None:
            return self.mean(features)
        return self.mean(features), self.log_variance(features)

    def get_config(self) -> dict[str, Any]:
        names = ("image_shape", "depth", "base_channels", "latent_dim", "variational", "initializer", "seed", "name")
        return {name: getattr(self, name) for name in names} | self.unit_options


@keras.saving.register_keras_serializable("tfcollapse")
class ConvolutionalDecoder(keras.Model):
    """Latent codes to images, upscaled by one transposed convolution per scale.

    Args:
      output: "linear" (the paper states none) or "sigmoid".
      image_shape, depth, base_channels, latent_dim, initializer, seed: as for the encoder; besides the transposed
        convolution, t - 1 units stand at every scale, as `units_beside` says.

    Call: float [batch, latent_dim] to [batch, side, side, channels].
    """

    def __init__(
        self,
        *,
        image_shape: tuple[int, int, int],
        depth: int,
        base_channels: int = 64,
        latent_dim: int = 64,
        output: str = "linear",
        initializer: str = "glorot_uniform",
        seed: int = 0,
        name: str | None = None,
        **unit: Any,
    ):
        super().__init__(name=name)
        self.image_shape, self.depth, self.base_channels = tuple(image_shape), depth, base_channels
        self.latent_dim, self.output_activation, self.initializer, self.seed = latent_dim, output, initializer, seed
        self.unit_options = unit
        start = {"initializer": initializer, "seed": seed}
        found = scales(image_shape, base_channels)[::-1]
        top = 2 * found[0][1]  # 1024 at 2x2
        half = TOP // 2
        self.body = [
            dense(half * half * top, name="expand", **start),
            keras.layers.Reshape((half, half, top), name="unflatten"),
        ]
        for side, channels in found:
            self.body.append(upscaling(channels, name=f"upscale_{side}", activation="relu", **start))
            self.body += [
                self.unit(channels, name=f"decoder_{side}_{i + 1}", **start) for i in range(self.units_beside(depth))
            ]
        self.body.append(convolution(image_shape[-1], name="pixels", activation=output, **start))

    def unit(self, channels: int, **options: Any) -> keras.layers.Layer:
        """What stands after the transposed convolution at every scale."""
        return convolution(channels, activation="relu", **options)

    @staticmethod
    def units_beside(depth: int) -> int:
        """How many units follow the transposed convolution, which is itself one of the t layers."""
        return depth - 1

    def build(self, input_shape: Any = None) -> None:
        build_chain(self.body, (None, self.latent_dim))

    def call(self, latents: Any) -> Any:
        return apply_chain(self.body, latents)

    def get_config(self) -> dict[str, Any]:
        names = ("image_shape", "depth", "base_channels", "latent_dim", "initializer", "seed", "name")
        own = {name: getattr(self, name) for name in names}
        return own | {"output": self.output_activation} | self.unit_options
