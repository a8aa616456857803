"""Train runs in a worker process that is pinned to some cores, and survive what stops them."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pathlib
import signal
import traceback
from collections.abc import Callable, Mapping
from typing import Any

from tfcollapse.config.declaration import Run
from tfcollapse.errors import UserError
from tfcollapse.records.provenance import commit
from tfcollapse.records.run_directory import Row

_SPAWN = multiprocessing.get_context("spawn")  # TensorFlow does not survive a fork


class Worker:
    """Hold a process that trains the groups of runs that it is sent.

    Args:
      cores: the numbers of the cores to which the process is pinned.
      out: the directory of run directories.
      options: `data_dir`, `strategy` and `devices`, as `tfcollapse.train` takes them.

    Attributes:
      connection: where the process sends its messages; `listen` reads one.
      process: the process itself.
    """

    def __init__(self, cores: list[int], out: pathlib.Path, options: Mapping[str, Any]):
        self.cores, self.out, self.options = cores, out, options
        self.runs: dict[str, Run] = {}
        self.connection, child_connection = _SPAWN.Pipe()
        self.process = _SPAWN.Process(target=_work, args=(child_connection, cores, out, options), daemon=True)
        self.process.start()
        child_connection.close()

    def begin_next(self, waiting: list[list[Run]]) -> bool:
        """Send the last group of `waiting` to the process, or end the process where none is left.

        Returns:
          Whether there was a group.
        """
        group = waiting.pop() if waiting else []
        self.runs = {run.run_id: run for run in group}
        with contextlib.suppress(BrokenPipeError):
            self.connection.send(group)
        if not group:
            self.process.join()
        return bool(group)

    def listen(self, waiting: list[list[Run]], report: Any, ended: Any, lost: dict[str, str]) -> Worker | None:
        """Handle one message of the process: a run's progress, or the results of its group.

        Args:
          waiting: the groups that are not begun; the next one is begun after results.
          report, ended: as for `tfcollapse.studies.sweep.sweep`.
          lost: receives the reason of each run that ended in an error, by run id.

        Returns:
          The worker that goes on: this one, a new one where this process died, or None where no group is left.
        """
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
            successor = Worker(self.cores, self.out, self.options)
            return successor if successor.begin_next(waiting) else None
        return self if self.begin_next(waiting) else None


def _work(connection: Any, cores: list[int], out: pathlib.Path, options: Mapping[str, Any]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches every process of the group, and the parent ends this
    os.sched_setaffinity(0, cores)  # before TensorFlow counts its threads
    commit()  # cached here, since the sweep goes on with this code whatever is committed later
    while group := connection.recv():
        connection.send(attempt(group, out, connection.send, **options))


def attempt(runs: list[Run], out: pathlib.Path, report: Callable[[Any], None], **options: Any) -> list[Row]:
    """Train runs in this process, and return their results.

    An exception does not leave this function. It becomes the result of every run: status "error", and the reason.

    Args:
      runs: one run, or several that differ in their seeds alone.
      out: the directory of run directories.
      report: receives each `Progress`.
      options: as for `Worker`.
    """
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
