"""Choose and start Keras' backend: TensorFlow, or JAX where KERAS_BACKEND names it. Neither prints when it starts."""

from __future__ import annotations

import contextlib
import functools
import importlib.metadata
import importlib.util
import json
import logging
import os
import pathlib
import re
import sys
from collections.abc import Callable, Iterator
from typing import Any

from tfcollapse.errors import NO_TENSORFLOW, ConfigError, UserError

NAMES = ("tensorflow", "jax")


def backend() -> str:
    """Return the name of Keras' backend: one of NAMES.

    Keras is not imported for this, because the import would start the backend.

    Raises:
      ConfigError: KERAS_BACKEND, or Keras' own file of settings, names another backend.
    """
    name = _declared()
    if name not in NAMES:
        raise ConfigError(f"KERAS_BACKEND: expected {' or '.join(NAMES)}, received '{name}'")
    return name


def installed_backend() -> str:
    """Return Keras' backend and its version, such as "tensorflow 2.21.0". Nothing is started for this."""
    name = _declared()
    try:
        return f"{name} {importlib.metadata.version(name)}"
    except importlib.metadata.PackageNotFoundError:
        return f"{name} (not installed, or a build whose package has another name)"


def start() -> None:
    """Import the framework of the backend, and start its devices.

    Raises:
      ConfigError: the framework is not installed.
    """
    if backend() == "tensorflow":
        import_tensorflow()
    elif importlib.util.find_spec("jax") is None:
        raise ConfigError("KERAS_BACKEND=jax: JAX is not installed: pip install 'tfcollapse[jax]'")
    elif "jax" not in sys.modules:
        with suppress_stderr():  # Keras imports an installed TensorFlow here too, for its file system alone
            import jax
            import keras  # noqa: F401

            jax.devices()
            threads()


def start_keras() -> None:
    """Start Keras under any backend of its own, for a model that is called and not trained.

    Raises:
      ConfigError: the framework of the backend is not installed.
    """
    name = _declared()
    if name in NAMES:
        start()
        return
    try:
        with suppress_stderr():
            import keras  # noqa: F401
    except ImportError as error:
        raise ConfigError(f"KERAS_BACKEND={name}: {error}: install it") from None


def need_tensorflow(what: str) -> None:
    """Start TensorFlow for a function that only TensorFlow offers here. Argument and errors: `check_tensorflow`."""
    check_tensorflow(what)
    import_tensorflow()


def check_tensorflow(what: str) -> None:
    """Check, and start nothing, that a function can run that only TensorFlow offers here.

    Args:
      what: the name of the function, as the message gives it.

    Raises:
      ConfigError: the backend is not TensorFlow, or TensorFlow is not installed.
    """
    if backend() != "tensorflow":
        raise ConfigError(
            f"{what}: expected TensorFlow, received KERAS_BACKEND={backend()}: unset KERAS_BACKEND (what was "
            "trained with JAX can be read)"
        )
    if importlib.util.find_spec("tensorflow") is None:
        raise ConfigError(NO_TENSORFLOW)


def _declared() -> str:
    """Return the backend that Keras has started with, or would start with."""
    keras = sys.modules.get("keras")
    return keras.config.backend() if keras else os.environ.get("KERAS_BACKEND") or _configured()


def _configured() -> str:
    """Return the backend that Keras' own file of settings names; TensorFlow where it names none."""
    folder = pathlib.Path(os.environ.get("KERAS_HOME") or pathlib.Path.home() / ".keras")
    try:
        return json.loads((folder / "keras.json").read_text())["backend"]
    except (OSError, ValueError, KeyError, TypeError):
        return "tensorflow"


def thread_settings(count: int) -> dict[str, str]:
    """Return the environment with which a fresh process computes on `count` threads, and its linear algebra on one.

    The order of float sums depends on these numbers, and not on how many cores there are.
    """
    framework = {"TF_NUM_INTRAOP_THREADS": str(count), "NPROC": str(count)}  # NPROC is XLA's, which JAX reads
    return framework | {"OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def set_threads(count: int) -> None:
    """Let this process compute on `count` threads. Where a framework has started already, nothing is changed."""
    if not {"tensorflow", "jax"} & sys.modules.keys():
        os.environ.update(thread_settings(count))


@functools.cache  # the number of the moment when the framework starts
def threads() -> int:
    """Return on how many threads the framework of this process computes. Call it after `start`."""
    if backend() == "jax":
        declared = os.environ.get("NPROC", "")
    else:
        import tensorflow as tf

        own = tf.config.threading.get_intra_op_parallelism_threads()
        declared = str(own) if own else os.environ.get("TF_NUM_INTRAOP_THREADS", "")
    return int(declared) if re.fullmatch("0*[1-9][0-9]{0,5}", declared) else len(os.sched_getaffinity(0))


def gpu_present() -> bool:
    """Return whether this machine has an NVIDIA GPU that processes may use. No framework is started for this."""
    return os.environ.get("CUDA_VISIBLE_DEVICES") != "" and any(pathlib.Path("/dev").glob("nvidia[0-9]*"))


@functools.cache
def import_tensorflow(first: Callable[[], Any] = lambda: None) -> Any:
    """Import TensorFlow, call `first`, and start the devices.

    What TensorFlow prints meanwhile is shown only if one of these steps fails. The work is done once in a process; a
    later call with the same argument returns the first result.

    Args:
      first: a function that sets up TensorFlow before its devices start.

    Returns:
      The result of `first`.

    Raises:
      ConfigError: TensorFlow is not installed.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    if importlib.util.find_spec("tensorflow") is None:
        raise ConfigError(NO_TENSORFLOW)
    with suppress_stderr():
        import tensorflow as tf

        result = first()
        tf.config.list_physical_devices()
        tf.constant(0.0)
        threads()
    allow_retracing()
    return result


def allow_retracing() -> None:
    """Keep TensorFlow from warning of functions that are compiled again and again.

    Here one process trains or calls many models, and each is compiled once.
    """
    logging.getLogger("tensorflow").addFilter(_not_of_retracing)


def _not_of_retracing(record: logging.LogRecord) -> bool:
    return "tf.function retracing" not in record.getMessage()


@contextlib.contextmanager
def suppress_stderr() -> Iterator[None]:
    """Keep standard error from the terminal, and show it only if the body of the `with` statement fails."""
    # The lines come from C++ before any log level applies. Only redirecting the file descriptor stops them.
    import tempfile

    sys.stderr.flush()
    with tempfile.TemporaryFile() as printed, contextlib.ExitStack() as stack:
        terminal = os.dup(2)
        stack.callback(os.close, terminal)
        os.dup2(printed.fileno(), 2)
        try:
            yield
        except BaseException as error:
            os.dup2(terminal, 2)
            # The message of a UserError is complete by itself, and a signal says nothing of what was printed.
            if not isinstance(error, (UserError, KeyboardInterrupt, SystemExit)):
                printed.seek(0)
                os.write(2, printed.read())
            raise
        os.dup2(terminal, 2)
