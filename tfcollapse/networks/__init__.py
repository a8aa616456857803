"""One architecture per file; `build` is the one place that knows them all."""

from __future__ import annotations

import dataclasses

import keras

from tfcollapse.config import Network
from tfcollapse.networks.dense import DenseDecoder, DenseEncoder


def build(
    network: Network, image_shape: tuple[int, int, int], *, variational: bool, seed: int
) -> tuple[keras.Model, keras.Model]:
    """The encoder and the decoder that `network` declares, built for images of `image_shape`.

    AE and VAE twins (same network and seed) start at the same weights; the AE's encoder has no log
    variance head.
    """
    fields = dataclasses.asdict(network)
    architecture, output = fields.pop("architecture"), fields.pop("output")
    match architecture:
        case "dense":
            parts = DenseEncoder, DenseDecoder
        case _:
            raise NotImplementedError(architecture)
    encoder = parts[0](image_shape=image_shape, variational=variational, seed=seed, name="encoder", **fields)
    decoder = parts[1](image_shape=image_shape, output=output, seed=seed, name="decoder", **fields)
    encoder.build((None, *image_shape))
    decoder.build((None, network.latent_dim))
    return encoder, decoder
