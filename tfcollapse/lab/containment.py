"""Build the embedding behind section 6: "the simpler models are always contained within the capacity of the larger"."""

from __future__ import annotations

import keras
import numpy as np

from tfcollapse.config.declaration import Network, Run
from tfcollapse.config.objective import Objective
from tfcollapse.errors import ConfigError
from tfcollapse.models.autoencoder import Autoencoder
from tfcollapse.models.build import build
from tfcollapse.models.networks.hidden import HiddenLayer
from tfcollapse.models.networks.residual import ResidualBlock
from tfcollapse.theory.checks import Check, equal

__all__ = ["embed"]

PAIRS = (
    (Network(depth=1), Network(depth=6)),
    (
        Network(architecture="convolutional", depth=1, base_channels=8),
        Network(architecture="convolutional", depth=4, base_channels=8),
    ),
    (
        Network(architecture="residual", depth=1, block_depth=2, base_channels=4),
        Network(architecture="residual", depth=2, block_depth=3, base_channels=4),
    ),
)
"""Pairs of a network and a deeper one that contains it."""


def embed(smaller: Autoencoder, larger: Autoencoder) -> None:
    """Give the deeper network `larger` weights at which it computes what `smaller` does, in place.

    A layer that both have keeps its weights. A further layer passes its input on: it follows a ReLU, so that its input
    is not negative and its own ReLU changes nothing. A further dense layer has the identity as its kernel, a further
    3x3 convolution the identity at its centre, a further residual block or dense layer with a shortcut a branch of
    zeros. A block with more convolutions passes the signal on before its last one, which no ReLU follows. Heads and
    pixels are linear and are copied, so signed latents need no pairs of ReLU units.

    So the smallest error of the deeper network is at most that of the shallower one. Where training leaves it with a
    larger error, capacity is not the reason.

    Args:
      smaller: an AE or a VAE of this package, without batch normalisation, and without layer normalisation unless its
        dense layers have shortcuts.
      larger: of the same architecture, image shape, latent dimension, width or channels, normalisation, and objective.

    Raises:
      ConfigError: the networks' layers do not fit.

    Example:
      >>> shallow, deep = (
      ...     tc.build(tc.Run(network=tc.Network(depth=depth, width=16, latent_dim=4), seed=depth), (28, 28, 1))
      ...     for depth in (1, 3)
      ... )
      >>> tc.lab.containment.embed(shallow, deep)
      >>> images = tc.load(tc.Data(name="fashion_mnist_mini", train=5)).train
      >>> bool(np.array_equal(shallow.reconstruct(images), deep.reconstruct(images)))
      True
    """
    for part, deeper in ((smaller.encoder, larger.encoder), (smaller.decoder, larger.decoder)):
        shared = {layer.name: layer for layer in _layers(part)}
        for layer in _layers(deeper):
            source = shared.pop(layer.name, None)
            for target, weights in _weights(source, layer):
                if [value.shape for value in weights] != [tuple(variable.shape) for variable in target.weights]:
                    raise ConfigError(
                        f"embed: {target.name}: expected the same width or channels and normalisation in both networks"
                    )
                target.set_weights(weights)
        if shared:
            raise ConfigError(f"embed: expected a deeper network than the one with the layers {', '.join(shared)}")
    if smaller.log_gamma is not None and larger.log_gamma is not None:
        larger.log_gamma.assign(smaller.log_gamma)


def containment_checks(seed: int) -> list[Check]:
    """Check for each of PAIRS that the deeper AE computes exactly, in float32, what the shallower one does."""
    checks = []
    for network, deeper in PAIRS:
        small, large = (_ae(each, seed) for each in (network, deeper))
        random = np.random.default_rng(seed)
        for variable in small.trainable_variables:  # biases too, which start at zero
            variable.assign(variable + 0.05 * random.standard_normal(variable.shape))
        embed(small, large)
        images = random.uniform(size=(4, *small.image_shape)).astype(np.float32)
        pair = [np.asarray(model.reconstruct(images)) for model in (small, large)]
        checks.append(
            equal(
                f"section 6, contained: {_name(network)} in {_name(deeper)}: largest difference of the outputs",
                0.0,
                float(np.abs(pair[0] - pair[1]).max()),
                absolute=0.0,
            )
        )
    return checks


def _ae(network: Network, seed: int) -> Autoencoder:
    shape = (28, 28, 1) if network.spec.fully_connected else (32, 32, 3)
    return build(Run(network=network, objective=Objective(kind="ae"), seed=seed), shape)


def _name(network: Network) -> str:
    blocks = f" of {network.block_depth}" if network.architecture == "residual" else ""
    size = f"width {network.width}" if network.spec.fully_connected else f"{network.base_channels} channels"
    return f"{network.architecture} {network.depth}{blocks} ({size})"


def _layers(part: keras.Model) -> list[keras.layers.Layer]:
    heads = [getattr(part, name, None) for name in ("mean", "log_variance")]
    return [layer for layer in (*part.body, *heads) if layer is not None and layer.weights]


def _weights(
    source: keras.layers.Layer | None, layer: keras.layers.Layer
) -> list[tuple[keras.layers.Layer, list[np.ndarray]]]:
    """Return the layers with weights in `layer`, each with what it gets from `source`, or to pass its input on."""
    if not isinstance(layer, ResidualBlock):
        return [(layer, _passing(layer) if source is None else source.get_weights())]
    if layer.norms:
        raise ConfigError("embed: expected residual blocks without batch normalisation")
    shortcut = [layer.projection] if layer.projects else []
    if source is None:
        zeros = [(each, [np.zeros(variable.shape) for variable in each.weights]) for each in layer.convolutions]
        return [*zeros, *((each, _passing(each)) for each in shortcut)]
    *first, last = source.convolutions
    *targets, end = layer.convolutions
    if len(targets) < len(first):
        raise ConfigError("embed: expected at least as many convolutions in a block of the deeper network")
    pairs = [(each, from_.get_weights()) for each, from_ in zip(targets, first, strict=False)]
    pairs += [(each, _passing(each)) for each in targets[len(first) :]]
    return [*pairs, (end, last.get_weights()), *((each, source.projection.get_weights()) for each in shortcut)]


def _passing(layer: keras.layers.Layer) -> list[np.ndarray]:
    """Return the weights of a dense layer or a convolution whose output is its last inputs.

    A layer of a decoder with skip connections takes z before what the layer below gives; z is left out.
    """
    if isinstance(layer, HiddenLayer):
        if not layer.shortcut:  # its output has mean 0 and variance 1 before the ReLU, whatever its input
            raise ConfigError("embed: expected layers without layer normalisation, or with shortcuts")
        return [np.zeros(variable.shape) for variable in layer.weights]
    kernel = np.zeros(layer.kernel.shape)
    centre = tuple(size // 2 for size in kernel.shape[:-2])
    kernel[(*centre, slice(-kernel.shape[-1], None))] = np.eye(kernel.shape[-1])
    return [kernel, np.zeros(kernel.shape[-1])]
