"""One architecture per file; `build` is the one place that knows them all."""

from __future__ import annotations

import keras

from tfcollapse.config.declaration import Network
from tfcollapse.models.networks.convolutional import ConvolutionalDecoder, ConvolutionalEncoder
from tfcollapse.models.networks.dense import DenseDecoder, DenseEncoder
from tfcollapse.models.networks.residual import ResidualDecoder, ResidualEncoder


def build(
    network: Network, image_shape: tuple[int, int, int], *, variational: bool, seed: int
) -> tuple[keras.Model, keras.Model]:
    """The encoder and the decoder that `network` declares, built for images of `image_shape`.

    AE and VAE twins (same network and seed) start at the same weights; the AE's encoder has no log
    variance head.

    Raises:
      ConfigError: a size that the architecture cannot take.
    """
    match network.architecture:
        case "dense":
            parts = DenseEncoder, DenseDecoder
        case "convolutional":
            parts = ConvolutionalEncoder, ConvolutionalDecoder
        case "residual":
            parts = ResidualEncoder, ResidualDecoder
        case _:
            raise NotImplementedError(network.architecture)
    fields = {
        "image_shape": image_shape,
        "depth": network.depth,
        "latent_dim": network.latent_dim,
        "initializer": network.initializer,
        "seed": seed,
        **network.own_fields,
    }
    encoder = parts[0](variational=variational, name="encoder", **fields)
    decoder = parts[1](output=network.output, name="decoder", **fields)
    encoder.build((None, *image_shape))
    decoder.build((None, network.latent_dim))
    return encoder, decoder
