"""TensorFlow's first import without the pages it prints on a machine that has no GPU."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import logging
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any

from tfcollapse.errors import NO_TENSORFLOW, ConfigError, UserError


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
    with held_back():
        import tensorflow as tf

        made = first()
        tf.config.list_physical_devices()
        tf.constant(0.0)
    # It warns of functions compiled again and again; here one process trains many models, each compiled once.
    logging.getLogger("tensorflow").addFilter(lambda record: "tf.function retracing" not in record.getMessage())
    return made


@contextlib.contextmanager
def held_back() -> Iterator[None]:
    """Keep back what is printed to standard error, and show it only if what is done inside fails."""
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
