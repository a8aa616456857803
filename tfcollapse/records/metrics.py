"""Read the metrics of a run: a CSV file of numbers, packed or not."""

from __future__ import annotations

import csv
import io
import math
import pathlib

from tfcollapse.errors import RunError
from tfcollapse.records.run_files import table_bytes


def read_metrics(path: pathlib.Path) -> list[dict[str, float]]:
    """Return the complete rows of metrics.csv, or of metrics.csv.gz beside it; none where there is neither.

    The last row of a run that has been killed may be incomplete, and is left out.

    Args:
      path: of metrics.csv, whether it exists or only its packed form.

    Raises:
      RunError: the file cannot be read, or a value is no finite number.
    """
    content = table_bytes(path.parent, path.name)
    if content is None:
        return []
    try:
        text = io.StringIO(content.decode())
        rows = [row for row in csv.DictReader(text) if None not in row and None not in row.values()]
        return [{name: _number(value) for name, value in row.items()} for row in rows]
    except (ValueError, csv.Error) as error:
        raise RunError(f"'{path}': expected numbers, as a run writes them: {error}: restore or remove it") from None


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"received '{text}'")
    return value
