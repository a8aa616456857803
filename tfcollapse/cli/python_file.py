"""Load what an option names: a function in a Python file of the user's own, FILE.py:FUNCTION, or a .keras file."""

from __future__ import annotations

import importlib.util
import pathlib
from typing import Any

from tfcollapse.errors import ConfigError, RunError, Terminated, line_of


def function_in_file(option: str, reference: str) -> Any:
    """Load what FILE.py:FUNCTION names: a function, or a model that can be called. The file is executed.

    Args:
      option: the name of the option, for the message.
      reference: FILE.py:FUNCTION.

    Raises:
      ConfigError: no such file, a file that cannot be imported, or no such function in it.
    """
    file, _, function = reference.rpartition(":")
    path = pathlib.Path(file)
    if path.suffix != ".py":
        raise ConfigError(f"{option}: expected FILE.py:FUNCTION, received '{reference}'")
    if not path.is_file():
        raise ConfigError(f"{option} '{path}': {'expected a file' if path.exists() else 'there is no such file'}")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Terminated:  # this process received SIGTERM
        raise
    except (Exception, SystemExit) as error:  # the user's own file may raise anything
        raise ConfigError(f"{option}: '{path}' cannot be imported: {line_of(error)}") from error
    if not callable(getattr(module, function, None)):
        raise ConfigError(f"{option}: '{path}' has no function '{function}'")
    return getattr(module, function)


def named_model(option: str, reference: str) -> Any:
    """Load the function that FILE.py:FUNCTION names, or a .keras file in safe mode.

    Raises:
      ConfigError: as `function_in_file`, or a .keras file that cannot be read.
    """
    if reference.rpartition(":")[0].endswith(".py"):
        return function_in_file(option, reference)
    from tfcollapse.backend import start_keras

    start_keras()
    from tfcollapse.models import keras_file

    try:
        return keras_file.read(reference)  # which executes nothing in it
    except RunError as error:
        raise ConfigError(f"{option}: {error}") from None
