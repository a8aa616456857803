"""What every encoder and every decoder is: a chain of layers, and for an encoder the heads on it."""

from __future__ import annotations

from typing import Any

import keras

from tfcollapse.models.networks.layers import apply_chain, build_chain, dense


class _Part(keras.Model):
    """A chain of layers, `body`, made of common arguments and of those of an architecture."""

    def __init__(
        self,
        *,
        image_shape: tuple[int, int, int],
        depth: int,
        latent_dim: int = 64,
        initializer: str = "glorot_uniform",
        seed: int = 0,
        name: str | None = None,
        **own: Any,
    ):
        super().__init__(name=name)
        self.image_shape, self.depth, self.latent_dim = tuple(image_shape), depth, latent_dim
        self.initializer, self.seed, self.own = initializer, seed, own
        self.start = {"initializer": initializer, "seed": seed}

    def get_config(self) -> dict[str, Any]:
        names = ("image_shape", "depth", "latent_dim", "initializer", "seed", "name")
        return {name: getattr(self, name) for name in names} | self.own


class Encoder(_Part):
    """Images to the posterior's parameters; a subclass says what its `chain` is.

    Args:
      image_shape: (height, width, channels).
      depth: as `tfcollapse.config.declaration.Network` has it.
      latent_dim: kappa.
      variational: give a log variance beside the mean.
      initializer: a Keras initialiser by name; biases start at zero.
      seed: of the initial weights.
      own: the fields of its architecture (`tfcollapse.config.declaration.ARCHITECTURE_FIELDS`).

    Call: float [batch, height, width, channels] to mean [batch, latent_dim], or to the pair (mean,
    log_variance) when variational. Both heads are linear.

    Raises:
      ConfigError: images of a size that the architecture cannot take.
    """

    def __init__(self, *, variational: bool = True, **common: Any):
        super().__init__(**common)
        self.variational = variational
        self.body = self.chain(**self.own)
        self.mean = dense(self.latent_dim, name="mean", **self.start)
        self.log_variance = dense(self.latent_dim, name="log_variance", **self.start) if variational else None

    def chain(self, **own: Any) -> list[keras.layers.Layer]:
        """The layers from the image to what the heads take, [batch, features]."""
        raise NotImplementedError

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
        return super().get_config() | {"variational": self.variational}


class Decoder(_Part):
    """Latent codes to images; a subclass says what its `chain` is.

    Args:
      output: activation of the last layer, "linear" (the paper states none) or "sigmoid".
      image_shape, depth, latent_dim, initializer, seed, own: as for `Encoder`.

    Call: float [batch, latent_dim] to [batch, height, width, channels].
    """

    def __init__(self, *, output: str = "linear", **common: Any):
        super().__init__(**common)
        self.output_activation = output
        self.body = self.chain(**self.own)

    def chain(self, **own: Any) -> list[keras.layers.Layer]:
        """The layers from z to the image."""
        raise NotImplementedError

    def build(self, input_shape: Any = None) -> None:
        build_chain(self.body, (None, self.latent_dim))

    def call(self, latents: Any) -> Any:
        return apply_chain(self.body, latents)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"output": self.output_activation}
