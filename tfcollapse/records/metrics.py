"""Read the metrics of a run: a CSV file of numbers, packed or not."""

from __future__ import annotations

import csv
import io
import itertools
import math
import pathlib
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from tfcollapse.errors import RunError
from tfcollapse.records import remedies
from tfcollapse.records.run_files import table_bytes
from tfcollapse.records.schema import LARGEST


def read_metrics(path: pathlib.Path) -> list[dict[str, float]]:
    """Return the complete rows of metrics.csv, or of metrics.csv.gz beside it; none where there is neither.

    The last row of a run that has been killed may be incomplete, and is left out.

    Args:
      path: of metrics.csv, whether it exists or only its packed form.

    Raises:
      RunError: the file cannot be read, or a value is no number up to `schema.LARGEST`.
    """
    content = table_bytes(path.parent, path.name)
    if content is None:
        return []
    try:
        text = io.StringIO(content.decode())
        rows = [row for row in csv.DictReader(text) if None not in row and None not in row.values()]
        return [{name: _number(value) for name, value in row.items()} for row in rows]
    except (ValueError, csv.Error) as error:
        raise RunError(f"'{path}': expected numbers, as a run writes them: {error}: {remedies.RESTORE}") from None


_LEAST_ROWS = 10
"""The fewest rows to which `late_fall` fits a line: of fewer the noise is not known."""


def late_fall(rows: Sequence[Mapping[str, float]]) -> tuple[float, float] | None:
    """Return by which share the reconstruction error fell over the last tenth of a run's steps, and the standard error.

    A line is fitted to the errors of the training batches. Its fall is divided by their mean. A negative fall is a
    rise. The error is taken for VAEs too: their loss has no zero that a share could refer to.

    Args:
      rows: the rows of metrics.csv of the whole run, in order of steps.

    Returns:
      None where fewer than ten rows lie in the last tenth of the steps.
    """
    last = rows[-1]["step"] if rows else 0.0
    late = [row for row in rows if row["step"] > 0.9 * last and "reconstruction_error" in row]
    if len(late) < _LEAST_ROWS:
        return None
    steps, errors = (np.array([row[name] for row in late]) for name in ("step", "reconstruction_error"))
    (slope, _), covariance = np.polyfit(steps / last, errors, 1, cov=True)
    scale = 0.1 / errors.mean()
    return float(-slope * scale), float(np.sqrt(covariance[0, 0]) * scale)


def gamma_pace(
    rows: Sequence[Mapping[str, float]], error: float, held: int = 0, updates: Callable[[float], float] = float
) -> float | None:
    """Return how fast log gamma still moves towards log error, as a share of the learning rate at every update.

    It is measured over the last tenth of a run's steps. Adam moves a number by about the learning rate an update where
    its gradient keeps its sign. So 1 is a gamma that is on its way, 0 one that stands, and less than 0 one that moves
    away.

    Args:
      rows: the rows of metrics.csv of the whole run, in order of steps.
      error: the error per pixel that the run ended with, which gamma should equal by eq. (10).
      held: the number of steps at the start in which gamma is held.
      updates: the number of gamma's updates by the end of a step.

    Returns:
      None where there are no two rows to compare, or gamma may not move between them: the learning rate is 0, or the
      encoder is ahead.
    """
    rows = [row for row in rows if row.get("gamma", 0.0) > 0 and "learning_rate" in row]
    begin = max(0.9 * rows[-1]["step"], held) if rows else 0.0
    before = [row for row in rows if row["step"] <= begin]
    part = [*(before[-1:] or rows[:1]), *(row for row in rows if row["step"] > begin)]
    if len(part) < 2 or part[0]["step"] == part[-1]["step"]:
        return None
    start, *_, end = (math.log(row["gamma"]) for row in part)
    allowed = sum(
        after["learning_rate"] * (updates(after["step"]) - updates(row["step"]))
        for row, after in itertools.pairwise(part)
    )
    return math.copysign(1.0, math.log(error) - end) * (end - start) / allowed if allowed else None


def _number(text: str) -> float:
    value = float(text)
    if not abs(value) <= LARGEST:  # NaN, which every comparison refuses, too
        raise ValueError(f"received '{text}'")
    return value
