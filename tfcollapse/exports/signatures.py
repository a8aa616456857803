"""What an export answers: its signatures, as functions of the model, and the answers that its reload is held against.

Run as `python -m tfcollapse.exports.signatures FILE.keras FOLDER`, it checks a .keras file, whose reader is this
package, as `reload_check`, which imports nothing of ours, checks a SavedModel.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import tensorflow as tf

from tfcollapse.exports import reload_check
from tfcollapse.models.autoencoder import Autoencoder, load_model

_PIXELS = np.arange(256, dtype=np.float32) / np.float32(255)
"""A table, as TensorFlow rewrites a division by 255 to a product, which rounds otherwise."""


def endpoints(model: Autoencoder, input_type: str) -> dict[str, tuple[Any, list[tf.TensorSpec]]]:
    """Signatures by name; argument and result names are those that a client sees."""
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

    def both(images):
        encoded = encode(images)
        return encoded | decode(encoded["mean"])

    def sample(count, seed):
        noise = tf.random.stateless_normal((count, model.latent_dim), tf.stack([seed, 0]), alg="philox")
        return {"samples": model.decode(noise)}

    found = {"encode": (encode, [images]), "decode": (decode, [latents]), "reconstruct": (reconstruct, [images])}
    if model.variational:
        numbers = [tf.TensorSpec((), tf.int32, "count"), tf.TensorSpec((), tf.int32, "seed")]
        found["sample"] = (sample, numbers)
    return found | {"serving_default": (both, [images])}


def answers(model: Autoencoder, given: dict[str, np.ndarray], input_type: str) -> dict[str, np.ndarray]:
    """What `model` answers to `given` on every signature and batch size, by "signature/output/rows"."""
    found = {}
    for name, (function, specs) in endpoints(model, input_type).items():
        for rows in reload_check.ROWS:
            said = function(*(tf.constant(reload_check.first(given[spec.name], rows), spec.dtype) for spec in specs))
            found |= {f"{name}/{output}/{rows}": value.numpy() for output, value in said.items()}
    return found


def _keras_file(path, given):
    return answers(load_model(path), given, "float32"), {}


if __name__ == "__main__":
    sys.exit(reload_check.main(*sys.argv[1:], _keras_file))
