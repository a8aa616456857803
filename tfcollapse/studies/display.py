"""Show the progress of runs: live lines on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

import rich.console
import rich.progress
import rich.table

from tfcollapse.config.declaration import Run
from tfcollapse.records.cell_columns import cell_columns
from tfcollapse.records.labels import short_label
from tfcollapse.records.run_directory import Row
from tfcollapse.records.statistics import dataset_without_version, name_of
from tfcollapse.studies.told_apart import told_apart
from tfcollapse.training.progress import duration

if TYPE_CHECKING:
    from tfcollapse.training.progress import Progress

PLAIN_SECONDS = 20.0
"""The least number of seconds between two plain lines of one run."""
_COLUMNS = (
    "seed",
    "status",
    "train_error",
    "test_error",
    "gamma",
    "active_units",
    "kl",
    "steps_per_second",
)


class Display:
    """Show each `Progress` as it arrives, inside a `with` statement.

    Args:
      runs: the runs that are to be trained.
      console: where to print; None makes a console on the standard output.
    """

    def __init__(self, runs: Sequence[Run], console: rich.console.Console | None = None):
        self.console = console or rich.console.Console(highlight=False, soft_wrap=True)
        self.labels = {
            run.run_id: f"{run.network.architecture} {run.network.depth} {run.objective.label} s{run.seed}{apart}"
            for run, apart in told_apart(runs).items()
        }
        self.ended_count = 0
        self.tasks: dict[str, Any] = {}
        self.last_line_times: dict[str, float] = {}
        self.live = rich.progress.Progress(
            rich.progress.TextColumn("{task.description}"),
            rich.progress.TextColumn("{task.completed:.0f}/{task.total:.0f}  {task.fields[numbers]}"),
            console=self.console,
            disable=not self.console.is_terminal,
        )

    def __enter__(self) -> Display:
        self.live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.live.__exit__(kind, error, trace)

    def update(self, progress: Progress) -> None:
        """Show where a run stands."""
        numbers = (
            f"{progress.steps_per_second:.3g} steps/s, {duration(progress.seconds_left)} left, "
            f"error {progress.reconstruction_error:.5f}, gamma {_cell(progress.gamma)}, "
            f"active {_cell(progress.active_units)}"
        )
        if not self.console.is_terminal:
            now = time.monotonic()
            if now - self.last_line_times.get(progress.run_id, 0.0) >= PLAIN_SECONDS:
                self.last_line_times[progress.run_id] = now
                self.console.print(f"{progress.run_id}: step {progress.step}/{progress.steps}, {numbers}")
            return
        if progress.run_id not in self.tasks:
            self.tasks[progress.run_id] = self.live.add_task(
                self.labels[progress.run_id], total=progress.steps, numbers=""
            )
        self.live.update(self.tasks[progress.run_id], completed=progress.step, numbers=numbers)

    def ended(self, run: Run, result: Row) -> None:
        """Print how a run ended."""
        self.ended_count += 1
        if run.run_id in self.tasks:
            self.live.remove_task(self.tasks.pop(run.run_id))
        error = result.get("train", {}).get("reconstruction_error")
        summary = f"error {error:.5f}, {duration(result['seconds'])}" if error is not None else result.get("reason", "")
        self.console.print(
            f"[{self.ended_count}/{len(self.labels)}] {run.run_id}: {result['status']}, {summary}", markup=False
        )

    def table(self, rows: list[Row]) -> None:
        """Print a table of tidy rows, one line a run, with the columns that tell the runs apart."""
        rows = [{**row, "objective": name_of(row), "dataset": dataset_without_version(row)} for row in rows]
        columns = list(dict.fromkeys(("depth", "objective", *cell_columns(rows), *_COLUMNS)))
        if all(row["status"] == "finished" for row in rows):
            columns.remove("status")  # so that it fits 80 columns
        table = rich.table.Table(box=None, padding=(0, 1, 0, 0), header_style="bold")
        for name in columns:
            table.add_column(short_label(name), no_wrap=True)
        for row in rows:
            table.add_row(*(_cell(row.get(name)) for name in columns))
        self.console.print(table)
        self.console.print(
            "train, test: squared error per pixel, eq. (8); active: latent units in use; KL: nats an image"
        )


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
