"""Many runs: a pool of pinned worker processes, one run at a time each."""

from __future__ import annotations

import contextlib
import dataclasses
import multiprocessing
import multiprocessing.connection
import os
import pathlib
import signal
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tfcollapse.backend import backend
from tfcollapse.config.declaration import Run
from tfcollapse.errors import ConfigError, UserError
from tfcollapse.records.provenance import commit
from tfcollapse.records.run_directory import Row, RunDirectory
from tfcollapse.records.table import tidy_row
from tfcollapse.studies.cost import flops_per_step

_SPAWN = multiprocessing.get_context("spawn")  # TensorFlow does not survive a fork

_NOMINAL_SHAPE = (32, 32, 3)
"""The image shape by which the lengths of runs are compared before their images are known."""


def auto_jobs(runs: Sequence[Run], cores: int) -> int:
    """Choose how many runs to train at once.

    As many as there are cores, where one core is enough for every run (`Architecture.one_core`); one otherwise. One too
    where there is a GPU, because the first process takes its whole memory.
    """
    if _gpu():
        return 1
    return max(1, min(cores, len(runs))) if one_core_is_enough(runs) else 1


def one_core_is_enough(runs: Sequence[Run]) -> bool:
    """Say whether one core is enough for each of the runs."""
    return all(run.network.spec.one_core(run.network) for run in runs)


def auto_together(runs: Sequence[Run]) -> int:
    """How many seeds of a cell to train as one program: all of them with JAX on a GPU, which one run leaves idle.

    On two CPU cores two seeds as one take as long as one after the other (L = 2: 4.7 against 2 x 2.4 s, L = 10: 17
    against 2 x 8.5 s for 400 steps).
    """
    return len(runs) if backend() == "jax" and _gpu() else 1


def _gpu() -> bool:
    return os.environ.get("CUDA_VISIBLE_DEVICES") != "" and any(pathlib.Path("/dev").glob("nvidia[0-9]*"))


def seed_groups(runs: Sequence[Run], together: int) -> list[list[Run]]:
    """`runs`, those that differ in their seeds alone up to `together` at a time, else one by one; order is kept."""
    found: list[list[Run]] = []
    open_: dict[Run, list[Run]] = {}
    for run in runs:
        cell = dataclasses.replace(run, seed=0)
        if len(open_.get(cell, range(together))) >= together:
            open_[cell] = []
            found.append(open_[cell])
        open_[cell].append(run)
    return found


def unfinished(runs: Sequence[Run], out: pathlib.Path) -> list[Run]:
    """Those of `runs` that have not ended in `out`. Raises RunError for a directory of another run."""
    return [run for run in runs if RunDirectory(out / run.run_id, run).result is None]


def longest_last(runs: Sequence[Run]) -> list[Run]:
    """Sort runs by their FLOPs. The last one is to begin first, so that no core is idle at the end."""
    return sorted(runs, key=lambda run: run.training.steps * flops_per_step(run, _NOMINAL_SHAPE))


def rows_of(runs: Sequence[Run], out: pathlib.Path, lost: dict[str, str]) -> list[Row]:
    """A tidy row for each run; those that were `lost`, by run id, say why."""
    rows = []
    for run in runs:
        said = {"status": "error", "reason": lost[run.run_id]} if run.run_id in lost else {}
        rows.append(tidy_row(RunDirectory(out / run.run_id, run)) | said)
    return rows


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
    """Train what of `runs` is not finished, and return a tidy row for each, in their order.

    A run that fails, or whose worker dies, does not stop the others.

    Args:
      out: where the run directories lie.
      jobs: worker processes; None is `auto_jobs`.
      report: receives each `Progress`; ended: each run's result.
      placement: `strategy` and `devices` of every run, as `train` takes them.
      together: seeds of a cell that a worker trains as one program (JAX); None is `auto_together`.

    Raises:
      ConfigError: several together without JAX.
    """
    out = pathlib.Path(out)
    left = longest_last(unfinished(runs, out))
    if (together or 1) > 1 and backend() != "jax":
        raise ConfigError(f"--together: expected KERAS_BACKEND=jax for {together} seeds as one, received tensorflow")
    waiting = seed_groups(left, together or auto_together(left))
    cores = sorted(os.sched_getaffinity(0))
    count = min(jobs or auto_jobs(left, len(cores)), len(waiting))
    share = max(1, len(cores) // max(1, count))
    options = {"data_dir": data_dir, **(placement or {})}
    lost: dict[str, str] = {}
    workers: dict[Any, _Worker] = {}
    try:
        for number in range(count):
            first = number * share % len(cores)
            worker = _Worker(cores[first : first + share], out, options)
            if worker.begin_next(waiting):
                workers[worker.connection] = worker
        while workers:
            for connection in multiprocessing.connection.wait(list(workers)):
                worker = workers.pop(connection).listen(waiting, report, ended, lost)
                if worker is not None:
                    workers[worker.connection] = worker
    finally:
        for worker in workers.values():
            worker.process.terminate()  # it saves its run, which goes on from there another time
        for worker in workers.values():
            worker.process.join()
    return rows_of(runs, out, lost)


class _Worker:
    """A process that trains the runs it is sent, on its own cores."""

    def __init__(self, cores: list[int], out: pathlib.Path, options: Mapping[str, Any]):
        self.cores, self.out, self.options = cores, out, options
        self.runs: dict[str, Run] = {}
        self.connection, theirs = _SPAWN.Pipe()
        self.process = _SPAWN.Process(target=_work, args=(theirs, cores, out, options), daemon=True)
        self.process.start()
        theirs.close()

    def begin_next(self, waiting: list[list[Run]]) -> bool:
        """Begin the longest group that waits; with none left, end."""
        group = waiting.pop() if waiting else []
        self.runs = {run.run_id: run for run in group}
        with contextlib.suppress(BrokenPipeError):
            self.connection.send(group)
        if not group:
            self.process.join()
        return bool(group)

    def listen(self, waiting: list[list[Run]], report: Any, ended: Any, lost: dict[str, str]) -> _Worker | None:
        """Handle one message. Returns who goes on: this worker, another in its place, or None."""
        try:
            message = self.connection.recv()
        except (EOFError, OSError):
            self.process.join()
            reason = f"its worker process died (exit code {self.process.exitcode}); run again to resume it"
            message = [{"run_id": run_id, "status": "error", "reason": reason} for run_id in self.runs]
        if not isinstance(message, list):
            report(message)
            return self
        for result in message:
            if result["status"] == "error":
                lost[result["run_id"]] = result["reason"]
            ended(self.runs[result["run_id"]], result)
        if self.process.exitcode is not None:
            if not waiting:
                return None
            fresh = _Worker(self.cores, self.out, self.options)
            return fresh if fresh.begin_next(waiting) else None
        return self if self.begin_next(waiting) else None


def _work(connection: Any, cores: list[int], out: pathlib.Path, options: Mapping[str, Any]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent ends us
    os.sched_setaffinity(0, cores)  # before TensorFlow counts its threads
    commit()  # now: what is committed while the sweep goes on is not what it runs
    while group := connection.recv():
        connection.send(attempt(group, out, connection.send, **options))


def attempt(runs: list[Run], out: pathlib.Path, report: Callable[[Any], None], **options: Any) -> list[Row]:
    """Train runs in this process; whatever stops them is a result of status "error", and not the sweep's end."""
    from tfcollapse.training import strategy

    try:
        strategy.make(options.get("strategy", "auto"), options.get("devices"))
        from tfcollapse.training.trainer import train, train_together

        if len(runs) > 1:
            return train_together(runs, out, report=report, data_dir=options.get("data_dir"))
        return [train(runs[0], out, report=report, **options)]
    except UserError as error:
        reason = str(error)
    except Exception as error:  # noqa: BLE001 - one broken run must not end the sweep
        traceback.print_exc()
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
    return [{"run_id": run.run_id, "status": "error", "reason": reason} for run in runs]
