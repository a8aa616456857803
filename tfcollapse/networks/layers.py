"""What every architecture shares: dense layers whose start depends on the seed and their own name alone."""

from __future__ import annotations

import zlib

import keras


def dense(units: int, *, name: str, initializer: str, seed: int, activation: str | None = None) -> keras.layers.Dense:
    """A dense layer with zero bias; AE and VAE twins of one seed start at the same shared weights."""
    return keras.layers.Dense(
        units, activation=activation, kernel_initializer=seeded(initializer, seed, name), name=name
    )


def seeded(initializer: str, seed: int, name: str) -> keras.initializers.Initializer:
    """A Keras initialiser by name, seeded by (seed, name): stable across processes."""
    config = {"seed": zlib.crc32(f"{seed}/{name}".encode())}
    return keras.initializers.get({"class_name": initializer, "config": config})
