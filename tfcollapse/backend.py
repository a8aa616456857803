"""Which of Keras' backends computes: TensorFlow, or JAX where KERAS_BACKEND says so."""

from __future__ import annotations

import importlib.util
import json
import os
import pathlib
import sys

from tfcollapse.errors import ConfigError
from tfcollapse.quiet import held_back, import_tensorflow

NAMES = ("tensorflow", "jax")


def backend() -> str:
    """One of NAMES. Found without importing Keras, which would start it. Raises ConfigError for another one."""
    keras = sys.modules.get("keras")
    name = keras.config.backend() if keras else os.environ.get("KERAS_BACKEND") or _configured()
    if name not in NAMES:
        raise ConfigError(f"KERAS_BACKEND: expected {' or '.join(NAMES)}, received '{name}'")
    return name


def start() -> None:
    """Import the backend's framework. Raises ConfigError where it is not installed."""
    if backend() == "tensorflow":
        import_tensorflow()
    elif importlib.util.find_spec("jax") is None:
        raise ConfigError("KERAS_BACKEND=jax: JAX is not installed: pip install 'tfcollapse[jax]'")
    elif "jax" not in sys.modules:
        with held_back():  # Keras imports TensorFlow even then, where there is one, for its file system alone
            import jax
            import keras  # noqa: F401

            jax.devices()


def need_tensorflow(what: str) -> None:
    """Start TensorFlow for what nothing else does here. Raises ConfigError under another backend."""
    if backend() != "tensorflow":
        raise ConfigError(
            f"{what}: TensorFlow's alone, received KERAS_BACKEND={backend()}: unset it (a model that was trained under "
            "either is read under both)"
        )
    import_tensorflow()


def _configured() -> str:
    """The backend of Keras' own file of settings."""
    folder = pathlib.Path(os.environ.get("KERAS_HOME") or pathlib.Path.home() / ".keras")
    try:
        return json.loads((folder / "keras.json").read_text())["backend"]
    except (OSError, ValueError, KeyError, TypeError):
        return "tensorflow"
