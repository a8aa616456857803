"""Say how examples have to be turned for a model that takes another shape: channels first or last, flat or not."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np

Shape = tuple[int, ...]


def turned(
    shape: Shape, declared: Sequence[int | None] = ()
) -> Iterator[tuple[Shape, str, Callable[[np.ndarray], np.ndarray]]]:
    """Yield other shapes that one example may be meant to have, with the code for x [n, ...] and its function.

    Args:
      shape: of one example.
      declared: the shape that the model says it takes, where it says so.
    """
    if len(shape) == 3:
        height, width, channels = shape
        yield (channels, height, width), "x.transpose(0, 3, 1, 2)", lambda x: x.transpose(0, 3, 1, 2)
        channels, height, width = shape
        yield (height, width, channels), "x.transpose(0, 2, 3, 1)", lambda x: x.transpose(0, 2, 3, 1)
    if len(shape) == 2:
        yield (*shape, 1), "x[..., None]", lambda x: x[..., None]
        yield (1, *shape), "x[:, None]", lambda x: x[:, None]
        yield shape[::-1], "x.transpose(0, 2, 1)", lambda x: x.transpose(0, 2, 1)
    if len(shape) > 1:
        yield (math.prod(shape),), "x.reshape(len(x), -1)", lambda x: x.reshape(len(x), -1)
    if len(shape) == 1:
        known = tuple(size for size in declared if size)
        meant = [known] if len(known) == len(declared) > 1 and math.prod(known) == shape[0] else _images(shape[0])
        for image in meant:
            yield image, f"x.reshape(-1, {', '.join(map(str, image))})", _reshaped(image)


def _images(size: int) -> Iterator[Shape]:
    """Yield the square images that a flat example may be."""
    for channels in (1, 3):
        side = math.isqrt(size // channels)
        if side > 1 and channels * side * side == size:
            yield from ((side, side, channels), (channels, side, side), *([(side, side)] if channels == 1 else []))


def _reshaped(shape: Shape) -> Callable[[np.ndarray], np.ndarray]:
    return lambda x: x.reshape(len(x), *shape)


def same_order(first: Shape, second: Shape) -> bool:
    """Return whether examples of two shapes of one size hold their numbers in the same order.

    That is so where one is flat, or where they differ in axes of one alone. (3, 32, 32) and (32, 32, 3) do not.
    """
    kept = [tuple(size for size in shape if size != 1) for shape in (first, second)]
    return kept[0] == kept[1] or min(len(kept[0]), len(kept[1])) <= 1


def code_to(shape: Shape, wanted: Shape) -> str | None:
    """Return the code that turns x [n, *shape] to the wanted shape; None where there is no plain way."""
    return next((code for other, code, _ in turned(shape) if other == wanted), None)
