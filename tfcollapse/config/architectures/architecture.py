"""The spec of an architecture: all that the package must know of its networks before it builds one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

Shape = tuple[int, int, int]
"""(height, width, channels) of an image."""


class NetworkFields(Protocol):
    """The fields of `tfcollapse.config.declaration.Network` that specs read."""

    @property
    def depth(self) -> int: ...
    @property
    def width(self) -> int: ...
    @property
    def base_channels(self) -> int: ...
    @property
    def block_depth(self) -> int: ...
    @property
    def shortcut(self) -> str: ...
    @property
    def latent_dim(self) -> int: ...


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """Facts about the networks of one architecture; the layers themselves are in `tfcollapse.models.networks`.

    Attributes:
      name: the value of `Network.architecture`.
      fields: the fields of `Network` that this architecture takes beside the common ones, in the order in which its
        encoder and decoder take them.
      depth_label: what `Network.depth` counts, as the figures write it.
      least_depth: the smallest depth that the networks are defined for.
      size_field: the field that narrows the networks; its default is the paper's size.
      size_label: what that field counts, as the captions of narrowed networks write it.
      fully_connected: whether all weights are matrices. Such networks take images of any size, their arithmetic is
        matrix products, and at any depth they can represent a linear map.
      one_core: whether one CPU core trains the network `run` at a time about as well as several: then a sweep trains
        as many runs at once as there are cores.
      xla_on_cpu: whether XLA makes a training step faster on a CPU, where TensorFlow trains. On a GPU XLA is always
        used.
      jax_on_cpu: whether JAX can train the networks on a CPU.
      multiplications: the multiplications of dense and convolutional kernels in one forward pass of one image, of the
        encoder and of the decoder, as a function of the network, the image's shape and the number of the encoder's
        heads.
      matrix_rate: the share of the rate of a large matrix product that training reaches on a CPU, as a function of the
        network. It turns FLOPs into seconds where no run has been timed yet.
    """

    name: str
    fields: tuple[str, ...]
    depth_label: str
    least_depth: int
    size_field: str
    size_label: str
    fully_connected: bool
    one_core: Callable[[NetworkFields], bool]
    xla_on_cpu: bool
    jax_on_cpu: bool
    multiplications: Callable[[NetworkFields, Shape, int], tuple[int, int]]
    matrix_rate: Callable[[NetworkFields], float]

    def flops_per_image(
        self, network: NetworkFields, image_shape: Shape, *, variational: bool, samples: int = 1
    ) -> int:
        """Return the FLOPs of one forward pass of one image, encoder and decoder together.

        Counted are two per multiplication of a dense or convolutional kernel, and nothing else.

        Args:
          image_shape: (height, width, channels).
          variational: whether the encoder has a second head, the log variance.
          samples: of z for each image, all of which are decoded.
        """
        encoder, decoder = self.multiplications(network, image_shape, 2 if variational else 1)
        return 2 * (encoder + samples * decoder)
