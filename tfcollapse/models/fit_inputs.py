"""Check the images that Keras' `fit`, `evaluate` and `predict` are given, and turn them into a model's numbers."""

from __future__ import annotations

import itertools
import types
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
from keras import ops

from tfcollapse.data.memory_mapped import blocks
from tfcollapse.errors import ConfigError

_BLOCK = 4_096
_ROUNDING = 1e-3
"""How far beyond the range of values a number may lie: float16 rounds by half of this near 1."""

Range = tuple[float, float]


def as_numbers(images: Any, shape: tuple[int, ...], dtype: str) -> Any:
    """Return images as `dtype`; uint8 is divided by 255, as `tfcollapse.train` does. Nothing is computed beside it.

    Args:
      images: a tensor or an array, [batch, *shape].
      shape: of one image.
      dtype: a floating-point type.

    Raises:
      ConfigError: images of another shape, or of other integers than uint8.
    """
    if not hasattr(images, "shape") or not hasattr(images, "dtype"):
        images = ops.convert_to_tensor(images)
    check_shape(images, shape)
    try:
        kind = keras.backend.standardize_dtype(images.dtype)
    except ValueError:
        kind = str(images.dtype)
    if kind == "uint8":
        return ops.cast(images, dtype) / 255
    if "float" not in kind:
        raise ConfigError(
            f"images: expected floats, or uint8 of 0 to 255, received {kind}: convert them, such as "
            "images.astype('float32')"
        )
    return ops.cast(images, dtype)


def check_shape(images: Any, shape: tuple[int, ...]) -> None:
    """Check the sizes of images that are known, [batch, *shape]. Raises ConfigError."""
    if getattr(images.shape, "rank", 0) is None:  # a stream of TensorFlow's that does not say
        return
    received = tuple(images.shape)
    if len(received) != 1 + len(shape) or any(
        size not in (None, wanted) for size, wanted in zip(received[1:], shape, strict=True)
    ):
        raise ConfigError(
            f"images: expected the shape {written((None, *shape))}, received {written(received)}: reshape them, or "
            "make the model for these"
        )


def written(shape: tuple[int | None, ...]) -> str:
    """Write a shape as text, with an unknown first size as "batch"."""
    first, *others = shape or ("nothing",)
    return f"({', '.join(map(str, ('batch' if first is None else first, *others)))})"


def check_call(method: str, call: dict[str, Any], shape: tuple[int, ...], value_range: Range | None) -> None:
    """Check the arguments of a method of Keras, and replace a generator among them by one that still has all batches.

    Args:
      method: the name of the method, for messages.
      call: the arguments by name, which are changed.
      shape: of one image.
      value_range: the least and the largest value that an image may have; None for any finite one.

    Raises:
      ConfigError: as `checked` says, and for sample or class weights.
    """
    for name in ("sample_weight", "class_weight"):
        if call.get(name) is not None:
            raise ConfigError(f"{method}: expected no {name}, as every image counts once: leave it out")
    if "_use_cached_eval_dataset" in call.get("kwargs", {}):  # by `fit`, which has checked its validation data
        return
    x = call.get("x")
    call["x"] = checked(method, x, call.get("y"), shape, value_range)
    if method == "fit" and not _is_array(x):
        call.setdefault("shuffle", False)  # which Keras otherwise says that it ignores
    validation = call.get("validation_data")
    if validation is not None:
        x, *others = keras.utils.unpack_x_y_sample_weight(validation)
        if others[1] is not None:
            raise ConfigError(f"{method}: expected no sample weights in validation_data, as every image counts once")
        x = checked("validation_data", x, others[0], shape, value_range)
        call["validation_data"] = (x, *others) if isinstance(validation, (tuple, list)) else x


def checked(method: str, x: Any, y: Any, shape: tuple[int, ...], value_range: Range | None) -> Any:
    """Check the images that a method of Keras is given, and return what to hand on in the place of `x`.

    An array is checked as a whole. Of a stream (a dataset, a `PyDataset`, a generator, a loader) the first batch is.

    Args:
      method: the name of the method, for messages.
      x: the images.
      y: targets, which the model has no use for.
      shape: of one image.
      value_range: the least and the largest value that an image may have; None for any finite one.

    Raises:
      ConfigError: images of another shape or type, outside the range of values, or not finite; uint8 images of 0 and 1
        alone; targets that are other images; a stream without a batch.
    """
    if _is_array(x):
        _check(method, _array(x), y, shape, value_range)
    elif type(x).__name__ != "DistributedDataset":  # its batches lie on several devices
        first, x = _first_batch(method, x)
        images, targets, weights = keras.utils.unpack_x_y_sample_weight(first)
        if weights is not None:
            raise ConfigError(f"{method}: expected no sample weights, as every image counts once: leave them out")
        if not _is_array(images):
            raise ConfigError(f"{method}: expected batches of images, received batches of {type(images).__name__}")
        _check(method, _array(images), targets, shape, value_range)
    return x


def _first_batch(method: str, stream: Any) -> tuple[Any, Any]:
    """Return the first batch of a stream, and a stream that still has it. Raises ConfigError."""
    if isinstance(stream, keras.utils.PyDataset):
        return stream[0], stream
    if not hasattr(stream, "__iter__") or isinstance(stream, (list, tuple, dict, str)):
        raise ConfigError(
            f"{method}: expected an array, a dataset or a generator of images, received {type(stream).__name__}"
        )
    iterator = iter(stream)
    first = next(iterator, None)
    if first is None:
        raise ConfigError(f"{method}: expected a batch of images or more, received an empty stream")
    return first, _again(first, iterator) if isinstance(stream, types.GeneratorType) else stream


def _again(first: Any, others: Iterator[Any]) -> Iterator[tuple[Any, ...]]:
    """Yield every batch as the tuple that Keras asks of a generator."""
    for batch in itertools.chain([first], others):
        yield batch if isinstance(batch, tuple) else (batch,)


def _check(method: str, images: np.ndarray, targets: Any, shape: tuple[int, ...], value_range: Range | None) -> None:
    check_shape(images, shape)
    as_numbers(images[:0], shape, "float32")  # its check of the type
    if not len(images):
        raise ConfigError(f"{method}: expected an image or more, received none")
    extremes = np.array([(block.min(), block.max()) for block in blocks(images, _BLOCK)], np.float64)
    low, high = extremes[:, 0].min(), extremes[:, 1].max()
    if not np.isfinite(extremes).all():
        what = "NaN" if np.isnan(low) else "infinity"
        raise ConfigError(f"{method}: expected finite numbers, received {what} among the pixels")
    if images.dtype == np.uint8 and high == 1:
        raise ConfigError(
            f"{method}: expected uint8 images of 0 to 255, received 0 and 1 alone: take images.astype('float32')"
        )
    if images.dtype != np.uint8 and value_range is not None:
        _check_range(method, low, high, value_range)
    if _is_array(targets) and tuple(targets.shape) == images.shape and not np.array_equal(_array(targets), images):
        raise ConfigError(f"{method}: expected no targets, as images are their own, received other images as y")


def _check_range(method: str, low: float, high: float, value_range: Range) -> None:
    least, most = value_range
    if low < least - _ROUNDING or high > most + _ROUNDING:
        raise ConfigError(
            f"{method}: expected images in [{least:g}, {most:g}], received numbers from {low:.4g} to {high:.4g}: "
            "divide 0 to 255 by 255, or make the model with value_range=None for images in other units"
        )


def _is_array(value: Any) -> bool:
    return hasattr(value, "shape") and hasattr(value, "dtype") and not isinstance(value, keras.utils.PyDataset)


def _array(value: Any) -> np.ndarray:
    return value if isinstance(value, np.ndarray) else np.asarray(ops.convert_to_numpy(value))
