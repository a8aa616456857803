"""Hold the images of one split as something that is read again and again, and cut a test split where there is none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

HELD_OUT = 10
"""Every tenth image is held out where there is no test split: the same images in every run and on every machine.

A share at the end would be of one class where the images are sorted by class, as many data sets are.
"""


@dataclass(frozen=True)
class Split:
    """The images of one split.

    Attributes:
      count: the number of images.
      read: starts at the first image and yields all of them, each [height, width, channels], of any type of number.
    """

    count: int
    read: Callable[[], Iterator[np.ndarray]]


def cut(images: Split) -> dict[str, Split]:
    """Return a "train" split and a "test" split of all `images`: of ten successive ones, the last is for the test."""
    held_out = images.count // HELD_OUT

    def read(test: bool) -> Iterator[np.ndarray]:
        return (image for row, image in enumerate(images.read()) if (row % HELD_OUT == HELD_OUT - 1) == test)

    return {
        "train": Split(images.count - held_out, lambda: read(False)),
        "test": Split(held_out, lambda: read(True)),
    }
