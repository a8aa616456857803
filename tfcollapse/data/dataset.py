"""Images of a TFDS dataset as memory-mapped uint8 arrays, decoded once and verified at every load."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import importlib.resources
import json
import os
import pathlib
import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfcollapse.backend import import_tensorflow
from tfcollapse.config.declaration import Data
from tfcollapse.data import tfds as prepared
from tfcollapse.data.tfds import MINI
from tfcollapse.errors import ConfigError, DataError

# (crop, resize) where a dataset's own images are not what the paper trains on (design: the same authors' code).
PREPARATION: dict[str, tuple[tuple[int, ...] | None, tuple[int, ...] | None]] = {
    "celeb_a": ((45, 173, 25, 153), (64, 64)),
}


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


def load(data: Data, *, data_dir: str | os.PathLike[str] | None = None) -> Dataset:
    """The images `data` names, prepared on first use.

    Args:
      data_dir: TFDS' directory; by default TFDS_DATA_DIR, or ~/tensorflow_datasets.

    Raises:
      DataError: no such dataset, no network to fetch it, an unreadable directory, a damaged cache.
    """
    if not re.fullmatch(r"[\w.-]+(/[\w.-]+)*", data.name) or ".." in data.name:
        raise DataError(f"dataset name '{data.name}': expected one such as cifar10 or imagenet_resized/64x64")
    if data.name == MINI:
        dataset = _mini(data)
    else:
        directory = prepared.prepared_directory(data.name, data_dir) or prepared.download(data.name, data_dir)
        described = prepared.described_shape(directory)
        if described is not None:  # before every image is decoded in vain
            _check_channels(data, described[-1])
        cached = _cache_path(data, directory)
        if not cached.exists():
            _prepare(data, directory, cached)
        dataset = _read(cached)
    _check_channels(data, dataset.image_shape[-1])
    return Dataset(
        train=_first(dataset.train, data.train, "train"),
        test=_first(dataset.test, data.test, "test"),
        source=dataset.source,
    )


def _check_channels(data: Data, received: int) -> None:
    if data.channels not in (None, received):
        raise ConfigError(
            f"Data.channels: expected {data.channels}, received {data.name}, whose images have {received}: choose "
            f"another dataset, or set data.channels={received}"
        )


def expected_shape(data: Data, data_dir: str | os.PathLike[str] | None = None) -> tuple[int, int, int] | None:
    """(height, width, channels) of a dataset's images after crop and resize, from its description alone.

    None where the dataset is not prepared, or its images differ in size.
    """
    size: tuple[int, ...] | None = (28, 28, 1)
    if data.name != MINI:
        directory = prepared.prepared_directory(data.name, data_dir)
        size = prepared.described_shape(directory) if directory else None
    crop, resize = _preparation(data)
    if crop and size:
        size = (crop[1] - crop[0], crop[3] - crop[2], size[2])
    channels = size[2] if size else data.channels
    height, width = resize or (size or (None, None))[:2]
    return (height, width, channels) if height and width and channels else None


def cache_directory() -> pathlib.Path:
    """Where decoded images lie: TFCOLLAPSE_CACHE, or ~/.cache/tfcollapse."""
    return pathlib.Path(os.environ.get("TFCOLLAPSE_CACHE", "~/.cache/tfcollapse")).expanduser()


def _mini(data: Data) -> Dataset:
    resource = importlib.resources.files("tfcollapse.data") / f"{MINI}.npz"
    with importlib.resources.as_file(resource) as path, np.load(path, allow_pickle=False) as arrays:
        splits = {name: arrays[name] for name in ("train", "test")}
    if data.crop or data.resize:  # of those alone that are asked for
        chosen = {name: images[: getattr(data, name)] for name, images in splits.items()}
        splits = {
            name: np.stack([_crop_and_resize(image, data) for image in images]) for name, images in chosen.items()
        }
    for images in splits.values():
        images.setflags(write=False)
    return Dataset(**splits, source=f"{MINI} (Fashion-MNIST 3.0.1)")


def _first(images: np.ndarray, count: int | None, split: str) -> np.ndarray:
    if count is not None and count > len(images):
        raise ConfigError(f"Data.{split}: expected at most the {len(images)} images there are, received {count}")
    return images[:count]


def _cache_path(data: Data, directory: pathlib.Path) -> pathlib.Path:
    crop, resize = _preparation(data)
    info = (directory / "dataset_info.json").read_bytes()
    key = hashlib.sha256(info + json.dumps([crop, resize]).encode()).hexdigest()[:12]
    return cache_directory() / f"{data.name.replace('/', '-')}-{directory.name}-{key}"


def _preparation(data: Data) -> tuple[tuple[int, ...] | None, tuple[int, ...] | None]:
    crop, resize = PREPARATION.get(data.name, (None, None))
    return data.crop or crop, data.resize or resize


def _prepare(data: Data, directory: pathlib.Path, target: pathlib.Path) -> None:
    """Decode both splits into `target`, which appears whole or not at all, whoever else prepares it."""
    import_tensorflow()
    import tensorflow_datasets as tfds

    with prepared.reading(directory):
        builder = tfds.builder_from_directory(directory)
    if "image" not in builder.info.features:
        raise DataError(f"dataset '{data.name}': expected a feature 'image', it has {', '.join(builder.info.features)}")
    splits = {"train": "train", "test": "test" if "test" in builder.info.splits else "validation"}
    missing = [split for split in splits.values() if split not in builder.info.splits]
    if missing:
        raise DataError(
            f"dataset '{data.name}': expected a split '{missing[0]}', it has {', '.join(builder.info.splits)}"
        )
    with _new_directory(target) as folder:
        sums = {split: _decode(builder, name, data, folder / f"{split}.npy") for split, name in splits.items()}
        meta = {"source": f"{data.name} {builder.info.version}", "sha256": sums}
        (folder / "meta.json").write_text(json.dumps(meta, indent=1))


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


def _decode(builder: Any, split: str, data: Data, path: pathlib.Path) -> str:
    """Write one split as .npy and return its sha256. Written in order, as a full disk kills a memory map."""
    count = builder.info.splits[split].num_examples
    shape: tuple[int, ...] | None = None
    with path.open("wb") as file:
        for original in prepared.images(builder, split):
            image = _crop_and_resize(original, data)
            if shape is None:
                shape = image.shape
                header = {"descr": "|u1", "fortran_order": False, "shape": (count, *shape)}
                np.lib.format.write_array_header_1_0(file, header)
            if image.shape != shape or image.dtype != np.uint8:
                raise DataError(
                    f"dataset '{data.name}': expected uint8 images of one size, received {shape} and {image.shape}: "
                    "set data.crop or data.resize"
                )
            file.write(image.tobytes())
    return _sha256(path)


def _sha256(path: pathlib.Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _crop_and_resize(image: np.ndarray, data: Data) -> np.ndarray:
    crop, resize = _preparation(data)
    if crop:
        top, bottom, left, right = crop
        if not (top < bottom <= image.shape[0] and left < right <= image.shape[1]):
            raise ConfigError(
                f"Data.crop: expected (top, bottom, left, right) inside {image.shape[:2]}, received {crop}"
            )
        image = image[top:bottom, left:right]
    if resize and image.shape[:2] != tuple(resize):
        import_tensorflow()
        import tensorflow as tf

        smooth = tf.image.resize(image, resize, method="bilinear", antialias=True)
        image = np.clip(np.rint(smooth.numpy()), 0, 255).astype(np.uint8)
    return image


def _read(folder: pathlib.Path) -> Dataset:
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
        raise DataError(f"{advice} ({prepared.line_of(error)})") from None
