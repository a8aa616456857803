"""Train many runs on one machine, by a pool of worker processes."""

from __future__ import annotations

import multiprocessing.connection
import os
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tfcollapse.backend import backend
from tfcollapse.config.declaration import Run
from tfcollapse.errors import ConfigError, RunError
from tfcollapse.records.run_directory import Row, RunDirectory
from tfcollapse.records.table import tidy_row
from tfcollapse.studies.schedule import auto_jobs, auto_together, by_threads, longest_last, seed_groups, unfinished
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
    threads: int | None = None,
) -> list[Row]:
    """Train those of `runs` that are not finished, and return a tidy row for each of `runs`, in their order.

    A run that fails, whose worker dies or whose record is damaged does not stop the others. Runs of many threads go
    first, and those of as many threads train side by side.

    Args:
      runs: the runs.
      out: the directory of run directories.
      jobs: the number of worker processes; None takes `auto_jobs`. A new run has that share of the cores at most.
      data_dir: the directory of TFDS, as `train` takes it.
      report: called with each `Progress`.
      ended: called with each run that ended and its result.
      placement: `strategy` and `devices` of every run, as `train` takes them.
      together: the number of seeds of a cell that a worker trains as one program (JAX); None takes `auto_together`.
      threads: on how many threads a run computes that has not begun; None takes `threads_of`.

    Raises:
      ConfigError: several seeds are to train as one program without JAX.
    """
    out, cores = pathlib.Path(out), sorted(os.sched_getaffinity(0))
    if (together or 1) > 1 and backend() != "jax":
        raise ConfigError(f"--together: expected KERAS_BACKEND=jax for {together} seeds as one, received tensorflow")
    options = {"data_dir": data_dir, **(placement or {})}
    one_device = options.get("devices") is None and options.get("strategy", "auto") in ("auto", "one")
    lost: dict[str, str] = {}
    share = threads or max(1, len(cores) // (jobs or 1))
    for count, group in by_threads(unfinished(runs, out), out, share, one_device=one_device and threads is None):
        waiting = seed_groups(longest_last(group), together or auto_together(group))
        workers = [
            Worker(_share_of(cores, number, count), count, out, options)
            for number in range(min(jobs or auto_jobs(count, len(cores)), len(waiting)))
        ]
        _train(workers, waiting, report, ended, lost)
    return tidy_rows(runs, out, lost)


def _share_of(cores: list[int], number: int, count: int) -> list[int]:
    """Return the `count` cores of the worker of that number. Where there are too few, workers share them."""
    return [cores[(number * count + place) % len(cores)] for place in range(min(count, len(cores)))]


def _train(workers: list[Worker], waiting: list[list[Run]], report: Any, ended: Any, lost: dict[str, str]) -> None:
    """Let workers train the groups of runs that wait, until none is left. See `Worker.listen`."""
    busy: dict[Any, Worker] = {}
    try:
        for worker in workers:
            if worker.begin_next(waiting):
                busy[worker.connection] = worker
        while busy:
            for connection in multiprocessing.connection.wait(list(busy)):
                successor = busy.pop(connection).listen(waiting, report, ended, lost)
                if successor is not None:
                    busy[successor.connection] = successor
    finally:
        for worker in busy.values():
            worker.process.terminate()  # it saves its run first, which goes on from there another time
        for worker in busy.values():
            worker.process.wait()


def tidy_rows(runs: Sequence[Run], out: pathlib.Path, lost: Mapping[str, str]) -> list[Row]:
    """Return a tidy row for each run.

    A run that has not ended and is in `lost`, by run id, has status "error" and that reason; so has one whose record is
    damaged.
    """
    return [_row(RunDirectory(out / run.run_id, run), lost.get(run.run_id)) for run in runs]


def _row(directory: RunDirectory, reason: str | None) -> Row:
    try:
        row = tidy_row(directory)
    except RunError as error:  # a record that is damaged costs its own run alone
        row = tidy_row(RunDirectory(directory.path / "no record", directory.run))
        reason = str(error)
    lost = reason is not None and row["status"] == "unfinished"  # else another process has ended it in the meantime
    return row | ({"status": "error", "reason": reason} if lost else {})
