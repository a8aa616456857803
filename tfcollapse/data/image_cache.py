"""Keep decoded images as memory-mapped uint8 arrays, verified at every load."""

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

import numpy as np

from tfcollapse.data.tfds import line_of
from tfcollapse.errors import DataError


@dataclass(frozen=True)
class Dataset:
    """Two splits of one dataset.

    Attributes:
      train, test: uint8 [n, height, width, channels], read-only.
      source: name and version, as records state it.
    """

    train: np.ndarray
    test: np.ndarray
    source: str

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(height, width, channels)."""
        height, width, channels = self.train.shape[1:]
        return height, width, channels


def cache_directory() -> pathlib.Path:
    """Where decoded images lie: TFCOLLAPSE_CACHE, or ~/.cache/tfcollapse."""
    return pathlib.Path(os.environ.get("TFCOLLAPSE_CACHE", "~/.cache/tfcollapse")).expanduser()


def write(
    target: pathlib.Path,
    source: str,
    splits: Mapping[str, tuple[int, Iterator[np.ndarray]]],
    prepare: Callable[[np.ndarray], np.ndarray],
) -> None:
    """Write every split's images into a new directory, whole or not at all, whoever else writes it.

    Args:
      source: name and version of the data set, as records state it.
      splits: how many images, and an iterator over them, for "train" and "test".
      prepare: what is done to each image before it is written: crop and resize.

    Raises:
      DataError: images of several sizes, or a disk that cannot be written.
    """
    with _new_directory(target) as folder:
        sums = {
            split: _decode(source, images, count, prepare, folder / f"{split}.npy")
            for split, (count, images) in splits.items()
        }
        (folder / "meta.json").write_text(json.dumps({"source": source, "sha256": sums}, indent=1))


@contextlib.contextmanager
def _new_directory(target: pathlib.Path) -> Iterator[pathlib.Path]:
    folder = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        folder = pathlib.Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
        folder.chmod(0o755)  # a cache may be shared
        yield folder
        folder.rename(target)
    except OSError as error:
        # Another process may have put the same images there meanwhile: theirs are as good as ours.
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
    """Write one split as .npy and return its sha256. Written in order, as a full disk kills a memory map."""
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
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read(folder: pathlib.Path) -> Dataset:
    """Map what `write` wrote, its checksums compared. Raises DataError where it is damaged."""
    advice = f"image cache '{folder}' is damaged: delete it, and the next start makes it anew"
    try:
        meta = json.loads((folder / "meta.json").read_text())
        arrays = {}
        for split, expected in meta["sha256"].items():
            received = _sha256(folder / f"{split}.npy")
            if received != expected:
                raise DataError(f"{advice} ({split}.npy: expected sha256 {expected[:12]}, received {received[:12]})")
            arrays[split] = np.load(folder / f"{split}.npy", mmap_mode="r", allow_pickle=False)
        return Dataset(train=arrays["train"], test=arrays["test"], source=meta["source"])
    except PermissionError as error:
        raise DataError(f"image cache '{folder}': {error.strerror}; set TFCOLLAPSE_CACHE to one of your own") from None
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise DataError(f"{advice} ({line_of(error)})") from None
