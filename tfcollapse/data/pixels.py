"""Turn images of any type of number into the 0 to 255 of uint8, by the range that the whole data set has."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfcollapse.data.splits import Split
from tfcollapse.errors import DataError

_MOST_BITS = 16
_LEAST_BYTE = 32
"""A data set of floats above 1 is taken as one of 0 to 255 where it has a number of at least this much."""
_CHANNELS = (1, 3, 4)
_HAIR = 1e-6
"""How far floats may be outside their range, as a share of it: rounding in float32. They become 0 and 255."""


@dataclass(frozen=True)
class Pixels:
    """What the images of a data set are, before they are prepared.

    Attributes:
      shape: (height, width, channels) of the first image.
      dtype: the type of their numbers.
      top: the number that becomes 255; 0 stays 0.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    top: int

    @property
    def note(self) -> str:
        """Return what records say about the conversion; nothing where uint8 stays as it is."""
        if self.dtype == np.uint8 and self.top == 255:
            return ""
        if self.dtype.kind == "f":
            return f", {self.dtype} from 0 to {self.top}, rounded to 8 bits"
        if self.top == 1:
            return f", {self.dtype} of 0 and 1"
        return f", {self.dtype} from 0 to {self.top}" + (", rounded to 8 bits" if self.top > 255 else "")

    def scaled(self, image: np.ndarray) -> np.ndarray:
        """Return an image in 0 to 255: uint8 as it is where nothing changes, else float32, not yet rounded."""
        if image.dtype == np.uint8 and self.top == 255:
            return image
        return image.astype(np.float32) * np.float32(255 / self.top)


def survey(splits: Mapping[str, Split], said: str) -> Pixels:
    """Return what the images of all splits are. All are read, but for uint8 only up to the first pixel above 1.

    The rule for the range, in this one place:

    * bool, and whole numbers of 0 and 1 alone: 1 becomes 255, so that training has 0 and 1.
    * Whole numbers: 2^bits - 1 becomes 255, for the fewest bits, at least 8, that hold every number. uint8 stays.
    * Floats up to 1: 1 becomes 255. Floats up to 255, with one above 32: 255 stays 255.

    Args:
      splits: the images.
      said: how a message begins, such as "dataset 'mnist'".

    Raises:
      DataError: no numbers, negative ones, NaN, a range that no rule covers, or arrays that are no images.
    """
    first: np.ndarray | None = None
    low, high = math.inf, -math.inf
    for image in itertools.chain.from_iterable(split.read() for split in splits.values()):
        first = image if first is None else first
        check_image(image.shape, image.dtype, said)
        if np.isnan(image.min()):
            raise DataError(f"{said}: expected numbers, received {image.dtype} with NaN")
        low, high = min(low, float(image.min())), max(high, float(image.max()))
        if image.dtype == np.uint8 and high > 1:
            break
    if first is None:
        raise DataError(f"{said}: expected images, received none")
    return Pixels(first.shape, first.dtype, _top(first.dtype, low, high, said))


def _top(dtype: np.dtype[Any], low: float, high: float, said: str) -> int:
    received = f"received {dtype} from {low:.9g} to {high:.9g}"
    if dtype.kind == "f":
        if low >= -_HAIR and high <= 1 + _HAIR:
            return 1
        if low >= -255 * _HAIR and _LEAST_BYTE <= high <= 255 * (1 + _HAIR):
            return 255
        raise DataError(f"{said}: expected floats from 0 to 1, or from 0 to 255, {received}: scale them to [0, 1]")
    if low < 0 or high >= 1 << _MOST_BITS:
        raise DataError(f"{said}: expected whole numbers from 0 to {(1 << _MOST_BITS) - 1}, {received}: scale them")
    if dtype == np.uint8 and high > 1:
        return 255
    return 1 if high <= 1 else (1 << max(8, int(high).bit_length())) - 1


def check_image(shape: tuple[int, ...], dtype: np.dtype[Any], said: str) -> None:
    """Raise DataError for the shape or type of anything but an image [height, width, channels] of numbers."""
    if dtype.kind not in "buif":
        raise DataError(f"{said}: expected images of numbers, received {dtype}")
    if len(shape) != 3 or 0 in shape:
        hint = ": a video has no single image; write its frames to a .npy file" if len(shape) == 4 else ""
        raise DataError(f"{said}: expected images [height, width, channels], received {dtype} of shape {shape}{hint}")
    if shape[0] in _CHANNELS and shape[2] not in _CHANNELS and shape[1] > 1 and shape[2] > shape[0]:
        raise DataError(
            f"{said}: expected images [height, width, channels], received {shape}, whose channels come first: write "
            "np.moveaxis(x, 1, -1) to a .npy file"
        )


def rounded(image: np.ndarray) -> np.ndarray:
    """Return an image in 0 to 255 as uint8."""
    return image if image.dtype == np.uint8 else np.rint(image).astype(np.uint8)
