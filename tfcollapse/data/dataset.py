"""Load the images that a declaration names: a TFDS dataset, the packaged one, or a file of the user's own."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import importlib.resources
import json
import os
import pathlib
import re

import numpy as np

from tfcollapse.backend import import_tensorflow
from tfcollapse.config.declaration import Data
from tfcollapse.data import image_cache, image_files, tfds
from tfcollapse.data.image_cache import Dataset, cache_directory
from tfcollapse.data.tfds import MINI
from tfcollapse.errors import ConfigError, DataError

PREPARATION: dict[str, tuple[tuple[int, ...] | None, tuple[int, ...] | None]] = {
    "celeb_a": ((45, 173, 25, 153), (64, 64)),
}
"""The crop (top, bottom, left, right) and the size (height, width) of datasets whose images the paper prepares.

The values for CelebA come from the same authors' earlier code. None stands for no crop or no resize.
"""


def load(data: Data, *, data_dir: str | os.PathLike[str] | None = None) -> Dataset:
    """Load the images that `data` names, and prepare them on first use.

    Args:
      data: the dataset's name, the number of images of each split, the crop, the size and the expected channels.
      data_dir: the directory of TFDS; None takes TFDS_DATA_DIR, or ~/tensorflow_datasets.

    Returns:
      Both splits, each uint8 [n, height, width, channels]. Prepared datasets are memory-mapped from the image cache.

    Raises:
      DataError: there is no such dataset or file, no network to fetch it, an unreadable directory, or a damaged cache.
      ConfigError: the images do not have the crop, the number of images or the channels that `data` asks for.
    """
    if image_files.is_file(data.name):
        dataset = _from_file(data)
    elif not re.fullmatch(r"[\w.-]+(/[\w.-]+)*", data.name) or ".." in data.name:
        raise DataError(
            f"dataset name '{data.name}': expected one such as cifar10 or imagenet_resized/64x64, or a .npy or .npz "
            "file of images"
        )
    elif data.name == MINI:
        dataset = _mini(data)
    else:
        directory = tfds.prepared_directory(data.name, data_dir) or tfds.download(data.name, data_dir)
        described = tfds.described_shape(directory)
        if described is not None:  # checked here, before every image is decoded in vain
            _check_channels(data, described[-1])
        cached = _cache_path(data, directory)
        if not cached.exists():
            _prepare(data, directory, cached)
        dataset = image_cache.read(cached)
    _check_channels(data, dataset.image_shape[-1])
    return dataclasses.replace(
        dataset, train=_first(dataset.train, data.train, "train"), test=_first(dataset.test, data.test, "test")
    )


def _check_channels(data: Data, received: int) -> None:
    if data.channels not in (None, received):
        raise ConfigError(
            f"Data.channels: expected {data.channels}, received {data.name}, whose images have {received}: choose "
            f"another dataset, or set data.channels={received}"
        )


def expected_shape(data: Data, data_dir: str | os.PathLike[str] | None = None) -> tuple[int, int, int] | None:
    """Return (height, width, channels) of a dataset's images after crop and resize, from its description alone.

    The result is None where the dataset is not prepared, or where its images differ in size.

    Args:
      data: the declaration of the dataset.
      data_dir: the directory of TFDS, as in `load`.

    Raises:
      DataError: `data_dir` is not a readable directory.
    """
    size: tuple[int, ...] | None = (28, 28, 1)
    if image_files.is_file(data.name):
        size = image_files.image_shape(data.name)
    elif data.name != MINI:
        directory = tfds.prepared_directory(data.name, data_dir)
        size = tfds.described_shape(directory) if directory else None
    crop, resize = _preparation(data)
    if crop and size:
        size = (crop[1] - crop[0], crop[3] - crop[2], size[2])
    channels = size[2] if size else data.channels
    height, width = resize or (size or (None, None))[:2]
    return (height, width, channels) if height and width and channels else None


def _mini(data: Data) -> Dataset:
    resource = importlib.resources.files("tfcollapse.data") / f"{MINI}.npz"
    with importlib.resources.as_file(resource) as path, np.load(path, allow_pickle=False) as arrays:
        splits = {name: arrays[name] for name in ("train", "test")}
    if data.crop or data.resize:  # only the images that are asked for are prepared
        chosen = {name: images[: getattr(data, name)] for name, images in splits.items()}
        splits = {
            name: np.stack([_crop_and_resize(image, data) for image in images]) for name, images in chosen.items()
        }
    for images in splits.values():
        images.setflags(write=False)
    sums = {split: image_cache.sha256_of(images) for split, images in splits.items()}
    return Dataset(**splits, source=f"{MINI} (Fashion-MNIST 3.0.1)", sha256=sums)


def _from_file(data: Data) -> Dataset:
    digest, name = image_files.digest(data.name), pathlib.PurePath(data.name).name
    described = image_files.image_shape(data.name)
    if described is not None:  # checked here, before every image is written in vain
        _check_channels(data, described[-1])
    key = hashlib.sha256(image_cache.FORMAT + json.dumps([digest, *_preparation(data)]).encode()).hexdigest()[:12]
    cached = cache_directory() / f"{name}-{key}"
    if not cached.exists():
        prepare = functools.partial(_crop_and_resize, data=data)
        image_cache.write(cached, f"{name} (sha256 {digest})", image_files.splits(data.name), prepare)
    return image_cache.read(cached)


def _first(images: np.ndarray, count: int | None, split: str) -> np.ndarray:
    if count is not None and count > len(images):
        raise ConfigError(f"Data.{split}: expected at most the {len(images)} images there are, received {count}")
    return images[:count]


def _cache_path(data: Data, directory: pathlib.Path) -> pathlib.Path:
    crop, resize = _preparation(data)
    info = (directory / "dataset_info.json").read_bytes()
    key = hashlib.sha256(image_cache.FORMAT + info + json.dumps([crop, resize]).encode()).hexdigest()[:12]
    return cache_directory() / f"{data.name.replace('/', '-')}-{directory.name}-{key}"


def _preparation(data: Data) -> tuple[tuple[int, ...] | None, tuple[int, ...] | None]:
    crop, resize = PREPARATION.get(data.name, (None, None))
    return data.crop or crop, data.resize or resize


def _prepare(data: Data, directory: pathlib.Path, target: pathlib.Path) -> None:
    """Decode both splits into the cache directory `target`.

    The directory appears whole or not at all, also where another process prepares it at the same time.
    """
    import_tensorflow()
    import tensorflow_datasets

    with tfds.reading(directory):
        builder = tensorflow_datasets.builder_from_directory(directory)
    if "image" not in builder.info.features:
        raise DataError(f"dataset '{data.name}': expected a feature 'image', it has {', '.join(builder.info.features)}")
    splits = {"train": "train", "test": "test" if "test" in builder.info.splits else "validation"}
    missing = [split for split in splits.values() if split not in builder.info.splits]
    if missing:
        raise DataError(
            f"dataset '{data.name}': expected a split '{missing[0]}', it has {', '.join(builder.info.splits)}"
        )
    images = {
        split: (builder.info.splits[name].num_examples, tfds.images(builder, name)) for split, name in splits.items()
    }
    prepare = functools.partial(_crop_and_resize, data=data)
    image_cache.write(target, f"{data.name} {builder.info.version}", images, prepare)


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
