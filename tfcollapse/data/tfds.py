"""Find datasets that TFDS keeps, download them, and read their images one by one."""

from __future__ import annotations

import contextlib
import difflib
import glob
import json
import os
import pathlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from tfcollapse.backend import import_tensorflow
from tfcollapse.errors import DataError

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
    path = pathlib.Path(named).expanduser()
    if not path.is_dir() or not os.access(path, os.R_OK | os.X_OK):
        raise DataError(
            f"data directory '{path}': expected a readable directory; create it, or name another with "
            "--data-dir or TFDS_DATA_DIR"
        )
    return path


def prepared_directory(name: str, data_dir: str | os.PathLike[str] | None) -> pathlib.Path | None:
    """Return the directory of the newest prepared version of dataset `name`; None where there is none.

    TFDS is not imported for this.

    Raises:
      DataError: the directory of TFDS cannot be read.
    """
    root, safe = tfds_directory(data_dir), glob.escape(name)
    try:
        descriptions = [*root.glob(f"{safe}/*/dataset_info.json"), *root.glob(f"{safe}/*/*/dataset_info.json")]
    except (OSError, ValueError, NotImplementedError) as error:
        raise DataError(f"dataset '{name}': cannot read '{root}': {error}") from None
    versions = [path.parent for path in descriptions]
    return max(versions, key=lambda path: [int(n) if n.isdigit() else 0 for n in path.name.split(".")], default=None)


def described_shape(directory: pathlib.Path) -> tuple[int, int, int] | None:
    """Return (height, width, channels) of the images of a prepared dataset, from TFDS' description of its features.

    The result is None where the description does not state them.
    """
    try:
        described = json.loads((directory / "features.json").read_text())
        sizes = described["featuresDict"]["features"]["image"]["image"]["shape"]["dimensions"]
        height, width, channels = (int(size) for size in sizes)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return (height, width, channels) if min(height, width, channels) > 0 else None


def prepared_names(data_dir: str | os.PathLike[str] | None) -> list[str]:
    """Return the name of every dataset that needs no network: the packaged one, and those that TFDS has prepared.

    Raises:
      DataError: the directory of TFDS cannot be read.
    """
    root = tfds_directory(data_dir)
    descriptions = [*root.glob("*/*/dataset_info.json"), *root.glob("*/*/*/dataset_info.json")]
    return [MINI, *sorted({str(path.parent.parent.relative_to(root)) for path in descriptions})]


def download(name: str, data_dir: str | os.PathLike[str] | None) -> pathlib.Path:
    """Let TFDS download and prepare the dataset `name`, and return its directory.

    Raises:
      DataError: TFDS does not know the dataset, or could not fetch or prepare it.
    """
    root = tfds_directory(data_dir)
    import_tensorflow()
    import tensorflow_datasets as tfds

    try:
        builder = tfds.builder(name, data_dir=root, try_gcs=False)
    except Exception as error:  # noqa: BLE001 - TFDS raises many kinds, also for names and configs it lacks
        if type(error).__name__ != "DatasetNotFoundError":
            raise DataError(f"dataset '{name}': {line_of(error)}") from None
        near = difflib.get_close_matches(name, [MINI, *tfds.list_builders(with_community_datasets=False)], n=1)
        hint = f"; did you mean '{near[0]}'?" if near else ""
        raise DataError(f"unknown dataset '{name}': expected {MINI}, or a name TFDS knows{hint}") from None
    advice = (
        f"run 'tfcollapse data prepare {name}' where there is a network and copy the directory here, or use "
        f"--set data.name={MINI}, which the package carries"
    )
    problem = _unreachable(builder, root)
    if problem:
        raise DataError(f"dataset '{name}' is not prepared in '{root}' and could not be fetched ({problem}): {advice}")
    try:
        builder.download_and_prepare(download_config=tfds.download.DownloadConfig(try_download_gcs=False))
    except Exception as error:  # noqa: BLE001 - whatever stopped TFDS, the user needs the same advice
        raise DataError(
            f"dataset '{name}' is not prepared in '{root}' and could not be fetched ({line_of(error)}): {advice}"
        ) from None
    directory = prepared_directory(name, data_dir)
    if directory is None:
        raise DataError(f"dataset '{name}': TFDS prepared it, but '{root}' does not hold it")
    return directory


def _unreachable(builder: Any, root: pathlib.Path) -> str | None:
    """Return what prevents a download, as text; None where nothing is seen to prevent it.

    The check is made before TFDS starts, because TFDS itself would retry for three minutes and then leave incomplete
    files behind.
    """
    manual = root / "downloads" / "manual"
    if manual.is_dir() and any(manual.iterdir()):
        return None  # TFDS takes original archives from this directory instead
    import requests

    for url in list(builder.url_infos)[:1]:
        try:
            requests.head(url, timeout=15, allow_redirects=True)
        except requests.RequestException as error:
            return f"{type(error).__name__}: {url}"
    return None


def line_of(error: BaseException) -> str:
    """Return an error as one line: its type, and up to 160 characters of its message's first line."""
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0][:160]}" if text else type(error).__name__


@contextlib.contextmanager
def reading(directory: Any) -> Iterator[None]:
    """Turn any error that TFDS raises for a damaged dataset into a DataError that names `directory`."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - TFDS and TensorFlow raise many kinds for a damaged file
        raise DataError(
            f"prepared dataset '{directory}' cannot be read ({line_of(error)}): delete it and prepare it again"
        ) from None


def images(builder: Any, split: str) -> Iterator[np.ndarray]:
    """Yield the images of a split, in TFDS' order: [height, width, channels].

    Raises:
      DataError: the files are damaged.
    """
    import tensorflow_datasets as tfds

    with reading(builder.data_path):
        dataset = builder.as_dataset(split=split, decoders=tfds.decode.PartialDecoding({"image": True}))
        examples = iter(tfds.as_numpy(dataset))
    while True:
        with reading(builder.data_path):
            example = next(examples, None)
        if example is None:
            return
        yield example["image"]
