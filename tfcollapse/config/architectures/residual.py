"""The spec of the residual networks of Appendix A."""

from __future__ import annotations

from tfcollapse.config.architectures.architecture import Architecture, NetworkFields
from tfcollapse.config.architectures.convolutional import matrix_rate, multiplications_over_scales, one_core


def _blocks(network: NetworkFields, before: int, width: int, count: int) -> int:
    """Multiplications at one pixel of `count` residual blocks, the first of which takes `before` channels."""
    kernels = 9 * width * (before + (count * network.block_depth - 1) * width)
    if network.shortcut == "projection":
        return kernels + width * (before + (count - 1) * width)
    return kernels + (width * before if before != width else 0)


RESIDUAL = Architecture(
    name="residual",
    fields=("base_channels", "block_depth", "shortcut", "batch_norm"),
    depth_label="residual blocks at every scale (b)",
    least_depth=1,
    size_field="base_channels",
    size_label="channels at 32x32",
    fully_connected=False,
    one_core=one_core,
    xla_on_cpu=False,
    jax_on_cpu=False,
    multiplications=lambda network, image_shape, heads: multiplications_over_scales(
        network, image_shape, heads, _blocks, network.depth
    ),
    matrix_rate=matrix_rate,
)
"""Made of convolutions: what was measured of the convolutional networks on a CPU holds here too."""
