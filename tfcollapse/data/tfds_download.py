"""Let TFDS download and prepare a dataset, or say in one line what a user has to do first."""

from __future__ import annotations

import difflib
import os
import pathlib
from typing import Any

from tfcollapse.backend import import_tensorflow
from tfcollapse.data.tfds import MINI, quiet, tfds_directory
from tfcollapse.errors import DataError, line_of

_INSTRUCTIONS = 800
"""The characters that are shown of a builder's instructions."""


def download(name: str, data_dir: str | os.PathLike[str] | None) -> pathlib.Path:
    """Let TFDS download and prepare the dataset `name`, and return its directory.

    Raises:
      DataError: TFDS does not know the dataset, could not fetch or prepare it, or needs archives that a user has to
        fetch by hand.
    """
    root = tfds_directory(data_dir)
    import_tensorflow()
    with quiet():
        builder = _builder(name, root)
        problem = _unreachable(builder, root)
        if problem is None:
            problem = _prepare(builder)
    directory = pathlib.Path(builder.data_path)
    if problem is None and not (directory / "dataset_info.json").is_file():
        problem = "TFDS did not write it"
    if problem is not None:
        raise DataError(
            f"dataset '{name}' is not prepared in '{root}' and could not be fetched ({problem}): "
            + _advice(name, builder, root)
        )
    return directory


def _builder(name: str, root: pathlib.Path) -> Any:
    import tensorflow_datasets as tfds

    try:
        return tfds.builder(name, data_dir=root, try_gcs=False)
    except Exception as error:  # noqa: BLE001 - TFDS raises many kinds, also for names and configs it lacks
        if type(error).__name__ != "DatasetNotFoundError":
            raise DataError(f"dataset '{name}': {line_of(error)}") from None
        near = difflib.get_close_matches(name, [MINI, *tfds.list_builders(with_community_datasets=False)], n=1)
        hint = f"; did you mean '{near[0]}'?" if near else ""
        raise DataError(f"unknown dataset '{name}': expected {MINI}, or a name TFDS knows{hint}") from None


def _prepare(builder: Any) -> str | None:
    """Let TFDS prepare the dataset, and return what stopped it, as text; None where nothing did."""
    import tensorflow_datasets as tfds

    try:
        builder.download_and_prepare(download_config=tfds.download.DownloadConfig(try_download_gcs=False))
    except Exception as error:  # noqa: BLE001 - whatever stopped TFDS, the user needs the same advice
        return line_of(error)
    return None


def _unreachable(builder: Any, root: pathlib.Path) -> str | None:
    """Return what prevents a download, as text; None where nothing is seen to prevent it.

    The check is made before TFDS starts, because TFDS itself would retry for three minutes and then leave incomplete
    files behind.
    """
    if _archives(root):
        return None  # TFDS takes original archives from this directory instead
    if builder.MANUAL_DOWNLOAD_INSTRUCTIONS:
        return "TFDS may not download it, and no archive is there"
    import requests

    for url in list(builder.url_infos)[:1]:
        try:
            requests.head(url, timeout=15, allow_redirects=True)
        except requests.RequestException as error:
            return f"{type(error).__name__}: {url}"
    return None


def _advice(name: str, builder: Any, root: pathlib.Path) -> str:
    if builder.MANUAL_DOWNLOAD_INSTRUCTIONS:
        instructions = " ".join(builder.MANUAL_DOWNLOAD_INSTRUCTIONS.split())[:_INSTRUCTIONS]
        return f"put its archives into '{_manual(root)}' and run the same command again; TFDS says: {instructions}"
    return (
        f"run 'tfcollapse data prepare {name}' where there is a network and copy the directory here, or use "
        f"--set data.name={MINI}, which the package carries"
    )


def _manual(root: pathlib.Path) -> pathlib.Path:
    """Return the directory in which TFDS looks for archives that a user has fetched."""
    return root / "downloads" / "manual"


def _archives(root: pathlib.Path) -> bool:
    return _manual(root).is_dir() and any(_manual(root).iterdir())
