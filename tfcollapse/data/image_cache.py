"""Keep decoded images as memory-mapped uint8 arrays, and verify them at every load."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import pathlib
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfcollapse.data.tfds import line_of
from tfcollapse.errors import DataError

FORMAT = b"2"
"""The version of what a directory of the cache holds, a part of its name."""


@dataclass(frozen=True)
class Dataset:
    """The two splits of one dataset.

    Attributes:
      train, test: uint8 [n, height, width, channels], read-only.
      source: the name and version of the dataset, as records state them.
      sha256: of the pixels of each split as it was summed, in C order; `train` and `test` may be its first images.
    """

    train: np.ndarray
    test: np.ndarray
    source: str
    sha256: Mapping[str, str]

    @property
    def digest(self) -> str:
        """Return 16 hexadecimal digits that identify the pixels of both splits: the same on every machine."""
        splits = [[self.sha256[split], list(getattr(self, split).shape)] for split in ("train", "test")]
        return hashlib.sha256(json.dumps(splits).encode()).hexdigest()[:16]

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Return (height, width, channels) of the images."""
        height, width, channels = self.train.shape[1:]
        return height, width, channels


def sha256_of(images: np.ndarray) -> str:
    """Return the sha256 of the pixels of `images`, in C order."""
    return hashlib.sha256(np.ascontiguousarray(images).data).hexdigest()


def cache_directory() -> pathlib.Path:
    """Return the directory of decoded images: TFCOLLAPSE_CACHE, or ~/.cache/tfcollapse."""
    return pathlib.Path(os.environ.get("TFCOLLAPSE_CACHE", "~/.cache/tfcollapse")).expanduser()


def write(
    target: pathlib.Path,
    source: str,
    splits: Mapping[str, tuple[int, Iterator[np.ndarray]]],
    prepare: Callable[[np.ndarray], np.ndarray],
) -> None:
    """Write the images of every split into the new directory `target`, whole or not at all.

    Another process may write the same directory at the same time. The first one to finish puts it in place, and the
    images of the other are dropped.

    Args:
      target: the directory, inside `cache_directory()`.
      source: the name and version of the dataset, as records state them.
      splits: for "train" and "test" the number of images, and an iterator over them, each uint8 [height, width,
        channels].
      prepare: a function that crops and resizes one image before it is written.

    Raises:
      DataError: the prepared images are not uint8 or differ in size, or the disk cannot be written.
    """
    with _new_directory(target) as folder:
        sums = {
            split: _decode(source, images, count, prepare, folder / f"{split}.npy")
            for split, (count, images) in splits.items()
        }
        (folder / "meta.json").write_text(json.dumps({"source": source, "sha256_pixels": sums}, indent=1))


@contextlib.contextmanager
def _new_directory(target: pathlib.Path) -> Iterator[pathlib.Path]:
    folder = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        folder = pathlib.Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
        folder.chmod(0o755)  # several users may share a cache
        yield folder
        folder.rename(target)
    except OSError as error:
        # Another process may have written the same images there meanwhile. Its images serve as well.
        if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
            raise DataError(f"image cache '{target}': {error.strerror}: free space, or set TFCOLLAPSE_CACHE") from None
    finally:
        if folder is not None and folder.exists():
            shutil.rmtree(folder)


def _decode(
    source: str,
    images: Iterator[np.ndarray],
    count: int,
    prepare: Callable[[np.ndarray], np.ndarray],
    path: pathlib.Path,
) -> str:
    """Write one split to the .npy file `path`, and return the sha256 of its pixels.

    The images are written one after another: a full disk would kill a process that writes through a memory map.
    """
    shape: tuple[int, ...] | None = None
    with path.open("wb") as file:
        for original in images:
            image = prepare(original)
            if shape is None:
                shape = image.shape
                header = {"descr": "|u1", "fortran_order": False, "shape": (count, *shape)}
                np.lib.format.write_array_header_1_0(file, header)
            if image.shape != shape or image.dtype != np.uint8:
                raise DataError(
                    f"dataset '{source}': expected uint8 images of one size, received {shape} and {image.shape}: "
                    "set data.crop or data.resize"
                )
            file.write(image.tobytes())
    return _sha256(path)


def _sha256(path: pathlib.Path) -> str:
    """Return the sha256 of the pixels in a .npy file; its header may differ with the version of NumPy."""
    with path.open("rb") as file:
        header_of(file)
        return hashlib.file_digest(file, "sha256").hexdigest()


def header_of(file: Any) -> tuple[tuple[int, ...], np.dtype]:
    """Read the header of an open .npy file, and return the shape and the type that it states. Raises ValueError."""
    version = np.lib.format.read_magic(file)
    read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read_header(file)
    return shape, dtype


def read(folder: pathlib.Path) -> Dataset:
    """Map the images that `write` wrote in the directory `folder`, after a comparison of their checksums.

    Raises:
      DataError: the cache is damaged, or this user may not read it.
    """
    advice = f"image cache '{folder}' is damaged: delete it, and the next start makes it anew"
    try:
        meta = json.loads((folder / "meta.json").read_text())
        sums, arrays = meta["sha256_pixels"], {}
        for split, expected in sums.items():
            received = _sha256(folder / f"{split}.npy")
            if received != expected:
                raise DataError(f"{advice} ({split}.npy: expected sha256 {expected[:12]}, received {received[:12]})")
            arrays[split] = np.load(folder / f"{split}.npy", mmap_mode="r", allow_pickle=False)
        return Dataset(train=arrays["train"], test=arrays["test"], source=meta["source"], sha256=sums)
    except PermissionError as error:
        raise DataError(f"image cache '{folder}': {error.strerror}; set TFCOLLAPSE_CACHE to one of your own") from None
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise DataError(f"{advice} ({line_of(error)})") from None
