"""Read a .keras file from any source: nothing in it is executed, and its size is checked before it is loaded."""

from __future__ import annotations

import json
import os
import pathlib
import zipfile
from typing import Any

import keras

from tfcollapse.errors import ConfigError, RunError
from tfcollapse.models.memory import check_fits

_CONFIG_BYTES = 16 << 20
_RATIO = 100
"""The largest ratio of uncompressed to compressed size that an archive may have."""


def read(path: str | os.PathLike[str]) -> Any:
    """Load the Keras model in the file at `path`, in safe mode, not compiled.

    Raises:
      RunError: the file is missing, damaged, of a layer that Keras does not know, holds code, or is far larger inside.
    """
    try:
        _check(pathlib.Path(path))
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except ConfigError as error:
        raise RunError(str(error)) from None
    except RecursionError:
        raise RunError(f"model '{path}': expected a .keras file, received one nested too deeply") from None
    except Exception as error:  # noqa: BLE001 - a damaged file makes Keras, HDF5 and TensorFlow raise many kinds
        line = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise RunError(
            f"model '{path}': expected a .keras file of layers that Keras knows, without code in it: {line}"
        ) from None


def _check(path: pathlib.Path) -> None:
    with zipfile.ZipFile(path) as archive:
        inside = sum(member.file_size for member in archive.infolist())
        if inside > _RATIO * path.stat().st_size + _CONFIG_BYTES:
            raise ValueError(f"{path.stat().st_size} bytes that unpack to {inside}")
        if archive.getinfo("config.json").file_size > _CONFIG_BYTES:
            raise ValueError("a configuration of more than 16 MiB")
        config = json.loads(archive.read("config.json"))
    config.pop("compile_config", None)  # a model is not compiled here
    check_fits(f"model '{path}'", lambda: keras.saving.deserialize_keras_object(config, safe_mode=True))
