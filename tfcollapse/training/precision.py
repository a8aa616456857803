"""What a network computes in, while its weights, and all that follows from its outputs, stay float32."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import keras

from tfcollapse.models.autoencoder import Autoencoder

_POLICY = {"bfloat16": "mixed_bfloat16", "float16": "mixed_float16"}


def set_precision(model: Autoencoder, precision: str) -> None:
    """Have encoder and decoder compute as `Training.precision` says from now on.

    "tf32" is the engine's to say: it is no type of Keras'.
    """
    for layer in _layers(model) if precision in _POLICY else []:
        layer.dtype_policy = keras.DTypePolicy(_POLICY[precision])


@contextlib.contextmanager
def full_precision(model: Autoencoder) -> Iterator[None]:
    """Inside, they compute in the type of their weights: what is reported is of the weights that are kept."""
    before = [(layer, layer.dtype_policy) for layer in _layers(model)]
    try:
        for layer, _ in before:
            layer.dtype_policy = keras.DTypePolicy(layer.variable_dtype)
        yield
    finally:
        for layer, policy in before:
            layer.dtype_policy = policy


def synchronise(model: Autoencoder) -> bool:
    """Have batch normalisation, where there is any, take its moments over all replicas; says whether there is.

    On one device too: Keras computes them by another formula then, 5e-6 away in the first loss.
    """
    found = [layer for layer in _layers(model) if isinstance(layer, keras.layers.BatchNormalization)]
    for layer in found:
        layer.synchronized = True
    return bool(found)


def _layers(model: Autoencoder) -> list[keras.layers.Layer]:
    return [layer for part in (model.encoder, model.decoder) for layer in part._flatten_layers()]
