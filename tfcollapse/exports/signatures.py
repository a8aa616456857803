"""Define the signatures of an export, and compute the answers that its reload must give.

Run as a script on FILE.keras and FOLDER, this module checks a .keras file. `reload_check` checks a SavedModel. A .keras
file needs this package as its reader, and `reload_check` imports nothing of it.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import tensorflow as tf

from tfcollapse.exports import reload_check
from tfcollapse.exports.functions import Functions, of_autoencoder
from tfcollapse.models.autoencoder import load_model

_PIXELS = np.arange(256, dtype=np.float32) / np.float32(255)
"""The value of each pixel. A table is used, since TensorFlow turns a division by 255 into a product, which rounds
differently."""


def endpoints(model: Functions, input_type: str) -> dict[str, tuple[Any, list[tf.TensorSpec]]]:
    """Return the signatures by name, each a function and the types of its arguments.

    The names of the types and of the results are those that a client sees.

    Args:
      input_type: the type of the examples: "float32", or "uint8", which is divided by 255.
    """
    examples = tf.TensorSpec((None, *model.example_shape), input_type, model.examples)
    latents = tf.TensorSpec((None, *model.latent_shape), tf.float32, "latents")
    read = [examples] if model.reads_examples else []

    def scaled(values):
        return tf.gather(_PIXELS, tf.cast(values, tf.int32)) if input_type == "uint8" else values

    def encode(values):
        return model.encode(scaled(values))

    def decode(latents, *read):
        return model.decode(latents, *map(scaled, read))

    def encode_and_decode(values):
        encoded = encode(values)
        return encoded | decode(encoded["mean"], *([values] if model.reads_examples else []))

    def reconstruct(values):
        return {name: value for name, value in encode_and_decode(values).items() if name.startswith("reconstructions")}

    def sample(count, seed):
        noise = tf.random.stateless_normal((count, *model.latent_shape), tf.stack([seed, 0]), alg="philox")
        decoded = model.decode(noise)
        return {name.replace("reconstructions", "samples"): value for name, value in decoded.items()}

    signatures = {
        "encode": (encode, [examples]),
        "decode": (decode, [latents, *read]),
        "reconstruct": (reconstruct, [examples]),
    }
    if model.variational and not model.reads_examples:
        numbers = [tf.TensorSpec((), tf.int32, "count"), tf.TensorSpec((), tf.int32, "seed")]
        signatures["sample"] = (sample, numbers)
    return signatures | {"serving_default": (encode_and_decode, [examples])}


def inputs(model: Functions, input_type: str) -> dict[str, np.ndarray]:
    """Return inputs of every signature, by name: examples in [0, 1], and standard normal latents."""
    rows, numbers = max(reload_check.ROWS), np.random.default_rng(0)
    examples = numbers.integers(0, 256, (rows, *model.example_shape)).astype(np.uint8)
    return {
        model.examples: examples if input_type == "uint8" else examples / np.float32(255),
        "latents": numbers.standard_normal((rows, *model.latent_shape)).astype(np.float32),
        "count": np.int32(rows),
        "seed": np.int32(5),
    }


def answers(model: Functions, inputs: dict[str, np.ndarray], input_type: str) -> dict[str, np.ndarray]:
    """Return what `model` answers to `inputs` on every signature and batch size, by "signature/output/rows"."""
    values = {}
    for name, (function, specs) in endpoints(model, input_type).items():
        for rows in reload_check.ROWS:
            outputs = function(
                *(tf.constant(reload_check.first(inputs[spec.name], rows), spec.dtype) for spec in specs)
            )
            values |= {f"{name}/{output}/{rows}": np.asarray(value) for output, value in outputs.items()}
    return values


def of_keras_file(path: str, inputs: dict[str, np.ndarray]) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return the answers of the model in a .keras file, and no signatures."""
    return answers(of_autoencoder(load_model(path)), inputs, "float32"), {}


if __name__ == "__main__":
    sys.exit(reload_check.main(*sys.argv[1:], of_keras_file))
