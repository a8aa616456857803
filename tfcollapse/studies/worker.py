"""Train runs in a worker process that is pinned to some cores, and survive what stops them."""

from __future__ import annotations

import contextlib
import pathlib
import traceback
from collections.abc import Callable, Mapping
from typing import Any

from tfcollapse.backend import thread_settings
from tfcollapse.child_process import ChildProcess
from tfcollapse.config.declaration import Run
from tfcollapse.errors import UserError
from tfcollapse.records.provenance import commit
from tfcollapse.records.run_directory import Row, RunDirectory
from tfcollapse.training.preemption import DEADLINE

_ENDING = 3.0
"""Seconds in which a process has ended after its deadline."""


class Worker:
    """Hold a process that trains the groups of runs that it is sent.

    Args:
      cores: the numbers of the cores to which the process is pinned; None for all.
      threads: the number of threads on which its runs compute.
      out: the directory of run directories.
      options: `data_dir`, `strategy` and `devices`, as `tfcollapse.train` takes them.

    Attributes:
      connection: where the process sends its messages; `listen` reads one.
      process: the process itself.
    """

    def __init__(self, cores: list[int] | None, threads: int, out: pathlib.Path, options: Mapping[str, Any]):
        self.cores, self.threads, self.out, self.options = cores, threads, out, options
        self.runs: dict[str, Run] = {}
        self.process = ChildProcess(train_groups, out, options, cores=cores, environment=thread_settings(threads))
        self.connection = self.process.connection

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
            self.process.wait()
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
            self.process.wait()
            reason = f"its worker process died (exit code {self.process.exit_code}); run again to resume it"
            message = [{"run_id": run_id, "status": "error", "reason": reason} for run_id in self.runs]
        if not isinstance(message, list):
            report(message)
            return self
        for result in message:
            if result["status"] == "error":
                lost[result["run_id"]] = result["reason"]
            ended(self.runs[result["run_id"]], result)
        if self.process.exit_code is not None:
            if not waiting:
                return None
            successor = Worker(self.cores, self.threads, self.out, self.options)
            return successor if successor.begin_next(waiting) else None
        return self if self.begin_next(waiting) else None


def train_groups(connection: Any, out: pathlib.Path, options: Mapping[str, Any]) -> None:
    """Train in a child process each group of runs that the connection brings, and send progress and results over it.

    The process ends at an empty group. Where the parent has ended, nobody reads, and SIGTERM is on its way.
    """
    commit()  # cached here, since the sweep goes on with this code whatever is committed later

    def send(message: Any) -> None:
        with contextlib.suppress(OSError):
            connection.send(message)

    with contextlib.suppress(EOFError, OSError):
        while group := connection.recv():
            send(attempt(group, out, send, **options))


def attempt(runs: list[Run], out: pathlib.Path, report: Callable[[Any], None], **options: Any) -> list[Row]:
    """Train runs in this process, and return their results.

    An exception does not leave this function. It becomes the result of every run: status "error", and the reason.
    A run whose directory is locked is waited for as long as a worker may take to end whose sweep was killed.

    Args:
      runs: one run, or several that differ in their seeds alone.
      out: the directory of run directories.
      report: receives each `Progress`.
      options: as for `Worker`.
    """
    from tfcollapse.training import strategy

    try:
        for run in runs:
            RunDirectory(out / run.run_id, run).await_release(DEADLINE + _ENDING)
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
