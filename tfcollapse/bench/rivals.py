"""Train the same networks in PyTorch, by a plain loop and by pythae, each in a process of its own (extra `bench`)."""

from __future__ import annotations

import importlib.util
from typing import Any

import keras
import numpy as np

from tfcollapse.bench.contenders import Contender, as_pixels
from tfcollapse.bench.rival_process import Layer, Task, serve
from tfcollapse.child_process import ChildProcess
from tfcollapse.config.declaration import Run
from tfcollapse.models import networks
from tfcollapse.models.networks.hidden import HiddenLayer
from tfcollapse.models.networks.parts import Decoder, Encoder


def installed() -> list[str]:
    """Return those of "pytorch" and "pythae" that can be imported."""
    modules = {"pytorch": "torch", "pythae": "pythae"}
    return [name for name, module in modules.items() if importlib.util.find_spec(module)]


def start_all(run: Run, images: np.ndarray) -> dict[str, Contender]:
    """Start all that are `installed`; none where `run`'s networks are no plain sequence of PyTorch's layers."""
    try:
        task(run, images[:1])
    except NotImplementedError:
        return {}
    return {name: rival(name, run, images) for name in installed()}


def rival(name: str, run: Run, images: np.ndarray) -> Contender:
    """Start one of `installed`, ready to train `run`'s networks on `images`. Its process ends with the contender."""
    process = ChildProcess(serve, name, task(run, images))
    process.connection.recv()

    def call(steps: int) -> None:
        process.connection.send(steps)
        process.connection.recv()

    return call


def task(run: Run, images: np.ndarray) -> Task:
    """Describe `run`'s networks for the other process, layer by layer."""
    variational = run.objective.kind == "vae"
    encoder, decoder = networks.build(run.network, images.shape[1:], variational=variational, seed=run.seed)
    return Task(
        encoder=_body(encoder),
        heads=[_layers(head)[0] for head in (encoder.mean, encoder.log_variance) if head is not None],
        decoder=_body(decoder),
        parameters=encoder.count_params() + decoder.count_params(),
        pixels=np.moveaxis(as_pixels(images), -1, 1).copy(),
        latent_dim=run.network.latent_dim,
        batch=run.training.batch,
        learning_rate=run.training.learning_rate,
        epsilon=run.training.epsilon,
    )


def _body(part: Encoder | Decoder) -> list[Layer]:
    """Translate the layers of an encoder's or a decoder's body."""
    if part.skips():
        raise NotImplementedError(f"{type(part).__name__}: PyTorch's part is a plain sequence of layers")
    return [translated for layer in part.body for translated in _layers(layer)]


def _layers(layer: keras.layers.Layer) -> list[Layer]:
    relu = getattr(layer, "activation", None) is keras.activations.relu
    match layer:
        case keras.layers.Flatten():
            return [("Flatten", {}, False)]
        case keras.layers.Reshape():
            *sides, channels = layer.target_shape
            return [("Unflatten", {"dim": 1, "unflattened_size": (channels, *sides)}, False)]
        case keras.layers.MaxPooling2D():
            return [("MaxPool2d", {"kernel_size": 2}, False)]
        case keras.layers.GlobalAveragePooling2D():
            return [("AdaptiveAvgPool2d", {"output_size": 1}, False), ("Flatten", {}, False)]
        case HiddenLayer() if layer.shortcut:
            raise NotImplementedError(f"{layer.name}: PyTorch's part is a plain sequence of layers")
        case HiddenLayer():
            inputs, outputs = layer.kernel.shape
            normalised = {"normalized_shape": outputs, "eps": layer.normalisation.epsilon}
            return [
                ("Linear", {"in_features": inputs, "out_features": outputs}, False),
                ("LayerNorm", normalised, True),
            ]
        case keras.layers.Dense():
            inputs, outputs = layer.kernel.shape
            return [("Linear", {"in_features": inputs, "out_features": outputs}, relu)]
        case keras.layers.Conv2DTranspose():
            *_, outputs, inputs = layer.kernel.shape
            doubling: dict[str, Any] = {"kernel_size": 3, "stride": 2, "padding": 1, "output_padding": 1}
            return [("ConvTranspose2d", {"in_channels": inputs, "out_channels": outputs, **doubling}, relu)]
        case keras.layers.Conv2D():
            size, _, inputs, outputs = layer.kernel.shape
            plain = {"in_channels": inputs, "out_channels": outputs, "kernel_size": size, "padding": "same"}
            return [("Conv2d", plain, relu)]
        case _:
            raise NotImplementedError(type(layer).__name__)
