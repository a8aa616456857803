"""Choose and start Keras' backend: TensorFlow, or JAX where KERAS_BACKEND says so. Neither prints at its start."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import json
import logging
import os
import pathlib
import sys
from collections.abc import Callable, Iterator
from typing import Any

from tfcollapse.errors import NO_TENSORFLOW, ConfigError, UserError

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
        with suppress_stderr():  # Keras imports TensorFlow even then, where there is one, for its file system alone
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


@functools.cache
def import_tensorflow(first: Callable[[], Any] = lambda: None) -> Any:
    """Import TensorFlow, do `first`, start its devices. What it prints meanwhile is shown only if that fails.

    Args:
      first: what must be said to TensorFlow before its devices start.

    Returns:
      What `first` returned.

    Raises:
      ConfigError: it is not installed.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    if importlib.util.find_spec("tensorflow") is None:
        raise ConfigError(NO_TENSORFLOW)
    with suppress_stderr():
        import tensorflow as tf

        made = first()
        tf.config.list_physical_devices()
        tf.constant(0.0)
    # It warns of functions compiled again and again; here one process trains many models, each compiled once.
    logging.getLogger("tensorflow").addFilter(lambda record: "tf.function retracing" not in record.getMessage())
    return made


@contextlib.contextmanager
def suppress_stderr() -> Iterator[None]:
    """Keep standard error from the terminal, and show it only if what is done inside fails."""
    # The lines come from C++ before any log level applies, so only the file descriptor stops them.
    import tempfile

    sys.stderr.flush()
    with tempfile.TemporaryFile() as held, contextlib.ExitStack() as stack:
        kept = os.dup(2)
        stack.callback(os.close, kept)
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException as error:
            os.dup2(kept, 2)
            if not isinstance(error, UserError):  # which says all there is to say
                held.seek(0)
                os.write(2, held.read())
            raise
        os.dup2(kept, 2)
