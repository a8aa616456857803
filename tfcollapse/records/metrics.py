"""Read the metrics of a run: a CSV file of numbers, packed or not."""

from __future__ import annotations

import csv
import gzip
import io
import math
import pathlib
import zlib

from tfcollapse.errors import RunError
from tfcollapse.records.files import kind, open_regular

_LARGEST = 1 << 26
"""The most characters in a metrics.csv. No run writes more."""


def read_metrics(path: pathlib.Path) -> list[dict[str, float]]:
    """Return the complete rows of metrics.csv, or of metrics.csv.gz beside it; none where there is neither.

    The last row of a run that has been killed may be incomplete, and is left out.

    Args:
      path: of metrics.csv, whether it exists or only its packed form.

    Raises:
      RunError: the file cannot be read, or a value is no finite number.
    """
    packed = path.with_name(f"{path.name}.gz")
    file = next((each for each in (path, packed) if kind(each) is not None), None)
    if file is None:
        return []
    try:
        rows = [row for row in csv.DictReader(io.StringIO(_text(file))) if None not in row and None not in row.values()]
        return [{name: _number(text) for name, text in row.items()} for row in rows]
    except (OSError, EOFError, ValueError, zlib.error, csv.Error) as error:
        raise RunError(f"'{file}': expected numbers, as a run writes them: {error}: restore or remove it") from None


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"received '{text}'")
    return value


def _text(file: pathlib.Path) -> str:
    with open_regular(file) as opened:
        unpacked = gzip.GzipFile(fileobj=opened) if file.suffix == ".gz" else opened
        text = unpacked.read(_LARGEST + 1).decode()
    if len(text) > _LARGEST:
        raise ValueError(f"received more than {_LARGEST} characters")
    return text
