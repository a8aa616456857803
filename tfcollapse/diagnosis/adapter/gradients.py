"""Pull cotangents of a decoder's outputs back to its latents by TensorFlow, torch or JAX."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from tfcollapse.errors import ConfigError

Select = Callable[[Any], Sequence[Any]]
"""Takes the tensors that are wanted out of what a model returns."""


class Pullback(NamedTuple):
    """Outputs, and the function that pulls their cotangents back to the latents.

    Attributes:
      outputs: arrays of n rows.
      pull_back: cotangents, of the shapes of the outputs, to the cotangent of the latents, [n, latent].
    """

    outputs: list[np.ndarray]
    pull_back: Callable[[Sequence[np.ndarray]], np.ndarray]


def to_numpy(tensor: Any) -> np.ndarray:
    """Return a framework's tensor as an array of float32 or float64. Raises ConfigError where it holds no numbers."""
    try:
        array = np.asarray(tensor.detach().float().cpu() if hasattr(tensor, "detach") else tensor)
        return array if array.dtype in (np.float32, np.float64) else array.astype(np.float32)
    except (TypeError, ValueError) as error:
        line = (str(error).strip().splitlines() or [""])[0][:160]
        raise ConfigError(f"outputs: expected tensors of numbers, received {type(tensor).__name__}: {line}") from error


def by_tape(function: Any, latents: np.ndarray, others: Sequence[np.ndarray], select: Select) -> Pullback | None:
    """Differentiate a function of TensorFlow's tensors by a tape."""
    import tensorflow as tf

    z = tf.constant(latents)
    with tf.GradientTape() as tape:
        tape.watch(z)
        outputs = [tf.convert_to_tensor(one) for one in select(function(z, *map(tf.constant, others)))]

    def pull_back(cotangents: Sequence[np.ndarray]) -> np.ndarray:
        given = [tf.cast(tf.constant(one), out.dtype) for one, out in zip(cotangents, outputs, strict=True)]
        gradient = tape.gradient(outputs, z, output_gradients=given)
        if gradient is None:
            raise TypeError("the outputs do not follow from z by TensorFlow's operations")
        return gradient.numpy()

    return Pullback([to_numpy(one) for one in outputs], pull_back)


def graph_of(function: Any) -> Any:
    """Return a function of TensorFlow's tensors as a graph, which calls its layers without Python."""
    import tensorflow as tf

    return tf.function(function, autograph=False)


def by_autograd(
    function: Any, latents: np.ndarray, others: Sequence[np.ndarray], select: Select, device: Any = None
) -> Pullback | None:
    """Differentiate a function of torch tensors on a device; None where its outputs have no gradient."""
    import torch

    z = torch.as_tensor(latents, device=device).requires_grad_()
    outputs = list(select(function(z, *(torch.as_tensor(one, device=device) for one in others))))
    if not all(one.requires_grad for one in outputs):
        return None

    def pull_back(cotangents: Sequence[np.ndarray]) -> np.ndarray:
        given = [
            torch.as_tensor(one, dtype=out.dtype, device=out.device)
            for one, out in zip(cotangents, outputs, strict=True)
        ]
        return to_numpy(torch.autograd.grad(outputs, z, given)[0])

    return Pullback([to_numpy(one) for one in outputs], pull_back)


def by_jax(function: Any, latents: np.ndarray, others: Sequence[np.ndarray], select: Select) -> Pullback | None:
    """Differentiate a function of JAX arrays."""
    import jax

    outputs, vjp = jax.vjp(lambda z: tuple(select(function(z, *others))), latents)

    def pull_back(cotangents: Sequence[np.ndarray]) -> np.ndarray:
        given = tuple(np.asarray(one, out.dtype) for one, out in zip(cotangents, outputs, strict=True))
        return np.asarray(vjp(given)[0])

    return Pullback([np.asarray(one) for one in outputs], pull_back)
