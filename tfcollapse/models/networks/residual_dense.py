"""Dense networks with an identity shortcut around every hidden layer but the first: He et al. (2016).

A branch only adds. From the dense network's own start the signal would grow with every layer: at depth 10 the pixels'
standard deviation over images would be 34, and the VAE's first loss is not finite. So the kernels of a network of depth
L, which has L - 1 shortcuts, start divided by L - 1 (`hidden.hidden_layer`).
"""

from __future__ import annotations

import keras

from tfcollapse.models.networks.dense import DenseDecoder, DenseEncoder


@keras.saving.register_keras_serializable("tfcollapse")
class ResidualDenseEncoder(DenseEncoder):
    """A `DenseEncoder` whose hidden layers from the second on give h + relu(W h + b): `hidden.HiddenLayer`."""

    shortcuts = True


@keras.saving.register_keras_serializable("tfcollapse")
class ResidualDenseDecoder(DenseDecoder):
    """A `DenseDecoder` with the same shortcuts; its first layer, from z, and its last, to the pixels, have none."""

    shortcuts = True
