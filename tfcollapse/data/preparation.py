"""Crop and resize images, and check what they will need before anything is allocated."""

from __future__ import annotations

import pathlib
import shutil
from dataclasses import dataclass

import numpy as np

from tfcollapse.backend import import_tensorflow
from tfcollapse.config.declaration import Data
from tfcollapse.data.memory_mapped import free_memory
from tfcollapse.data.pixels import Pixels, rounded
from tfcollapse.errors import ConfigError, DataError

PREPARATION: dict[str, tuple[tuple[int, ...] | None, tuple[int, ...] | None]] = {
    "celeb_a": ((45, 173, 25, 153), (64, 64)),
}
"""The crop (top, bottom, left, right) and the size (height, width) of datasets whose images the paper prepares.

The values for CelebA come from the same authors' earlier code. None stands for no crop or no resize.
"""
_WORKING_BYTES = 16
"""The bytes of memory that the resizing of one image takes for each of its numbers, before and after together."""


@dataclass(frozen=True)
class Preparation:
    """What is done to every image of a dataset.

    Attributes:
      crop: (top, bottom, left, right) in pixels, or None.
      resize: (height, width) after the crop, or None.
    """

    crop: tuple[int, ...] | None
    resize: tuple[int, ...] | None

    @classmethod
    def of(cls, data: Data) -> Preparation:
        """Return the preparation that `data` declares, or else the dataset's own."""
        crop, resize = PREPARATION.get(data.name, (None, None))
        return cls(data.crop or crop, data.resize or resize)

    def shape(self, shape: tuple[int, ...]) -> tuple[int, int, int]:
        """Return (height, width, channels) of a prepared image from those of the original.

        Raises:
          ConfigError: the crop is not inside the image.
        """
        height, width, channels = shape
        if self.crop:
            top, bottom, left, right = self.crop
            if not (top < bottom <= height and left < right <= width):
                raise ConfigError(
                    f"Data.crop: expected (top, bottom, left, right) inside {(height, width)}, received {self.crop}"
                )
            height, width = bottom - top, right - left
        if self.resize:
            height, width = self.resize
        return height, width, channels

    def __call__(self, image: np.ndarray, pixels: Pixels) -> np.ndarray:
        """Return one image cropped, resized and as uint8. Raises ConfigError."""
        size = self.shape(image.shape)[:2]
        if self.crop:
            top, bottom, left, right = self.crop
            image = image[top:bottom, left:right]
        image = pixels.scaled(image)
        if image.shape[:2] != size:
            import_tensorflow()
            import tensorflow as tf

            image = tf.image.resize(image, size, method="bilinear", antialias=True).numpy()
        return rounded(image)

    def check_room(self, pixels: Pixels, count: int, folder: pathlib.Path | None) -> None:
        """Raise DataError where `count` prepared images find no room on the disk of `folder`, or None in memory."""
        numbers = int(np.prod(self.shape(pixels.shape), dtype=object))
        needs = {"memory": (_WORKING_BYTES * numbers + (0 if folder else count * numbers), free_memory())}
        if folder is not None:
            needs[f"space in '{folder}'"] = (count * numbers, _free_disk(folder))
        for what, (needed, free) in needs.items():
            if needed > free:
                raise DataError(
                    f"{count} images of {self.shape(pixels.shape)} need {needed:,} bytes of {what}, where {free:,} "
                    "are free: set a smaller data.resize"
                    + (", free space, or set TFCOLLAPSE_CACHE" if folder is not None else "")
                )


def _free_disk(folder: pathlib.Path) -> int:
    """Return the free bytes of the file system that holds `folder`, which need not be there yet."""
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    return shutil.disk_usage(there).free
