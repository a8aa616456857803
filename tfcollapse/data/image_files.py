"""Read a user's own images from a .npy or .npz file."""

from __future__ import annotations

import functools
import hashlib
import os
import pathlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from tfcollapse.data.array_files import SUFFIXES, ArrayFile
from tfcollapse.data.pixels import check_image
from tfcollapse.data.splits import HELD_OUT, Split, cut
from tfcollapse.errors import DataError

NAMES = {"train": ("train", "x_train"), "test": ("test", "x_test")}
"""The names that an array may have in a .npz file, by split."""
_Header = tuple[tuple[int, ...], np.dtype[Any]]


def is_file(name: str) -> bool:
    """Return whether `name` is that of a file of images, and not that of a dataset."""
    return name.endswith(SUFFIXES)


def digest(name: str) -> str:
    """Return the first 12 hexadecimal digits of a file's sha256, which identify its images.

    Raises:
      DataError: the file cannot be read.
    """
    ArrayFile(name)  # which refuses what is no regular file
    try:
        with pathlib.Path(os.path.expanduser(name)).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:12]
    except OSError as error:
        raise DataError(f"data.name '{name}': {error.strerror or error}: expected a .npy or .npz file") from None


def splits(name: str) -> dict[str, Split]:
    """Open the images of a file.

    A .npy file holds one array, of which every tenth image becomes the test split. A .npz file holds two arrays,
    `train` and `test` (or `x_train` and `x_test`), or one array of images alone, which is split in the same way. The
    images are [n, height, width] or [n, height, width, channels], of any numbers; the former get one channel.

    Raises:
      DataError: the file is damaged, its arrays are not images of one size and type, or it holds too few to split.
    """
    file = ArrayFile(name)
    chosen = _chosen(name, file)
    for header in chosen.values():
        _check(name, *header)
    if len({(shape[1:], dtype) for shape, dtype in chosen.values()}) > 1:
        received = " and ".join(f"{dtype} {shape}" for shape, dtype in chosen.values())
        raise DataError(f"data.name '{name}': expected train and test images of one size and type, received {received}")
    opened = {key: _opened(file[key]) for key in chosen}
    if len(opened) == 2:
        return dict(zip(NAMES, opened.values(), strict=True))
    (images,) = opened.values()
    if images.count < HELD_OUT:
        raise DataError(f"data.name '{name}': expected at least {HELD_OUT} images, received {images.count}")
    return cut(images)


def image_shape(name: str) -> tuple[int, int, int] | None:
    """Return (height, width, channels) of a file's images from its header alone; None where it does not tell."""
    try:
        shape, _ = next(iter(_chosen(name, ArrayFile(name)).values()))
    except DataError:
        return None
    height, width, channels = (*shape[1:], 1)[:3] if len(shape) in (3, 4) else (0, 0, 0)
    return (height, width, channels) if min(height, width, channels) > 0 else None


def _chosen(name: str, file: ArrayFile) -> dict[str, _Header]:
    """Return the headers of the arrays of train and of test, in this order, or of the one array of images."""
    keys = [next((key for key in names if key in file.headers), None) for names in NAMES.values()]
    if all(key is not None for key in keys):
        return {key: file.headers[key] for key in keys if key is not None}
    images = [key for key, (shape, dtype) in file.headers.items() if len(shape) in (3, 4) and dtype.kind in "buif"]
    keys = list(file.headers) if len(file.headers) == 1 else images
    if len(keys) != 1:
        raise DataError(
            f"data.name '{name}': expected arrays train and test, or one array, received {', '.join(file.headers)}"
        )
    return {key: file.headers[key] for key in keys if key is not None}


def _check(name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    if dtype.hasobject:
        return  # the file itself refuses these
    if len(shape) not in (3, 4) or 0 in shape:
        raise DataError(
            f"data.name '{name}': expected [n, height, width] or [n, height, width, channels], received {dtype} of "
            f"shape {shape}"
        )
    if len(shape) == 3 and shape[2] == 3:
        raise DataError(
            f"data.name '{name}': expected [n, height, width] or [n, height, width, channels], received {shape}, which "
            "looks like one image in colour: several are np.stack([...])"
        )
    check_image((*shape[1:], 1)[:3], dtype, f"data.name '{name}'")


def _opened(array: np.ndarray) -> Split:
    return Split(len(array), functools.partial(_images, array))


def _images(array: np.ndarray) -> Iterator[np.ndarray]:
    for image in array:
        yield np.array(image if image.ndim == 3 else image[..., None])  # grey images get a channel axis
