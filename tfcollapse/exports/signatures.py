"""Define the signatures of an export as functions of the model, and compute the answers that its reload must give.

Run as `python -m tfcollapse.exports.signatures FILE.keras FOLDER`, this module checks a .keras file. `reload_check`
checks a SavedModel. A .keras file needs this package as its reader, and `reload_check` imports nothing of it.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import tensorflow as tf

from tfcollapse.exports import reload_check
from tfcollapse.models.autoencoder import Autoencoder, load_model

_PIXELS = np.arange(256, dtype=np.float32) / np.float32(255)
"""The value of each pixel. A table is used, since TensorFlow turns a division by 255 into a product, which rounds
differently."""


def endpoints(model: Autoencoder, input_type: str) -> dict[str, tuple[Any, list[tf.TensorSpec]]]:
    """Return the signatures by name, each a function and the types of its arguments.

    The names of arguments and results are those that a client sees.

    Args:
      input_type: the type of the images: "float32" in [0, 1], or "uint8".
    """
    images = tf.TensorSpec((None, *model.image_shape), input_type, "images")
    latents = tf.TensorSpec((None, model.latent_dim), tf.float32, "latents")

    def scaled(images):
        return tf.gather(_PIXELS, tf.cast(images, tf.int32)) if input_type == "uint8" else images

    def encode(images):
        mean, log_variance = model.encode(scaled(images))
        return {"mean": mean} if log_variance is None else {"mean": mean, "log_variance": log_variance}

    def decode(latents):
        return {"reconstructions": model.decode(latents)}

    def reconstruct(images):
        return {"reconstructions": model.reconstruct(scaled(images))}

    def encode_and_decode(images):
        encoded = encode(images)
        return encoded | decode(encoded["mean"])

    def sample(count, seed):
        noise = tf.random.stateless_normal((count, model.latent_dim), tf.stack([seed, 0]), alg="philox")
        return {"samples": model.decode(noise)}

    signatures = {"encode": (encode, [images]), "decode": (decode, [latents]), "reconstruct": (reconstruct, [images])}
    if model.variational:
        numbers = [tf.TensorSpec((), tf.int32, "count"), tf.TensorSpec((), tf.int32, "seed")]
        signatures["sample"] = (sample, numbers)
    return signatures | {"serving_default": (encode_and_decode, [images])}


def answers(model: Autoencoder, inputs: dict[str, np.ndarray], input_type: str) -> dict[str, np.ndarray]:
    """Return what `model` answers to `inputs` on every signature and batch size, by "signature/output/rows"."""
    values = {}
    for name, (function, specs) in endpoints(model, input_type).items():
        for rows in reload_check.ROWS:
            outputs = function(
                *(tf.constant(reload_check.first(inputs[spec.name], rows), spec.dtype) for spec in specs)
            )
            values |= {f"{name}/{output}/{rows}": value.numpy() for output, value in outputs.items()}
    return values


def _keras_file(path, inputs):
    return answers(load_model(path), inputs, "float32"), {}


if __name__ == "__main__":
    sys.exit(reload_check.main(*sys.argv[1:], _keras_file))
