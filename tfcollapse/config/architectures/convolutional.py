"""The spec of the convolutional networks of Appendix A, and the arithmetic that the residual ones share."""

from __future__ import annotations

from collections.abc import Callable

from tfcollapse.config.architectures.architecture import Architecture, NetworkFields, Shape

Units = Callable[[NetworkFields, int, int, int], int]
"""Multiplications at one pixel of some units in a row: (network, channels in, channels, number of units)."""

_NARROW = 16
"""Channels at 32x32 below which a step reaches a smaller share of a matrix product's rate, and up to which one core is
enough."""


def one_core(network: NetworkFields) -> bool:
    """Return whether the convolutions are so narrow that they use a second core badly.

    Measured on two CPU cores: two single-thread processes do 1.3 to 1.5 times the work of one process on two threads
    with 8 channels at 32x32, and 1.1 times with 16. Wider convolutions use their threads well.
    """
    return network.base_channels <= _NARROW


def matrix_rate(network: NetworkFields) -> float:
    """Return the share of a matrix product's rate, measured on two CPU cores: 8 channels, and 16 and more."""
    return 0.4 if network.base_channels < _NARROW else 0.7


def multiplications_over_scales(
    network: NetworkFields, image_shape: Shape, heads: int, units: Units, units_in_decoder: int
) -> tuple[int, int]:
    """Return the multiplications of encoder and decoder in a forward pass; see `Architecture.multiplications`.

    Args:
      units: the multiplications of what stands `depth` times at every scale of the encoder.
      units_in_decoder: how many such units follow the transposed convolution at every scale of the decoder.
    """
    side, channels = image_shape[0], image_shape[2]
    widest = 32 * network.base_channels // side
    before, width = channels, widest
    encoder, decoder = 0, side**2 * 9 * widest * channels  # the decoder's last convolution gives the pixels
    while side >= 4:  # the encoder's scales, from the image's side down to 4; the decoder has the same
        encoder += side**2 * units(network, before, width, network.depth)
        decoder += (side // 2) ** 2 * 9 * 2 * width * width  # transposed: its kernel lies at every pixel that it takes
        decoder += side**2 * units(network, width, width, units_in_decoder)
        before, width, side = width, 2 * width, side // 2
    expand = network.latent_dim * 4 * 2 * before
    return encoder + heads * before * network.latent_dim, decoder + expand


def _convolutions(network: NetworkFields, before: int, width: int, count: int) -> int:
    return 9 * width * (before + (count - 1) * width) if count else 0


CONVOLUTIONAL = Architecture(
    name="convolutional",
    fields=("base_channels",),
    depth_label="convolutions at every scale (t)",
    least_depth=1,
    size_field="base_channels",
    size_label="channels at 32x32",
    fully_connected=False,
    one_core=one_core,
    xla_on_cpu=False,
    jax_on_cpu=False,
    multiplications=lambda network, image_shape, heads: multiplications_over_scales(
        network, image_shape, heads, _convolutions, network.depth - 1
    ),
    matrix_rate=matrix_rate,
)
"""Measured on two CPU cores at batch 64: with XLA a step takes 6 times as long as without (2,165 against 348 ms). JAX
compiles everything with XLA, and its convolutions inside a loop take most of a minute a step.
"""
