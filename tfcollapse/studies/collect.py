"""Keep what lasts of a sweep: the records of the runs that have ended, without weights and checkpoints."""

from __future__ import annotations

import gzip
import pathlib
import shlex
import shutil
from collections.abc import Sequence

from tfcollapse.config.declaration import Run
from tfcollapse.errors import ConfigError, RunError
from tfcollapse.records.files import disk_errors, replacing
from tfcollapse.records.run_directory import Row, RunDirectory
from tfcollapse.records.table import tidy_row

PLAIN = ("config.json", "environment.json", "result.json")
PACKED = ("metrics.csv", "diagnostics.csv")
"""Kept as .csv.gz, without a time stamp, so that equal records are equal files."""


def collect(runs: Sequence[Run], source: pathlib.Path, target: pathlib.Path) -> tuple[list[Row], list[str]]:
    """Copy the records of those of `runs` that have ended in `source` to `target`.

    A record that is in `target` alone, from an earlier time, counts as well. Nothing is trained, and a sweep that
    writes to `source` meanwhile is not disturbed: a run has ended where its result is, which is written last.

    Returns:
      A tidy row for each run, and why a record was not copied, for each that is damaged or of another run.

    Raises:
      ConfigError: no run has ended in either.
      RunError: a damaged record in `target`, a disk that cannot be written.
    """
    damaged = []
    for run in runs:
        try:
            ended = _ended(RunDirectory(source / run.run_id, run))
        except RunError as error:
            damaged.append(str(error))
            continue
        if ended:
            _keep(source / run.run_id, target / run.run_id)
    rows = [tidy_row(RunDirectory(target / run.run_id, run)) for run in runs]
    if all(row["status"] == "unfinished" for row in rows):
        raise ConfigError(f"--collect: expected runs that have ended in '{source}' or '{target}', found none")
    return rows, damaged


def _ended(directory: RunDirectory) -> bool:
    """Whether a run has ended. Raises RunError where its record is not as a run writes it."""
    row = tidy_row(directory)
    if row["status"] == "finished" and not isinstance(row["train_error"], float):
        raise RunError(f"run directory '{directory.path}': its result has no training error")
    return row["status"] in ("finished", "failed")


def lasting_command(command: str) -> str:
    """The command that trains what `command` collects: the same without --collect and its directory."""
    words = shlex.split(command)
    for place, word in enumerate(words):
        if word.startswith("--co"):
            return shlex.join(words[:place] + words[place + (1 if "=" in word else 2) :])
    return command


def _keep(source: pathlib.Path, target: pathlib.Path) -> None:
    with disk_errors(target):
        target.mkdir(parents=True, exist_ok=True)
    for name in PACKED:
        if (source / name).exists():  # a run that failed at once has none
            with replacing(target / f"{name}.gz") as partial:
                partial.write_bytes(gzip.compress((source / name).read_bytes(), mtime=0))
    for name in PLAIN:
        with replacing(target / name) as partial:
            shutil.copyfile(source / name, partial)
