"""Description of a network: its layers, parameters, and FLOPs."""

from __future__ import annotations

import functools
import math
from typing import Any

import keras

from tfcollapse.config.declaration import Run
from tfcollapse.models import networks
from tfcollapse.models.memory import check_fits
from tfcollapse.models.networks.residual import ResidualBlock

Facts = dict[str, Any]


def describe(run: Run, image_shape: tuple[int, int, int]) -> Facts:
    """Return the layer table, parameters and FLOPs of `run`'s encoder and decoder for images of `image_shape`.

    FLOPs count two per multiplication in dense and convolutional kernels, and nothing else. `flops_per_image` is one
    forward pass of one image, of which every importance sample is decoded. `flops_per_step` is a batch's forward pass,
    and the gradients of all kernels and of their inputs; the input of the first layer, the image, needs no gradient.
    Raises ConfigError where the weights would not fit into memory.
    """
    variational = run.objective.kind == "vae"
    make = functools.partial(networks.build, run.network, image_shape, variational=variational, seed=run.seed)
    for part in (0, 1):
        check_fits("describe", lambda part=part: make()[part])
    encoder, decoder = make()
    parts = {"encoder": _part(encoder, image_shape), "decoder": _part(decoder, (run.network.latent_dim,))}
    forward = parts["encoder"]["flops"] + run.objective.importance_samples * parts["decoder"]["flops"]
    # The layer that takes the image passes no gradient on; without hidden layers both heads take it.
    own = [layer["flops"] for layer in parts["encoder"]["layers"] if layer["flops"]]
    first = own[0] if run.network.depth else sum(own)
    return {
        "network": run.network.title,
        "objective": run.objective.label,
        "image_shape": list(image_shape),
        "parameters": sum(part["parameters"] for part in parts.values()) + (1 if variational else 0),
        "flops_per_image": forward,
        "flops_per_step": run.training.batch * (3 * forward - first),
        **parts,
    }


def lines(facts: Facts) -> list[str]:
    """Write the facts of `describe` as lines of text."""
    shape = "x".join(str(size) for size in facts["image_shape"])
    text = [f"{facts['network']}, {facts['objective']}, images {shape}"]
    for name in ("encoder", "decoder"):
        part = facts[name]
        text += ["", f"{name}: {part['parameters']:,} parameters, {part['flops']:,} FLOPs an image"]
        text += [
            f"  {layer['name']:18} {layer['kind']:18} {'x'.join(map(str, layer['output'])):14} "
            f"{layer['parameters']:>12,} {layer['flops']:>14,}"
            for layer in part["layers"]
        ]
    text += [
        "",
        f"in all: {facts['parameters']:,} parameters (log gamma among a VAE's), "
        f"{facts['flops_per_image']:,} FLOPs an image, {facts['flops_per_step']:,} a training step",
    ]
    return text


def _part(model: keras.Model, input_shape: tuple[int, ...]) -> Facts:
    inputs = keras.Input(input_shape)
    graph = keras.Model(inputs, model.call(inputs))  # lists every layer in the order it is applied
    layers = [
        {
            "name": layer.name,
            "kind": type(layer).__name__,
            "output": list(layer.output.shape[1:]),
            "parameters": layer.count_params(),
            "flops": _flops(layer, math.prod(layer.output.shape[1:-1])),
        }
        for layer in graph.layers
        if not isinstance(layer, keras.layers.InputLayer)
    ]
    return {"parameters": model.count_params(), "flops": sum(layer["flops"] for layer in layers), "layers": layers}


def _flops(layer: keras.layers.Layer, positions: int) -> int:
    """Count two per multiplication of the kernels; `positions` is height times width of the layer's output."""
    match layer:
        case keras.layers.Conv2DTranspose():
            positions //= math.prod(layer.strides)  # its kernel is laid at every position of its input
        case keras.layers.Dense() | keras.layers.Conv2D():
            pass
        case ResidualBlock():
            parts = [*layer.convolutions, *([layer.projection] if layer.projects else [])]
            return sum(_flops(part, positions) for part in parts)
        case _:
            return 0
    return 2 * positions * math.prod(layer.kernel.shape)
