"""Load the images that a declaration names: a TFDS dataset, the packaged one, or a file of the user's own."""

from __future__ import annotations

import dataclasses
import importlib.resources
import os
import pathlib
from collections.abc import Callable, Mapping

import numpy as np

from tfcollapse.config.annotations import arguments_checked
from tfcollapse.config.declaration import Data
from tfcollapse.data import image_cache, image_files, tfds
from tfcollapse.data.image_cache import Dataset, Entry
from tfcollapse.data.pixels import Pixels
from tfcollapse.data.preparation import Preparation
from tfcollapse.data.splits import Split
from tfcollapse.data.tfds import MINI
from tfcollapse.data.tfds_download import download
from tfcollapse.errors import ConfigError, DataError


@arguments_checked
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

    Example:
      >>> images = tc.load(tc.Data(name="fashion_mnist_mini", train=1_000))
      >>> images.train.shape, str(images.train.dtype), images.source
      ((1000, 28, 28, 1), 'uint8', 'fashion_mnist_mini (Fashion-MNIST 3.0.1)')
    """
    if image_files.is_file(data.name):
        dataset = _from_file(data)
    else:
        dataset = _mini(data) if data.name == MINI else _from_tfds(data, data_dir)
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
      DataError: `data_dir` is not a readable directory, or no dataset can have such a name.
    """
    size: tuple[int, ...] | None = (28, 28, 1)
    if image_files.is_file(data.name):
        size = image_files.image_shape(data.name)
    elif data.name != MINI:
        directory = tfds.prepared_directory(data.name, data_dir)
        size = tfds.image_feature(directory, data.name).shape if directory else None
    preparation = Preparation.of(data)
    if size:
        return preparation.shape(size)
    return (*preparation.resize[:2], data.channels) if preparation.resize and data.channels else None


def _mini(data: Data) -> Dataset:
    resource = importlib.resources.files("tfcollapse.data") / f"{MINI}.npz"
    with importlib.resources.as_file(resource) as path, np.load(path, allow_pickle=False) as arrays:
        splits = {name: arrays[name] for name in ("train", "test")}
    if data.crop or data.resize:  # only the images that are asked for are prepared
        splits = _prepared({name: images[: getattr(data, name)] for name, images in splits.items()}, data)
    for images in splits.values():
        images.setflags(write=False)
    sums = {split: image_cache.sha256_of(images) for split, images in splits.items()}
    return Dataset(**splits, source=f"{MINI} (Fashion-MNIST 3.0.1)", sha256=sums)


def _prepared(splits: dict[str, np.ndarray], data: Data) -> dict[str, np.ndarray]:
    preparation, pixels = Preparation.of(data), Pixels((28, 28, 1), np.dtype(np.uint8), 255)
    preparation.check_room(pixels, sum(len(images) for images in splits.values()), None)
    return {name: np.stack([preparation(image, pixels) for image in images]) for name, images in splits.items()}


def _from_file(data: Data) -> Dataset:
    digest, path = image_files.digest(data.name), pathlib.Path(os.path.expanduser(data.name))
    described = image_files.image_shape(data.name)
    if described is not None:  # checked here, before every image is written in vain
        _check_channels(data, described[-1])
    entry = Entry(path.name, str(path.absolute()), digest, Preparation.of(data))
    return _cached(entry, lambda: (image_files.splits(data.name), f"{path.name} (sha256 {digest})"))


def _from_tfds(data: Data, data_dir: str | os.PathLike[str] | None) -> Dataset:
    directory = tfds.prepared_directory(data.name, data_dir) or download(data.name, data_dir)
    feature = tfds.image_feature(directory, data.name)
    if feature.shape is not None:  # checked here, before every image is decoded in vain
        _check_channels(data, feature.shape[-1])
    name = tfds.full_name(data.name, directory)
    label = f"{name.replace('/', '-')}-{directory.name}"
    entry = Entry(label, str(directory.absolute()), tfds.content(directory).hex(), Preparation.of(data))
    return _cached(entry, lambda: tfds.splits(directory, name, feature.name))


def _cached(entry: Entry, open_splits: Callable[[], tuple[Mapping[str, Split], str]]) -> Dataset:
    """Return the images of an entry of the cache, which is written first where it has to be."""
    dataset = image_cache.read(entry)
    if dataset is None:
        splits, source = open_splits()
        image_cache.write(entry, source, splits)
        dataset = image_cache.read(entry)
    if dataset is None:
        raise DataError(
            f"image cache '{entry.path}': damaged as soon as it was written: set TFCOLLAPSE_CACHE to another disk"
        )
    return dataset


def _first(images: np.ndarray, count: int | None, split: str) -> np.ndarray:
    if count is not None and count > len(images):
        raise ConfigError(f"Data.{split}: expected at most the {len(images)} images there are, received {count}")
    return images[:count]
