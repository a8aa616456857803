"""The fully connected encoder and decoder of Appendix A: L hidden ReLU layers of 512 units each."""

from __future__ import annotations

import math
from typing import Any

import keras

from tfcollapse.networks.layers import apply_chain, build_chain, dense


@keras.saving.register_keras_serializable("tfcollapse")
class DenseEncoder(keras.Model):
    """Images to the posterior's parameters.

    Args:
      image_shape: (height, width, channels).
      depth: hidden layers.
      width: units of each.
      latent_dim: kappa.
      variational: give a log variance beside the mean.
      initializer: a Keras initialiser by name; biases start at zero.
      seed: of the initial weights.

    Call: float [batch, height, width, channels] to mean [batch, latent_dim], or to the pair (mean,
    log_variance) when variational. Both heads are linear.
    """

    def __init__(
        self,
        *,
        image_shape: tuple[int, int, int],
        depth: int,
        width: int = 512,
        latent_dim: int = 64,
        variational: bool = True,
        initializer: str = "glorot_uniform",
        seed: int = 0,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.image_shape, self.depth, self.width = tuple(image_shape), depth, width
        self.latent_dim, self.variational, self.initializer, self.seed = latent_dim, variational, initializer, seed
        start = {"initializer": initializer, "seed": seed}
        self.body = [
            keras.layers.Flatten(name="flatten"),
            *(dense(width, name=f"encoder_{i + 1}", activation="relu", **start) for i in range(depth)),
        ]
        self.mean = dense(latent_dim, name="mean", **start)
        self.log_variance = dense(latent_dim, name="log_variance", **start) if variational else None

    def build(self, input_shape: Any = None) -> None:
        shape = build_chain(self.body, (None, *self.image_shape))
        for head in filter(None, (self.mean, self.log_variance)):
            head.build(shape)

    def call(self, images: Any) -> Any:
        hidden = apply_chain(self.body, images)
        if self.log_variance is None:
            return self.mean(hidden)
        return self.mean(hidden), self.log_variance(hidden)

    def get_config(self) -> dict[str, Any]:
        names = ("image_shape", "depth", "width", "latent_dim", "variational", "initializer", "seed")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


@keras.saving.register_keras_serializable("tfcollapse")
class DenseDecoder(keras.Model):
    """Latent codes to images: float [batch, latent_dim] to [batch, height, width, channels].

    Args:
      output: "linear" (the paper states none) or "sigmoid".
      image_shape, depth, width, latent_dim, initializer, seed: as for `DenseEncoder`.
    """

    def __init__(
        self,
        *,
        image_shape: tuple[int, int, int],
        depth: int,
        width: int = 512,
        latent_dim: int = 64,
        output: str = "linear",
        initializer: str = "glorot_uniform",
        seed: int = 0,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.image_shape, self.depth, self.width = tuple(image_shape), depth, width
        self.latent_dim, self.output_activation, self.initializer, self.seed = latent_dim, output, initializer, seed
        start = {"initializer": initializer, "seed": seed}
        self.body = [
            *(dense(width, name=f"decoder_{i + 1}", activation="relu", **start) for i in range(depth)),
            dense(math.prod(image_shape), name="pixels", activation=output, **start),
            keras.layers.Reshape(self.image_shape, name="unflatten"),
        ]

    def build(self, input_shape: Any = None) -> None:
        build_chain(self.body, (None, self.latent_dim))

    def call(self, latents: Any) -> Any:
        return apply_chain(self.body, latents)

    def get_config(self) -> dict[str, Any]:
        names = ("image_shape", "depth", "width", "latent_dim", "initializer", "seed")
        own = {name: getattr(self, name) for name in names}
        return {**super().get_config(), **own, "output": self.output_activation}
