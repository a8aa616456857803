"""Models in float64, as exact zeros and Hessians want them."""

from __future__ import annotations

import keras

from tfcollapse.models.autoencoder import Autoencoder


def in_float64(model: Autoencoder) -> Autoencoder:
    """The same model with float64 weights and arithmetic; its parts must be of this package."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float64")
    try:
        config = model.get_config()
        config.pop("dtype", None)
        copy = Autoencoder.from_config(config)
    finally:
        keras.config.set_dtype_policy(before)
    copy.set_weights(model.get_weights())
    return copy
