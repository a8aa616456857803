"""Write files whole or not at all, read JSON, and report a fault of the disk or of a file in one clear line."""

from __future__ import annotations

import contextlib
import json
import pathlib
import tempfile
from collections.abc import Iterator
from typing import Any

from tfcollapse.errors import RunError

JSON_BYTES = 64 << 20
"""The length at which the reading of a JSON file stops. A longer file is cut and refused; no record is so long."""


@contextlib.contextmanager
def disk_errors(path: pathlib.Path) -> Iterator[None]:
    """Turn a full, read-only or forbidden disk into one clear line.

    Args:
      path: the file or directory that the message names.

    Raises:
      RunError: the body of the `with` statement raised an OSError.
    """
    try:
        yield
    except OSError as error:
        raise RunError(
            f"'{path}': {error.strerror or error}: free space or choose another --out, then run again"
        ) from None


def check_writable(path: pathlib.Path) -> None:
    """Make the directory `path` and check that a file can be written in it, before any work is done in vain.

    The check writes 4,096 bytes to a temporary file.

    Raises:
      RunError: the directory cannot be made or written.
    """
    with disk_errors(path):
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path) as file:
            file.write(b"0" * 4096)


@contextlib.contextmanager
def replacing(path: pathlib.Path) -> Iterator[pathlib.Path]:
    """Yield a temporary path to write to, and move it to `path` afterwards.

    The temporary file replaces `path` only if the body of the `with` statement succeeds. Otherwise it is removed, and
    `path` stays as it was.

    Raises:
      RunError: the disk cannot be written.
    """
    partial = path.with_name(f".partial-{path.name}")
    try:
        with disk_errors(path):
            yield partial
            partial.replace(path)
    finally:
        with contextlib.suppress(OSError):
            partial.unlink()


def read_json(path: pathlib.Path) -> dict[str, Any]:
    """Read one JSON object from the file `path`.

    Raises:
      RunError: the file cannot be read, is not valid JSON, or holds something other than an object.
    """
    try:
        with path.open() as file:
            values = json.loads(file.read(JSON_BYTES))
    except (OSError, ValueError, RecursionError) as error:
        raise RunError(f"'{path}' cannot be read: {error}") from None
    if not isinstance(values, dict):
        raise RunError(f"'{path}': expected a JSON object, received {type(values).__name__}")
    return values
