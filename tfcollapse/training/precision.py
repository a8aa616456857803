"""Set the precision in which a network computes. Its weights, and all that follows from its outputs, stay float32."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import keras

from tfcollapse.models.autoencoder import Autoencoder

_POLICY = {"bfloat16": "mixed_bfloat16", "float16": "mixed_float16"}


def set_precision(model: Autoencoder, precision: str) -> None:
    """Let encoder and decoder compute as `Training.precision` says from now on.

    The engine itself sets "tf32", for which Keras has no type.
    """
    for layer in _layers(model) if precision in _POLICY else []:
        layer.dtype_policy = keras.DTypePolicy(_POLICY[precision])


@contextlib.contextmanager
def full_precision(model: Autoencoder) -> Iterator[None]:
    """Let encoder and decoder compute in the type of their weights inside the `with` statement.

    Numbers that are reported belong to the weights that are kept.
    """
    before = [(layer, layer.dtype_policy) for layer in _layers(model)]
    try:
        for layer, _ in before:
            layer.dtype_policy = keras.DTypePolicy(layer.variable_dtype)
        yield
    finally:
        for layer, policy in before:
            layer.dtype_policy = policy


def synchronise(model: Autoencoder) -> bool:
    """Let batch normalisation take its moments over all replicas, and return whether the model has any.

    This is done on one device too. Keras then computes the moments by another formula, which differs by 5e-6 in the
    first loss, and one device must agree with several.
    """
    normalisations = [layer for layer in _layers(model) if isinstance(layer, keras.layers.BatchNormalization)]
    for layer in normalisations:
        layer.synchronized = True
    return bool(normalisations)


def _layers(model: Autoencoder) -> list[keras.layers.Layer]:
    return [layer for part in (model.encoder, model.decoder) for layer in part._flatten_layers()]
