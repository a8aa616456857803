"""Read and copy the files of a run's directory, and tell whether they are those that its result was made with."""

from __future__ import annotations

import contextlib
import csv
import gzip
import hashlib
import io
import pathlib
import zlib
from collections.abc import Iterator
from typing import IO

from tfcollapse.errors import RunError
from tfcollapse.records import files, remedies
from tfcollapse.records.files import JSON_BYTES, disk_errors, open_regular, read_json, replacing

MODEL = "model.keras"
"""The name of the trained model's file."""

TABLES = ("metrics.csv", "diagnostics.csv")
"""The names of the CSV files that a run writes while it trains."""

_TABLE_BYTES = 1 << 26
"""The most bytes in such a file. No run writes more."""


def as_text(file: IO[bytes]) -> io.TextIOWrapper:
    """Return an opened CSV file as text. Its lines keep their ends, as the module csv asks."""
    return io.TextIOWrapper(file, encoding="utf-8", newline="")


@contextlib.contextmanager
def foreign(path: pathlib.Path) -> Iterator[None]:
    """Turn a CSV file that no run wrote into one clear line. Raises RunError."""
    try:
        yield
    except (ValueError, KeyError, IndexError, csv.Error) as error:
        raise RunError(f"'{path}' is not as a run writes it ({error}): {remedies.RESTORE}") from None


def table_bytes(path: pathlib.Path, name: str) -> bytes | None:
    """Return a CSV file of the run directory `path`, packed or not; None where there is neither.

    Args:
      path: the run's directory.
      name: "metrics.csv" or "diagnostics.csv".

    Raises:
      RunError: the file cannot be read, is too long, or is not the one that the run's result is of.
    """
    whole, packed = path / name, path / f"{name}.gz"
    place = whole if files.kind(whole) is not None else packed
    if files.kind(place) is None:
        return None
    try:
        with open_regular(place) as file:
            opened = gzip.GzipFile(fileobj=file) if place is packed else file
            content = opened.read(_TABLE_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise RunError(f"'{place}' cannot be read: {error}: {remedies.RESTORE}") from None
    if len(content) > _TABLE_BYTES:
        raise RunError(f"'{place}': expected at most {_TABLE_BYTES} bytes, received more")
    check_content(path, name, hashlib.sha256(content).hexdigest())
    return content


def check_content(path: pathlib.Path, name: str, received: str) -> None:
    """Check that the file `name` is the one that result.json of the run directory `path` was made with.

    A run without a result, and one that an earlier version trained, have nothing to compare.

    Args:
      path: the run's directory.
      name: of the file.
      received: its sha256.

    Raises:
      RunError: the result cannot be read, or names another sha256.
    """
    if files.kind(path / "result.json") is None:
        return
    sums = read_json(path / "result.json").get("sha256", {})
    expected = sums.get(name, received) if isinstance(sums, dict) else received
    if expected != received:
        raise RunError(
            f"'{path / name}' is not this run's: expected the sha256 {str(expected)[:12]} that its result.json names, "
            f"received {received[:12]}: restore it, or move both away, and train the run again"
        )


def copy_record(source: pathlib.Path, target: pathlib.Path) -> None:
    """Copy what lasts of the run directory `source` to `target`: all but the weights and the checkpoints.

    The CSV files are packed as .csv.gz, without a time stamp, so that equal records are equal files.

    Raises:
      RunError: a file of `source` cannot be read or is not the run's, or the disk cannot be written.
    """
    contents = {f"{name}.gz": table_bytes(source, name) for name in TABLES}
    packed = {name: gzip.compress(content, mtime=0) for name, content in contents.items() if content is not None}
    for name in ("config.json", "environment.json", "result.json"):
        with open_regular(source / name) as file:
            packed[name] = file.read(JSON_BYTES)
    with disk_errors(target):
        target.mkdir(parents=True, exist_ok=True)
    files.check_directory(target)
    for name, content in packed.items():  # a run that failed in its first steps has no CSV files
        with replacing(target / name) as partial:
            partial.write_bytes(content)
