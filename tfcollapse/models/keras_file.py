"""Read a .keras file from any source: nothing in it is executed, and its size is checked before it is loaded."""

from __future__ import annotations

import json
import os
import pathlib
import textwrap
import zipfile
from collections.abc import Iterator
from typing import Any

import keras

from tfcollapse.errors import ConfigError, RunError
from tfcollapse.models import networks  # noqa: F401 - registers the classes that a saved network names
from tfcollapse.models.keras_archive import CONFIG, check_weights, checked_archive
from tfcollapse.models.memory import check_fits


def read(path: str | os.PathLike[str]) -> Any:
    """Load the Keras model in the file at `path`, in safe mode, not compiled.

    Raises:
      RunError: the file is missing, damaged, of a layer that Keras does not know, holds code, or is far larger inside.
    """
    config: Any = None
    if not os.fspath(path):
        raise RunError("model '': expected the path of a .keras file")
    try:
        with checked_archive(pathlib.Path(path)) as archive:
            text = archive.read(CONFIG)
            config = _parsed(text)
            check_weights(archive)
        # Keras changes the configuration that it is given.
        check_fits("network", lambda: keras.saving.deserialize_keras_object(_parsed(text), safe_mode=True))
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except ConfigError as error:
        raise RunError(f"model '{path}': {error}") from None
    except RunError:
        raise
    except RecursionError:
        raise RunError(f"model '{path}': expected a .keras file, received one nested too deeply") from None
    except Exception as error:  # noqa: BLE001 - a damaged file makes Keras, HDF5 and TensorFlow raise many kinds
        raise RunError(
            f"model '{path}': expected a .keras file of layers that Keras knows, without code in it"
            + (_way_out(config) or f": {_line(error)}")
        ) from None


def _line(error: Exception) -> str:
    """Return the line of an error that tells most: Keras puts the error that it met itself last."""
    text = str(error).rpartition("Error encountered during deserialization:")[2].strip()
    return textwrap.shorten((text.splitlines() or [type(error).__name__])[0], 200, placeholder=" ...")


def _parsed(text: bytes) -> Any:
    config = json.loads(text)
    config.pop("compile_config", None)  # a model is not compiled here
    return config


_EXPORTED = b"exported by tfcollapse"
"""The comment of the archive of an export."""


def mark_as_export(path: pathlib.Path) -> None:
    """Say in a .keras file that it is an export. Keras reads it as before."""
    with zipfile.ZipFile(path, "a") as archive:
        archive.comment = _EXPORTED


def is_export(path: pathlib.Path) -> bool:
    """Say whether a file is an export of an Autoencoder. One of an earlier version has no mark, and is not compiled."""
    try:
        with checked_archive(path) as archive:
            config = json.loads(archive.read(CONFIG))
            ours = config["registered_name"] == "tfcollapse>Autoencoder"
            return ours and (archive.comment == _EXPORTED or not config.get("compile_config"))
    except Exception:  # noqa: BLE001 - a file of any kind
        return False


def unknown_class(config: Any) -> str | None:
    """Return the name of the first class that Keras, in safe mode, will not make; None where there is none.

    Args:
      config: what `keras.saving.serialize_keras_object` returns.
    """
    return next((part["class_name"] for part in _parts(config) if _unknown(part)), None)


def foreign_class(config: Any) -> str | None:
    """Return the name of the first class that is neither Keras' nor this package's; None where there is none."""
    return next(
        (
            part["class_name"]
            for part in _parts(config)
            if not _builtin(part) and not str(part.get("registered_name")).startswith("tfcollapse>")
        ),
        None,
    )


def _parts(config: Any) -> Iterator[dict[str, Any]]:
    """Yield every serialised object in a configuration, the outer one first."""
    waiting = [config]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            if isinstance(part.get("class_name"), str) and "config" in part:
                yield part
            waiting.extend(reversed(part.values()))
        elif isinstance(part, (list, tuple)):
            waiting.extend(reversed(part))


def _builtin(part: dict[str, Any]) -> bool:
    return part.get("registered_name") is None or str(part.get("module")).partition(".")[0] == "keras"


def _holds_code(part: dict[str, Any]) -> bool:
    """Say whether an object is a Lambda, or has a lambda, which Keras writes as {"value": [bytecode, ...]}."""
    values = part["config"].values() if isinstance(part["config"], dict) else ()
    return part["class_name"] in ("Lambda", "__lambda__") or any(
        isinstance(value, dict) and list(value) == ["value"] and isinstance(value["value"], list) for value in values
    )


def _unknown(part: dict[str, Any]) -> bool:
    """Say whether Keras, in safe mode, will not make an object."""
    if _holds_code(part):
        return True
    name = part["config"] if part["class_name"] == "function" else part.get("registered_name")
    return not _builtin(part) and keras.saving.get_registered_object(str(name)) is None


def _way_out(config: Any) -> str:
    """Name the first part that cannot be loaded, and say what to do; nothing where all can be."""
    part = next(filter(_unknown, _parts(config)), None)
    if part is None:
        return ""
    name = part["config"].get("name", "") if isinstance(part["config"], dict) else ""
    received = f": received {f'layer {name!r} of ' if name else ''}the class {part['class_name']}"
    if part["class_name"] == "function":
        received = f": received the function {part['config']!r}"
    received += ", which holds code" if _holds_code(part) else ", which is not registered"
    if name and name in _outputs(config)[2:]:
        return f"{received}: save what counts of the model e: keras.Model(e.inputs, e.outputs[:2]).save(...)"
    return f"{received}: use the model from Python, where its code is, or make it of Keras' own layers"


def _outputs(config: Any) -> list[str]:
    """Return the names of the layers whose outputs are those of a functional model."""
    try:
        return [layer[0] for layer in config["config"]["output_layers"] if isinstance(layer, list)]
    except (KeyError, TypeError, IndexError):
        return []
