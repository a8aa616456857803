"""What `tfcollapse sweep --list` says: each run's state, and about how long it will take."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Sequence

from tfcollapse.config.declaration import Run
from tfcollapse.data.dataset import expected_shape
from tfcollapse.records.run_directory import RunDirectory
from tfcollapse.studies.cost import seconds_left
from tfcollapse.studies.display import duration
from tfcollapse.training.checkpoint import steps


def lines(runs: Sequence[Run], out: pathlib.Path, data_dir: str | os.PathLike[str] | None) -> list[str]:
    """One line a run: index, state, seconds still needed, id; then the sum. No image is read."""
    directories = [RunDirectory(out / run.run_id, run) for run in runs]
    shapes = {run.data: expected_shape(run.data, data_dir) for run in runs}
    times = seconds_left(runs, directories, [shapes[run.data] for run in runs])
    rows = zip(range(len(runs)), directories, times, runs, strict=True)
    text = [
        f"{index:4d}  {_state(directory):16}  {_time(directory, seconds):>9}  {run.run_id}"
        for index, directory, seconds, run in rows
    ]
    known = [seconds for seconds in times if seconds is not None]
    unknown = len(times) - len(known)
    parts = [f"about {duration(sum(known))} of training left, one run at a time on this machine"] if known else []
    if unknown:
        parts.append(f"no estimate for {unknown} runs, whose images are not prepared here")
    return [*text, "; ".join(parts)]


def _state(directory: RunDirectory) -> str:
    if directory.result:
        return directory.result["status"]
    reached = steps(directory.checkpoints)
    return f"at step {reached[-1]}" if reached else "not begun"


def _time(directory: RunDirectory, seconds: float | None) -> str:
    if directory.result:
        return "-"
    return "?" if seconds is None else f"~{duration(seconds)}"
