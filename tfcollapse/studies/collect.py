"""Keep what lasts of a sweep: the records of the runs that have ended, without weights and checkpoints."""

from __future__ import annotations

import pathlib
import shlex
from collections.abc import Sequence

from tfcollapse.config.declaration import Run
from tfcollapse.errors import ConfigError, RunError
from tfcollapse.records.run_directory import Row, RunDirectory
from tfcollapse.records.run_files import copy_record
from tfcollapse.records.table import check_same_sweep, tidy_row, write_table


def collect(
    runs: Sequence[Run], source: pathlib.Path, target: pathlib.Path, table_path: pathlib.Path, command: str
) -> tuple[list[Row], list[str]]:
    """Copy the records of those of `runs` that have ended in `source` to `target`, and write their table.

    A record that is in `target` alone, from an earlier time, counts as well. Nothing is trained. A sweep that writes to
    `source` at the same time is not disturbed, since a run has ended where its result is, which is written last.

    Args:
      runs: all runs of the sweep.
      source, target: directories of run directories.
      table_path: where the table is written.
      command: the command line that trains the sweep, which every row names.

    Returns:
      A tidy row for each run; and for each record that was damaged or of another run, why it was not copied.

    Raises:
      ConfigError: no run has ended in either directory.
      RunError: a record in `target` is damaged, the table is another sweep's, or the disk cannot be written.
    """
    check_same_sweep(table_path, runs)
    damaged = []
    for run in runs:
        directory = RunDirectory(source / run.run_id, run)
        try:
            row = tidy_row(directory)
            if row["status"] == "finished" and not isinstance(row["train_error"], float):
                raise RunError(f"run directory '{directory.path}': its result has no training error")
        except RunError as error:
            damaged.append(str(error))
            continue
        if row["status"] in ("finished", "failed"):
            copy_record(directory.path, target / run.run_id)
    rows = [tidy_row(RunDirectory(target / run.run_id, run)) for run in runs]
    if all(row["status"] == "unfinished" for row in rows):
        raise ConfigError(f"--collect: expected runs that have ended in '{source}' or '{target}', found none")
    write_table(table_path, [row | {"command": command} for row in rows])
    return rows, damaged


def lasting_command(command: str) -> str:
    """Return the command that trains what `command` collects: the same without --collect and its directory."""
    words = shlex.split(command)
    for place, word in enumerate(words):
        if word.startswith("--co"):
            return shlex.join(words[:place] + words[place + (1 if "=" in word else 2) :])
    return command
