"""The encoder and decoder of each architecture, one architecture a file; `build` makes them from a declaration."""

from __future__ import annotations

import keras

from tfcollapse.config.declaration import Network
from tfcollapse.models.networks.convolutional import ConvolutionalDecoder, ConvolutionalEncoder
from tfcollapse.models.networks.dense import DenseDecoder, DenseEncoder
from tfcollapse.models.networks.parts import Decoder, Encoder
from tfcollapse.models.networks.residual import ResidualDecoder, ResidualEncoder
from tfcollapse.models.networks.residual_dense import ResidualDenseDecoder, ResidualDenseEncoder
from tfcollapse.models.networks.skip_dense import SkipDenseDecoder, SkipDenseEncoder

NETWORKS: dict[str, tuple[type[Encoder], type[Decoder]]] = {
    "dense": (DenseEncoder, DenseDecoder),
    "convolutional": (ConvolutionalEncoder, ConvolutionalDecoder),
    "residual": (ResidualEncoder, ResidualDecoder),
    "skip_dense": (SkipDenseEncoder, SkipDenseDecoder),
    "residual_dense": (ResidualDenseEncoder, ResidualDenseDecoder),
}
"""The classes of every architecture that `tfcollapse.config.architectures` has."""


def build(
    network: Network, image_shape: tuple[int, int, int], *, variational: bool, seed: int, kl_floor: float = 0.0
) -> tuple[keras.Model, keras.Model]:
    """Build the encoder and the decoder that `network` declares, for images of `image_shape`.

    `kl_floor` is the encoder's. AE and VAE twins (same network and seed) start at the same weights; the AE's encoder
    has no log variance head.

    Raises:
      ConfigError: a size that the architecture cannot take.
    """
    encoder_class, decoder_class = NETWORKS[network.architecture]
    fields = {
        "image_shape": image_shape,
        "depth": network.depth,
        "latent_dim": network.latent_dim,
        "initializer": network.initializer,
        "seed": seed,
        **network.own_fields,
    }
    encoder = encoder_class(variational=variational, kl_floor=kl_floor, name="encoder", **fields)
    decoder = decoder_class(output=network.output, name="decoder", **fields)
    encoder.build((None, *image_shape))
    decoder.build((None, network.latent_dim))
    return encoder, decoder
