"""Train many runs on one machine, by a pool of worker processes."""

from __future__ import annotations

import multiprocessing.connection
import os
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tfcollapse.backend import backend
from tfcollapse.config.declaration import Run
from tfcollapse.errors import ConfigError
from tfcollapse.records.run_directory import Row, RunDirectory
from tfcollapse.records.table import tidy_row
from tfcollapse.studies.schedule import auto_jobs, auto_together, longest_last, seed_groups, unfinished
from tfcollapse.studies.worker import Worker


def sweep(
    runs: Sequence[Run],
    out: str | os.PathLike[str],
    *,
    jobs: int | None = None,
    data_dir: str | os.PathLike[str] | None = None,
    report: Callable[[Any], None] = lambda progress: None,
    ended: Callable[[Run, Row], None] = lambda run, result: None,
    placement: Mapping[str, str | None] | None = None,
    together: int | None = None,
) -> list[Row]:
    """Train those of `runs` that are not finished, and return a tidy row for each of `runs`, in their order.

    A run that fails, or whose worker dies, does not stop the others.

    Args:
      runs: the runs.
      out: the directory of run directories.
      jobs: the number of worker processes; None takes `auto_jobs`.
      data_dir: the directory of TFDS, as `train` takes it.
      report: called with each `Progress`.
      ended: called with each run that ended and its result.
      placement: `strategy` and `devices` of every run, as `train` takes them.
      together: the number of seeds of a cell that a worker trains as one program (JAX); None takes `auto_together`.

    Raises:
      ConfigError: several seeds are to train as one program without JAX.
      RunError: a run's directory is another run's.
    """
    out = pathlib.Path(out)
    runs_left = longest_last(unfinished(runs, out))
    if (together or 1) > 1 and backend() != "jax":
        raise ConfigError(f"--together: expected KERAS_BACKEND=jax for {together} seeds as one, received tensorflow")
    waiting = seed_groups(runs_left, together or auto_together(runs_left))
    cores = sorted(os.sched_getaffinity(0))
    count = min(jobs or auto_jobs(runs_left, len(cores)), len(waiting))
    share = max(1, len(cores) // max(1, count))
    options = {"data_dir": data_dir, **(placement or {})}
    lost: dict[str, str] = {}
    workers: dict[Any, Worker] = {}
    try:
        for number in range(count):
            first = number * share % len(cores)
            worker = Worker(cores[first : first + share], out, options)
            if worker.begin_next(waiting):
                workers[worker.connection] = worker
        while workers:
            for connection in multiprocessing.connection.wait(list(workers)):
                successor = workers.pop(connection).listen(waiting, report, ended, lost)
                if successor is not None:
                    workers[successor.connection] = successor
    finally:
        for worker in workers.values():
            worker.process.terminate()  # it saves its run first, which goes on from there another time
        for worker in workers.values():
            worker.process.join()
    return tidy_rows(runs, out, lost)


def tidy_rows(runs: Sequence[Run], out: pathlib.Path, lost: Mapping[str, str]) -> list[Row]:
    """Return a tidy row for each run. A run in `lost`, by run id, has status "error" and that reason."""
    rows = []
    for run in runs:
        row = tidy_row(RunDirectory(out / run.run_id, run))
        if run.run_id in lost:
            row |= {"status": "error", "reason": lost[run.run_id]}
        rows.append(row)
    return rows
