"""Layers that the architectures share; their initial weights depend on the seed and the layer's name alone."""

from __future__ import annotations

from typing import Any

import keras

from tfcollapse.models.networks.initializers import Drawn


def dense(units: int, *, name: str, initializer: str, seed: int, activation: str | None = None) -> keras.layers.Dense:
    """Return a dense layer with zero bias. AE and VAE twins of one seed start at the same shared weights."""
    return keras.layers.Dense(
        units, activation=activation, kernel_initializer=Drawn(initializer, seed, name), name=name
    )


def convolution(
    channels: int, size: int = 3, *, name: str, initializer: str, seed: int, activation: str | None = None
) -> keras.layers.Conv2D:
    """Return a "same" convolution with zero bias."""
    return keras.layers.Conv2D(
        channels,
        size,
        padding="same",
        activation=activation,
        kernel_initializer=Drawn(initializer, seed, name),
        name=name,
    )


def upscaling(channels: int, *, name: str, initializer: str, seed: int, activation: str) -> keras.layers.Layer:
    """Return a 3x3 transposed convolution of stride 2, which doubles the side."""
    return keras.layers.Conv2DTranspose(
        channels,
        3,
        strides=2,
        padding="same",
        activation=activation,
        kernel_initializer=Drawn(initializer, seed, name),
        name=name,
    )


def adopt_policy(layer: keras.layers.Layer) -> None:
    """Let the layers inside `layer` compute in its types."""
    layer.own_policy = layer.dtype_policy.name  # a run's precision may change the policy later, and is not the layer's
    for inner in layer._flatten_layers(include_self=False):
        inner.dtype_policy = layer.dtype_policy


def changed_options(layer: keras.layers.Layer) -> dict[str, Any]:
    """Return those of Keras' own arguments, for a configuration, whose value is not the default."""
    options = {"dtype": layer.own_policy, "trainable": layer.trainable}
    return {name: value for name, value in options.items() if value not in ("float32", True)}


def build_chain(layers: list[keras.layers.Layer], shape: tuple[Any, ...]) -> tuple[Any, ...]:
    """Build layers that are applied one after another on inputs of `shape`; return the last one's output shape."""
    for layer in layers:
        layer.build(shape)
        shape = layer.compute_output_shape(shape)
    return shape
