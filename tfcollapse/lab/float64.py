"""Copy models to float64, which exact zeros and Hessians need."""

from __future__ import annotations

import keras

from tfcollapse.models.autoencoder import Autoencoder


def in_float64(model: Autoencoder) -> Autoencoder:
    """Return a copy of the model with float64 weights and arithmetic.

    Args:
      model: a model all of whose parts are of this package.
    """
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
