"""Say what an export needs of a model: its encoder and decoder as functions of tensors, and the shapes they take."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from tfcollapse.models.autoencoder import Autoencoder

Tensors = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Functions:
    """A model as an export sees it.

    Attributes:
      encode: examples [n, ...] to "mean" and, of a VAE, "log_variance", each [n, ...latents].
      decode: latents, and the examples where `reads_examples`, to "reconstructions" and, where the decoder has a
        variance of its own, "reconstructions_log_variance".
      examples: the name of the examples in a signature.
      example_shape, latent_shape: without the batch.
      variational: whether there is a prior to draw latents from.
      reads_examples: whether the decoder is autoregressive.
      owners: the layers and modules whose variables and tables the functions use.
      facts: what a reader of the export must know.
    """

    encode: Callable[[Any], Tensors]
    decode: Callable[..., Tensors]
    examples: str
    example_shape: tuple[int, ...]
    latent_shape: tuple[int, ...]
    variational: bool
    reads_examples: bool
    owners: tuple[Any, ...]
    facts: dict[str, Any]


def of_autoencoder(model: Autoencoder) -> Functions:
    """Return the functions of `model` as it is, whatever its networks' classes and the strategy of its variables."""

    def encode(images: Any) -> Tensors:
        mean, log_variance = model.encode(images)
        return {"mean": mean} if log_variance is None else {"mean": mean, "log_variance": log_variance}

    facts = {
        "gamma": None if model.gamma is None else float(model.gamma),
        "objective": dataclasses.asdict(model.objective),
        "image_shape": list(model.image_shape),
        "latent_dim": model.latent_dim,
    }
    return Functions(
        encode=encode,
        decode=lambda latents: {"reconstructions": model.decode(latents)},
        examples="images",
        example_shape=model.image_shape,
        latent_shape=(model.latent_dim,),
        variational=model.variational,
        reads_examples=False,
        owners=(model,),
        facts=facts,
    )
