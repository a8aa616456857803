"""Find datasets that TFDS keeps, tell what they hold, and read their images one by one."""

from __future__ import annotations

import contextlib
import glob
import hashlib
import json
import logging
import mmap
import os
import pathlib
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfcollapse.backend import import_tensorflow
from tfcollapse.data.splits import HELD_OUT, Split, cut
from tfcollapse.errors import DataError, line_of

MINI = "fashion_mnist_mini"
"""The name of the dataset that the package carries."""


def tfds_directory(data_dir: str | os.PathLike[str] | None) -> pathlib.Path:
    """Return the directory of TFDS: `data_dir`, or else TFDS_DATA_DIR, or else ~/tensorflow_datasets.

    Raises:
      DataError: a directory is named by one of the first two, but it cannot be read or does not exist.
    """
    named = data_dir or os.environ.get("TFDS_DATA_DIR")
    if not named:
        return pathlib.Path("~/tensorflow_datasets").expanduser()
    path = pathlib.Path(os.path.expanduser(named))
    try:
        readable = path.is_dir() and os.access(path, os.R_OK | os.X_OK)
    except (OSError, ValueError):  # no file can have such a name
        readable = False
    if not readable:
        raise DataError(
            f"data directory '{path}': expected a readable directory; create it, or name another with "
            "--data-dir or TFDS_DATA_DIR"
        )
    return path


def prepared_directory(name: str, data_dir: str | os.PathLike[str] | None) -> pathlib.Path | None:
    """Return the directory of the newest prepared version of dataset `name`; None where there is none.

    TFDS is not imported for this.

    Raises:
      DataError: the name is not NAME or NAME/CONFIG, the directory of TFDS cannot be read, or several configs of
        the dataset are prepared and `name` is that of none.
    """
    if not re.fullmatch(r"\w[\w.-]{0,99}(/(?!\d+\.\d+\.\d+$)\w[\w.-]{0,99})?", name):
        raise DataError(
            f"dataset name '{name}': expected one such as cifar10 or imagenet_resized/64x64, without a version, or a "
            ".npy or .npz file of images"
        )
    root, safe = tfds_directory(data_dir), glob.escape(name)
    try:
        versions = [path.parent for path in root.glob(f"{safe}/*/dataset_info.json")]
        of_configs = [path.parent for path in root.glob(f"{safe}/*/*/dataset_info.json")]
    except (OSError, ValueError, NotImplementedError) as error:
        raise DataError(f"dataset '{name}': cannot read '{root}': {error}") from None
    configs = sorted({directory.parent.name for directory in of_configs})
    if not versions and len(configs) > 1:
        raise DataError(
            f"dataset '{name}': expected one of its prepared configs, {', '.join(f'{name}/{c}' for c in configs)}"
        )
    return max(
        versions or of_configs,
        key=lambda path: [int(n) if n.isdigit() else 0 for n in path.name.split(".")],
        default=None,
    )


def full_name(name: str, directory: pathlib.Path) -> str:
    """Return the name of a dataset with the config that was taken where `name` has none."""
    config = directory.parent.name
    return name if config == name.rpartition("/")[2] else f"{name}/{config}"


@dataclass(frozen=True)
class ImageFeature:
    """The feature of a dataset that is taken for its images.

    Attributes:
      name: of the feature.
      shape: (height, width, channels) of the images; None where they differ or the description does not state it.
    """

    name: str
    shape: tuple[int, int, int] | None


def image_feature(directory: pathlib.Path, name: str) -> ImageFeature:
    """Return the feature "image" of a prepared dataset, or else the only one that TFDS declares as an image.

    TFDS is not imported for this.

    Args:
      directory: of the prepared dataset.
      name: of the dataset, for messages.

    Raises:
      DataError: there is no such feature, there are several, or the description is damaged.
    """
    with reading(directory):
        description = directory / "features.json"
        if not description.is_file():  # a FIFO would never be read to its end
            raise OSError("features.json is no regular file")
        features = dict(json.loads(description.read_text())["featuresDict"]["features"])
        images = [key for key, feature in features.items() if "image" in feature]
    if "image" in features:
        images = ["image"]
    if len(images) != 1:
        raise DataError(
            f"dataset '{name}': expected a feature 'image', or one feature that is an image, it has "
            f"{', '.join(images or features)}{'' if images else ', and none is an image'}: write the images that you "
            "mean to a .npy file"
        )
    return ImageFeature(images[0], _stated_shape(features[images[0]]))


def _stated_shape(feature: dict[str, Any]) -> tuple[int, int, int] | None:
    try:
        height, width, channels = (int(size) for size in feature["image"]["shape"]["dimensions"])
    except (ValueError, KeyError, TypeError):
        return None
    return (height, width, channels) if min(height, width, channels) > 0 else None


def content(directory: pathlib.Path) -> bytes:
    """Return a sha256 that identifies what a prepared dataset holds: its descriptions, and its files of examples.

    A TFRecord file has a checksum of every record beside it. Those are read, and the records themselves are not, so
    that this is quick for a large dataset. Files of other formats are read as a whole.

    Raises:
      DataError: a file cannot be read.
    """
    whole = hashlib.sha256()
    with reading(directory):
        for path in sorted(path for path in directory.iterdir() if not path.is_dir()):
            if not path.is_file():
                raise OSError(f"{path.name} is no regular file")
            whole.update(f"{path.name} {path.stat().st_size} ".encode())
            if ".tfrecord" in path.name and path.stat().st_size:
                whole.update(_record_checksums(path))
            else:
                with path.open("rb") as file:
                    whole.update(hashlib.file_digest(file, "sha256").digest())
    return whole.digest()


def _record_checksums(path: pathlib.Path) -> bytes:
    """Return the checksums of all records. A record is 8 bytes of length, 4 of their CRC, its content, 4 of its CRC."""
    sums, start, length_of = [], 0, struct.Struct("<Q").unpack_from
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as records:
        end = len(records)
        while start + 12 <= end:
            (length,) = length_of(records, start)
            start += length + 16
            sums.append(records[start - 4 : start])
    return b"".join(sums)


def prepared_names(data_dir: str | os.PathLike[str] | None) -> list[str]:
    """Return the name of every dataset that needs no network: the packaged one, and those that TFDS has prepared.

    Raises:
      DataError: the directory of TFDS cannot be read.
    """
    root = tfds_directory(data_dir)
    descriptions = [*root.glob("*/*/dataset_info.json"), *root.glob("*/*/*/dataset_info.json")]
    return [MINI, *sorted({str(path.parent.parent.relative_to(root)) for path in descriptions})]


@contextlib.contextmanager
def reading(directory: Any) -> Iterator[None]:
    """Turn any error that TFDS raises for a damaged dataset into a DataError that names `directory`."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - TFDS and TensorFlow raise many kinds for a damaged file
        raise DataError(
            f"prepared dataset '{directory}' cannot be read ({line_of(error)}): move it away, and prepare it again"
        ) from None


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep the warnings of TFDS and absl from the terminal, about things that no user can change; errors stay."""
    logger = logging.getLogger("absl")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def splits(directory: pathlib.Path, name: str, feature: str) -> tuple[dict[str, Split], str]:
    """Open the images of a prepared dataset.

    The test split is TFDS' "test", or "validation" where it has none. Of a dataset with neither, every tenth image of
    "train" is the test split, in the order of TFDS.

    Args:
      directory: of the prepared dataset.
      name: of the dataset, for messages.
      feature: the name of the feature that holds the images.

    Returns:
      The splits "train" and "test"; the dataset's full name and version, and what was cut.

    Raises:
      DataError: the dataset is damaged, or has no split "train".
    """
    import_tensorflow()
    with quiet(), reading(directory):
        import tensorflow_datasets

        builder = tensorflow_datasets.builder_from_directory(directory)
        counts = {split: int(info.num_examples) for split, info in builder.info.splits.items() if info.num_examples}
        size = sum(path.stat().st_size for path in directory.iterdir())
        for split, count in counts.items():
            if not 0 < count <= size:  # a record has a byte or more
                raise ValueError(f"split {split} claims {count} images in {size} bytes")
    source = f"{name} {builder.info.version}" + ("" if feature == "image" else f", feature '{feature}'")
    if "train" not in counts:
        raise DataError(
            f"dataset '{name}': expected a split 'train', it has {', '.join(counts) or 'no images'}: write the images "
            "that you mean to a .npy file"
        )

    def opened(split: str) -> Split:
        return Split(counts[split], lambda: _images(builder, split, feature))

    test = next((split for split in ("test", "validation") if split in counts), None)
    if test is not None:
        return {"train": opened("train"), "test": opened(test)}, source
    if counts["train"] < HELD_OUT:
        raise DataError(f"dataset '{name}': expected at least {HELD_OUT} images, received {counts['train']}")
    return cut(opened("train")), f"{source} (its only split is train: every {HELD_OUT}th image is the test split)"


def _images(builder: Any, split: str, feature: str) -> Iterator[np.ndarray]:
    """Yield the images of a split, in TFDS' order. Raises DataError where the files are damaged."""
    import tensorflow_datasets as tfds

    with quiet(), reading(builder.data_path):
        dataset = builder.as_dataset(split=split, decoders=tfds.decode.PartialDecoding({feature: True}))
        examples = iter(tfds.as_numpy(dataset))
    while True:
        with reading(builder.data_path):
            example = next(examples, None)
        if example is None:
            return
        yield example[feature]
