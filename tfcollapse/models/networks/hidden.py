"""The hidden layers of fully connected networks: plain, normalised, or with an identity shortcut."""

from __future__ import annotations

from typing import Any

import keras

from tfcollapse.models.networks.initializers import Drawn
from tfcollapse.models.networks.layers import adopt_policy, dense


@keras.saving.register_keras_serializable("tfcollapse")
class HiddenLayer(keras.layers.Dense):
    """A dense layer with ReLU whose pre-activation is normalised, or to which an identity shortcut is added.

    It computes relu(N(W h + b)), and h + relu(N(W h + b)) with the shortcut.

    The shortcut is that of He et al. (2016, "Identity Mappings in Deep Residual Networks"): nothing scales it, and
    nothing follows the addition. The branch is the layer of a dense network, with its ReLU inside (their Figure 4(c)),
    so that the shortcut is all that differs from that network. Such a branch only adds to h, which is not negative;
    He et al. found it worse than their own order, in which ReLU and normalisation come before the weights.

    N is the identity or layer normalisation (Ba et al., 2016) over the layer's units, with a gain and an offset for
    each unit, and Keras' epsilon of 1e-3 beside the variance. The bias b stays, where Ba et al. have the offset alone:
    without b the layer gives the same for h and for 2 h, but for epsilon. As b starts at 0, this is so at the start.

    Args:
      units: units.
      norm: "none" or "layer", N.
      shortcut: add the layer's input, which then has as many units.
      options: those of `keras.layers.Dense`, without an activation.

    Call: [batch, features] to [batch, units].
    """

    def __init__(self, units: int, *, norm: str = "none", shortcut: bool = False, **options: Any):
        super().__init__(units, **options)
        self.norm, self.shortcut = norm, shortcut
        self.normalisation = (
            keras.layers.LayerNormalization(name=f"{self.name}_norm")
            if norm == "layer"
            else keras.layers.Identity(name=f"{self.name}_norm")
        )
        adopt_policy(self)

    def build(self, input_shape: Any) -> None:
        super().build(input_shape)
        self.normalisation.build(self.compute_output_shape(input_shape))

    def call(self, inputs: Any) -> Any:
        hidden = keras.ops.relu(self.normalisation(super().call(inputs)))
        return inputs + hidden if self.shortcut else hidden

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"norm": self.norm, "shortcut": self.shortcut}


def hidden_layer(
    units: int, *, name: str, initializer: str, seed: int, norm: str = "none", shortcuts: int = 0
) -> keras.layers.Dense:
    """Return a dense layer with ReLU and zero bias; a `HiddenLayer` where it is normalised or has a shortcut.

    Args:
      units: units.
      name, initializer, seed: of the layer, and of its start.
      norm: "none" or "layer".
      shortcuts: 0, or the number of layers with a shortcut that the network has, of which this is one. The kernel
        starts divided by it, unless it is normalised: by Hanin and Rolnick (2018) the signal of a residual network
        keeps its size where the sum of the branches' scales stays bounded as depth grows; with equal scales of 1 it
        grows exponentially.
    """
    if norm == "none" and not shortcuts:
        return dense(units, name=name, initializer=initializer, seed=seed, activation="relu")
    start = Drawn(initializer, seed, name, 1 / shortcuts if norm == "none" else 1.0)
    return HiddenLayer(units, norm=norm, shortcut=shortcuts > 0, kernel_initializer=start, name=name)
