"""The spec of the fully connected networks of Appendix A."""

from __future__ import annotations

import math

from tfcollapse.config.architectures.architecture import Architecture, NetworkFields, Shape


def multiplications(network: NetworkFields, image_shape: Shape, heads: int) -> tuple[int, int]:
    """Return the multiplications of encoder and decoder in a forward pass; see `Architecture.multiplications`."""
    pixels, latent = math.prod(image_shape), network.latent_dim
    if network.depth == 0:
        return heads * pixels * latent, pixels * latent
    hidden = pixels * network.width + (network.depth - 1) * network.width**2
    return hidden + heads * network.width * latent, hidden + network.width * latent


DENSE = Architecture(
    name="dense",
    fields=("width", "norm"),
    depth_label="hidden layers in encoder and in decoder",
    least_depth=0,
    size_field="width",
    size_label="units in a hidden layer",
    fully_connected=True,
    one_core=lambda network: True,
    xla_on_cpu=True,
    jax_on_cpu=True,
    multiplications=multiplications,
    matrix_rate=lambda network: 0.45,
)
"""Measured on two CPU cores at batch 64 (results/bench.md):

One core: two single-thread processes do 1.05 to 1.19 times the work of one process on two threads.
XLA: a step of a VAE takes Keras' `fit` 2.5 to 3 times as long as the jitted loop of many steps, one of an AE 1.8 to
2.3 times.
Matrix rate: L = 2 and L = 10.
"""
