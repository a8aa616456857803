"""List the runs of a sweep: the state of each, and about how long it will take."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Sequence

from tfcollapse.config.declaration import Run
from tfcollapse.data.dataset import expected_shape
from tfcollapse.errors import RunError
from tfcollapse.records.files import kind
from tfcollapse.records.run_directory import RunDirectory
from tfcollapse.studies.cost import seconds_left
from tfcollapse.studies.told_apart import told_apart
from tfcollapse.training.checkpoint import steps
from tfcollapse.training.progress import duration


def lines(runs: Sequence[Run], out: pathlib.Path, data_dir: str | os.PathLike[str] | None) -> list[str]:
    """Return a line for each run, with index, state, time still needed and id, and then a line with the sum.

    Where the ids of several runs differ in their last part alone, the values that are not the defaults and in which
    these runs differ follow. The state of a run whose record cannot be read is "damaged".

    No image is read.

    Args:
      runs: the runs, whose order gives the indices.
      out: the directory of run directories.
      data_dir: the directory of TFDS, or None.

    Raises:
      UserError: `out` or `data_dir` cannot be read.
    """
    directories, times = _estimates(runs, out, data_dir)
    rows = zip(range(len(runs)), map(_state, directories), directories, times, runs, strict=True)
    text = [
        f"{index:4d}  {state:16}  {'-' if state == 'damaged' else _time(directory, seconds):>9}  {run.run_id}"
        for index, state, directory, seconds, run in rows
    ]
    more = told_apart(runs)
    return [*(f"{line}{more[run]}" for line, run in zip(text, runs, strict=True)), _sum(times)]


def time_left(runs: Sequence[Run], out: pathlib.Path, data_dir: str | os.PathLike[str] | None) -> str:
    """Return in words about how long the runs will still take together. The arguments are those of `lines`.

    Raises:
      UserError: as `lines`.
    """
    return _sum(_estimates(runs, out, data_dir)[1])


def _estimates(
    runs: Sequence[Run], out: pathlib.Path, data_dir: str | os.PathLike[str] | None
) -> tuple[list[RunDirectory], list[float | None]]:
    """Return the directory of each run, and the seconds that it still needs, as `seconds_left` does."""
    kind(out, follow=True)  # a place that cannot be looked at holds no damaged runs
    directories = [RunDirectory(out / run.run_id, run) for run in runs]
    shapes = {run.data: expected_shape(run.data, data_dir) for run in runs}
    return directories, seconds_left(runs, directories, [shapes[run.data] for run in runs])


def _sum(times: Sequence[float | None]) -> str:
    """Return in words how long all runs take, and of how many that is not known."""
    estimates = [seconds for seconds in times if seconds is not None]
    missing = len(times) - len(estimates)
    parts = []
    if estimates and not sum(estimates):
        parts.append("no training is left")
    elif estimates:
        order = ", the sum over all runs" if len(times) > 1 else ""
        parts.append(f"about {duration(max(1.0, sum(estimates)))} of training left on this machine{order}")
    if missing:
        whose = "the run, whose" if len(times) == 1 else f"{missing} runs, whose"
        parts.append(f"no estimate for {whose} images are not prepared here")
    return "; ".join(parts)


def _state(directory: RunDirectory) -> str:
    try:
        _, reached = directory.last_metrics, steps(directory.checkpoints)
    except RunError:
        return "damaged"
    if directory.state is not None:
        return directory.state
    return f"at step {reached[-1]}" if reached else "not begun"


def _time(directory: RunDirectory, seconds: float | None) -> str:
    if directory.state is not None:
        return "-"
    return "?" if seconds is None else f"~{duration(seconds)}"
