"""The spec of dense networks whose decoder gets z at every layer (Dieng et al. 2018, named by the paper)."""

from __future__ import annotations

import math

from tfcollapse.config.architectures import dense
from tfcollapse.config.architectures.architecture import Architecture, NetworkFields, Shape


def multiplications(network: NetworkFields, image_shape: Shape, heads: int) -> tuple[int, int]:
    """Return a dense network's multiplications, and those of z in every decoder layer but the first."""
    from_latents = network.latent_dim * ((network.depth - 1) * network.width + math.prod(image_shape))
    encoder, decoder = dense.multiplications(network, image_shape, heads)
    return encoder, decoder + from_latents


SKIP_DENSE = Architecture(
    name="skip_dense",
    fields=("width", "norm"),
    depth_label="hidden layers in encoder and in decoder",
    least_depth=1,  # without a hidden layer there is nothing to skip: that is the dense network of depth 0
    size_field="width",
    size_label="units in a hidden layer",
    fully_connected=True,
    one_core=lambda network: True,
    xla_on_cpu=True,
    jax_on_cpu=True,
    multiplications=multiplications,
    matrix_rate=lambda network: 0.45,
)
"""Made of dense layers: what was measured of the dense networks on a CPU is taken to hold here too."""
