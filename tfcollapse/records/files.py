"""Write files whole or not at all, and read JSON, with one clear line where the disk or the file is at fault."""

from __future__ import annotations

import contextlib
import json
import pathlib
import tempfile
from collections.abc import Iterator
from typing import Any

from tfcollapse.errors import RunError

JSON_BYTES = 64 << 20
"""No record is larger; what is cut there is no JSON."""


@contextlib.contextmanager
def disk_errors(path: pathlib.Path) -> Iterator[None]:
    """Turn a full, read-only or forbidden disk into one clear line."""
    try:
        yield
    except OSError as error:
        raise RunError(
            f"'{path}': {error.strerror or error}: free space or choose another --out, then run again"
        ) from None


def check_writable(path: pathlib.Path) -> None:
    """Make the directory `path` and write a little there. Raises RunError before any work is done in vain."""
    with disk_errors(path):
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path) as file:
            file.write(b"0" * 4096)


@contextlib.contextmanager
def replacing(path: pathlib.Path) -> Iterator[pathlib.Path]:
    """A path to write to, which becomes `path` when all went well and vanishes otherwise. Raises RunError."""
    partial = path.with_name(f".partial-{path.name}")
    try:
        with disk_errors(path):
            yield partial
            partial.replace(path)
    finally:
        with contextlib.suppress(OSError):
            partial.unlink()


def read_json(path: pathlib.Path) -> dict[str, Any]:
    """A JSON object from `path`. Raises RunError for anything else."""
    try:
        with path.open() as file:
            values = json.loads(file.read(JSON_BYTES))
    except (OSError, ValueError, RecursionError) as error:
        raise RunError(f"'{path}' cannot be read: {error}") from None
    if not isinstance(values, dict):
        raise RunError(f"'{path}': expected a JSON object, received {type(values).__name__}")
    return values
