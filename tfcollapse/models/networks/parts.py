"""Base classes of encoders and decoders: layers applied one after another, and the heads of an encoder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import keras

from tfcollapse.models.networks.layers import adopt_policy, changed_options, dense
from tfcollapse.models.objectives import bounded_log_variance

_LATER = {"norm": "none"}
"""Fields of architectures that earlier versions did not have, by the value of all networks of these versions.

That value is not written, so that a network is written as it was.
"""
Apply = Callable[[keras.layers.Layer, Any], Any]
"""Computes what a layer gives, from the layer and what it takes."""


def _call(layer: keras.layers.Layer, taken: Any) -> Any:
    return layer(taken)


class _Part(keras.Model):
    """Layers applied one after another, `body`, made of common arguments and of those of an architecture.

    A layer takes what the layer before it gives. The layers that `skips` names take the part's own input too.
    """

    def __init__(
        self,
        *,
        image_shape: tuple[int, int, int],
        depth: int,
        latent_dim: int = 64,
        initializer: str = "glorot_uniform",
        seed: int = 0,
        name: str | None = None,
        dtype: Any = None,
        trainable: bool = True,
        **own: Any,
    ):
        super().__init__(name=name, dtype=dtype, trainable=trainable)
        self.image_shape, self.depth, self.latent_dim = tuple(image_shape), depth, latent_dim
        self.initializer, self.seed, self.own = initializer, seed, own
        self.start = {"initializer": initializer, "seed": seed}

    def skips(self) -> list[keras.layers.Layer]:
        """Return the layers of `body` that take the part's input, then what the layer before gives, concatenated."""
        return []

    def layer_outputs(self, inputs: Any, apply: Apply = _call) -> Iterator[tuple[Any, Any]]:
        """Yield each layer of `body` with its output, in order; the last output is the whole body's.

        Args:
          inputs: what the part takes, [batch, ...].
          apply: computes a layer's output; by default the layer is called.
        """
        output, skips = inputs, self.skips()
        for layer in self.body:
            output = apply(layer, keras.ops.concatenate([inputs, output], axis=-1) if layer in skips else output)
            yield layer, output

    def build_body(self, shape: tuple[Any, ...]) -> tuple[Any, ...]:
        """Build the layers of `body` for inputs of `shape`, and return the shape of the last one's output."""
        output, skips = shape, self.skips()
        for layer in self.body:
            taken = (*output[:-1], shape[-1] + output[-1]) if layer in skips else output
            layer.build(taken)
            output = layer.compute_output_shape(taken)
        return output

    def apply_body(self, inputs: Any, apply: Apply = _call) -> Any:
        """Return the output of the last layer of `body`; the arguments are those of `layer_outputs`."""
        for _, output in self.layer_outputs(inputs, apply):
            inputs = output
        return inputs

    def get_config(self) -> dict[str, Any]:
        names = ("image_shape", "depth", "latent_dim", "initializer", "seed", "name")
        own = {name: value for name, value in self.own.items() if name not in _LATER or value != _LATER[name]}
        return {name: getattr(self, name) for name in names} | own | changed_options(self)


class Encoder(_Part):
    """Images to the posterior's parameters; a subclass has its `chain` of layers.

    Args:
      image_shape: (height, width, channels).
      depth: as `tfcollapse.config.declaration.Network` has it.
      latent_dim: kappa.
      variational: give a log variance beside the mean.
      kl_floor: nats; above 0 the log variance is bounded so that no unit's KL falls below it.
      initializer: a Keras initialiser by name; biases start at zero.
      seed: of the initial weights.
      own: the fields of its architecture (`tfcollapse.config.architectures`).

    Call: float [batch, height, width, channels] to mean [batch, latent_dim], or to the pair (mean,
    log_variance) when variational. Both heads are linear.

    Raises:
      ConfigError: images of a size that the architecture cannot take.
    """

    def __init__(self, *, variational: bool = True, kl_floor: float = 0.0, **common: Any):
        super().__init__(**common)
        self.variational, self.kl_floor = variational, kl_floor
        self.body = self.chain(**self.own)
        self.mean = dense(self.latent_dim, name="mean", **self.start)
        self.log_variance = dense(self.latent_dim, name="log_variance", **self.start) if variational else None
        adopt_policy(self)

    def chain(self, **own: Any) -> list[keras.layers.Layer]:
        """Return the layers from the image to the features that the heads take, [batch, features]."""
        raise NotImplementedError

    def build(self, input_shape: Any = None) -> None:
        shape = self.build_body((None, *self.image_shape))
        for head in filter(None, (self.mean, self.log_variance)):
            head.build(shape)

    def call(self, images: Any) -> Any:
        features = self.apply_body(images)
        if self.log_variance is None:
            return self.mean(features)
        return self.mean(features), bounded_log_variance(self.log_variance(features), self.kl_floor)

    def compute_output_shape(self, input_shape: Any) -> Any:
        shape = (input_shape[0], self.latent_dim)
        return shape if self.log_variance is None else (shape, shape)

    def get_config(self) -> dict[str, Any]:
        floor = {"kl_floor": self.kl_floor} if self.kl_floor else {}
        return super().get_config() | {"variational": self.variational} | floor


class Decoder(_Part):
    """Latent codes to images; a subclass has its `chain` of layers.

    The first layer of `body` is dense, and so are those that `skips` names: row j of such a kernel belongs to z_j.

    Args:
      output: activation of the last layer, "linear" (the paper states none) or "sigmoid".
      image_shape, depth, latent_dim, initializer, seed, own: as for `Encoder`.

    Call: float [batch, latent_dim] to [batch, height, width, channels].
    """

    def __init__(self, *, output: str = "linear", **common: Any):
        super().__init__(**common)
        self.output_activation = output
        self.body = self.chain(**self.own)
        adopt_policy(self)

    def chain(self, **own: Any) -> list[keras.layers.Layer]:
        """Return the layers from z to the image."""
        raise NotImplementedError

    def latent_layers(self) -> list[keras.layers.Dense]:
        """Return the layers that take z: the first, and those that `skips` names."""
        return [self.body[0], *self.skips()]

    def build(self, input_shape: Any = None) -> None:
        self.build_body((None, self.latent_dim))

    def call(self, latents: Any) -> Any:
        return self.apply_body(latents)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return (input_shape[0], *self.image_shape)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"output": self.output_activation}
