"""Read a user's own images from a .npy or .npz file."""

from __future__ import annotations

import hashlib
import pathlib
import zipfile
from collections.abc import Iterator
from typing import Any

import numpy as np

from tfcollapse.errors import DataError

SUFFIXES = (".npy", ".npz")
HELD_OUT = 10
"""Every tenth image is held out where a file has no test split. Every run holds out the same images."""
_SPLITS = {"train": ("train", "x_train"), "test": ("test", "x_test")}
"""The names that an array may have in a .npz file, by split."""


def is_file(name: str) -> bool:
    """Return whether `name` is that of a file of images, and not that of a dataset."""
    return name.endswith(SUFFIXES)


def digest(name: str) -> str:
    """Return the first 12 hexadecimal digits of a file's sha256, which identify its images.

    Raises:
      DataError: the file cannot be read.
    """
    try:
        with pathlib.Path(name).expanduser().open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:12]
    except OSError as error:
        raise DataError(f"data.name '{name}': {error.strerror or error}: expected a .npy or .npz file") from None


def splits(name: str) -> dict[str, tuple[int, Iterator[np.ndarray]]]:
    """Open the images of a file.

    A .npy file holds one array, of which every tenth image becomes the test split. A .npz file holds two arrays,
    `train` and `test` (or `x_train` and `x_test`), or one array alone, which is split in the same way. The images are
    [n, height, width] or [n, height, width, channels]; the former get one channel.

    Returns:
      For "train" and "test" the number of images, and an iterator over them, each uint8 [height, width, channels].

    Raises:
      DataError: the file is damaged, its arrays are not uint8 images of one size, or it holds too few images to split.
    """
    try:
        arrays = _arrays(name, pathlib.Path(name).expanduser())
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"data.name '{name}' cannot be read as an array: {error}") from None
    checked = {split: _checked(name, split, array) for split, (array, _) in arrays.items()}
    if len({array.shape[1:] for array in checked.values()}) > 1:
        shapes = " and ".join(str(array.shape) for array in checked.values())
        raise DataError(f"data.name '{name}': expected train and test images of one size, received {shapes}")
    return {split: (len(rows), _images(checked[split], rows)) for split, (_, rows) in arrays.items()}


def image_shape(name: str) -> tuple[int, int, int] | None:
    """Return (height, width, channels) of a file's images from its header alone; None where it does not tell."""
    try:
        for shape in _headers(pathlib.Path(name).expanduser()):
            if len(shape) in (3, 4):
                height, width, channels = (*shape[1:], 1)[:3]
                return height, width, channels
    except (OSError, ValueError, EOFError, zipfile.BadZipFile):
        return None
    return None


def _arrays(name: str, path: pathlib.Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return for each split its array, and the indices of the images of the array that belong to the split."""
    loaded = np.load(path, mmap_mode="r", allow_pickle=False)
    if isinstance(loaded, np.ndarray):
        return _split(name, loaded)
    with loaded:
        keys = {split: next((key for key in names if key in loaded), None) for split, names in _SPLITS.items()}
        if all(keys.values()):
            arrays = {split: loaded[key] for split, key in keys.items()}
            return {split: (array, np.arange(len(array) if array.ndim else 0)) for split, array in arrays.items()}
        if len(loaded.files) == 1:
            return _split(name, loaded[loaded.files[0]])
        raise DataError(
            f"data.name '{name}': expected arrays train and test, or one array, received {', '.join(loaded.files)}"
        )


def _split(name: str, array: np.ndarray) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    if array.ndim < 1 or len(array) < HELD_OUT:
        raise DataError(f"data.name '{name}': expected at least {HELD_OUT} images, received shape {array.shape}")
    rows = np.arange(len(array))
    held_out = rows % HELD_OUT == HELD_OUT - 1
    return {"train": (array, rows[~held_out]), "test": (array, rows[held_out])}


def _checked(name: str, split: str, array: np.ndarray) -> np.ndarray:
    if array.dtype != np.uint8:
        raise DataError(
            f"data.name '{name}': expected uint8 images, 0 to 255, received {array.dtype} ({split}): convert them, "
            "such as (255 * x).round().astype('uint8') where x is in [0, 1]"
        )
    if array.ndim not in (3, 4) or 0 in array.shape:
        raise DataError(
            f"data.name '{name}': expected [n, height, width] or [n, height, width, channels], received {array.shape} "
            f"({split})"
        )
    return array


def _images(array: np.ndarray, rows: np.ndarray) -> Iterator[np.ndarray]:
    for row in rows:
        image = np.array(array[row])
        yield image if image.ndim == 3 else image[..., None]  # grey images get a channel axis


def _headers(path: pathlib.Path) -> Iterator[tuple[int, ...]]:
    if path.suffix == ".npy":
        with path.open("rb") as file:
            yield _header(file)
        return
    with zipfile.ZipFile(path) as archive:
        for member in archive.namelist():
            with archive.open(member) as file:
                yield _header(file)


def _header(file: Any) -> tuple[int, ...]:
    version = np.lib.format.read_magic(file)
    read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    return read_header(file)[0]
