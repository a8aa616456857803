"""Hold one run's directory: lock it, write its files, and read them.

The files are config.json, environment.json, metrics.csv, diagnostics.csv, checkpoints/, model.keras and result.json.
result.json is written last: a run that has it has ended.
"""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import fcntl
import gzip
import json
import os
import pathlib
import platform
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, Any

from tfcollapse.config.declaration import Run
from tfcollapse.errors import ConfigError, RunError
from tfcollapse.records.files import JSON_BYTES, disk_errors, read_json, replacing
from tfcollapse.records.metrics import read_metrics
from tfcollapse.records.schema import ENVIRONMENT, RESULT, check

Row = dict[str, Any]
_DELETE = "delete it, and the same command makes it anew"


@dataclasses.dataclass(frozen=True)
class RunDirectory:
    """The files of one run.

    Attributes:
      path: the directory. `open` makes it where it is missing.
      run: the run's configuration.
    """

    path: pathlib.Path
    run: Run

    @property
    def checkpoints(self) -> pathlib.Path:
        """Return the directory of the checkpoints."""
        return self.path / "checkpoints"

    @contextlib.contextmanager
    def open(self) -> Iterator[RunDirectory]:
        """Lock the directory for writing, and write config.json where it is missing.

        Raises:
          RunError: another process has locked the directory, it cannot be written, or it belongs to another run.
        """
        with disk_errors(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            lock = (self.path / "lock").open("a+")
        with lock:
            with disk_errors(self.path):
                self._lock(lock)
            if not (self.path / "config.json").exists():
                self.write_json("config.json", json.loads(self.run.to_json()))
            self._check_config()
            yield self

    def _lock(self, lock: IO[str]) -> None:
        """Lock the directory, and write this process' number into the lock file.

        The kernel releases the lock when the process ends, so a killed process leaves no lock behind.
        """
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise RunError(
                f"run directory '{self.path}': another process is writing it ({lock.read(200).strip() or 'unknown'}); "
                "wait for it to end"
            ) from None
        lock.truncate(0)
        lock.write(f"process {os.getpid()} on {platform.node()}")
        lock.flush()

    def await_release(self, seconds: float) -> None:
        """Wait until no process holds the lock, so long at most. `open` says so where one still does."""
        end = time.monotonic() + seconds
        with contextlib.suppress(OSError), (self.path / "lock").open("rb") as lock:
            while time.monotonic() < end:
                try:
                    fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
                    return
                except BlockingIOError:
                    time.sleep(0.1)

    def _check_config(self) -> None:
        if read_config(self.path) != self.run:
            raise RunError(
                f"run directory '{self.path}' holds another run's configuration: expected {self.run.run_id}, "
                f"received {read_config(self.path).run_id}; choose another --out"
            )

    def write_json(self, name: str, values: Any) -> None:
        """Write `values` as JSON to the file `name`, whole or not at all.

        Raises:
          RunError: the disk cannot be written.
        """
        with replacing(self.path / name) as partial:
            partial.write_text(json.dumps(values, indent=1, sort_keys=True) + "\n")

    def append(self, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Append rows to the CSV file `name`, with a header where the file is new.

        Args:
          rows: at least one row; all rows have the keys of the first.

        Raises:
          RunError: the disk cannot be written.
        """
        path = self.path / name
        with disk_errors(self.path), path.open("a", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            if file.tell() == 0:
                writer.writeheader()
            writer.writerows(rows)

    def rewind(self, step: int) -> None:
        """Drop the CSV rows that a run resumed at `step` writes again: the rows after `step`, and incomplete rows.

        Raises:
          RunError: a file does not have the form that a run writes, or the disk cannot be written.
        """
        for name in ("metrics.csv", "diagnostics.csv"):
            path = self.path / name
            if not path.exists():
                continue
            with _foreign(path), path.open(newline="") as file:
                header, *lines = list(csv.reader(file)) or [[]]
                earlier = [line for line in lines if len(line) == len(header) and int(line[0]) <= step]
            with replacing(path) as partial, partial.open("w", newline="") as file:
                if earlier:  # where no row is left, the header itself may be incomplete
                    csv.writer(file).writerows([header, *earlier])

    @property
    def result(self) -> Row | None:
        """Return what result.json holds; None while the run has not ended.

        Raises:
          RunError: the directory belongs to another run, or the file cannot be read.
        """
        path = self.path / "result.json"
        if not path.exists():
            return None
        self._check_config()
        return check(path, read_json(path), RESULT, _DELETE)

    @property
    def last_metrics(self) -> dict[str, float] | None:
        """Return the last complete row of metrics.csv; None where there is no complete row yet.

        Raises:
          RunError: the file holds something other than numbers.
        """
        rows = read_metrics(self.path / "metrics.csv")
        return rows[-1] if rows else None

    @property
    def sessions(self) -> list[Row]:
        """Return what `environment` recorded at the start of each session that worked on the run, the latest one last.

        Raises:
          RunError: environment.json cannot be read.
        """
        path = self.path / "environment.json"
        if not path.exists():
            return []
        latest = check(path, read_json(path), ENVIRONMENT | {"earlier?": [ENVIRONMENT]}, _DELETE)
        return [*latest.pop("earlier", []), latest]


@contextlib.contextmanager
def _foreign(path: pathlib.Path) -> Iterator[None]:
    """Turn a CSV file that no run wrote into one clear line. Raises RunError."""
    try:
        yield
    except (ValueError, KeyError, IndexError, csv.Error) as error:
        raise RunError(f"'{path}' is not as a run writes it ({error}): restore it, or choose another --out") from None


def read_config(path: pathlib.Path) -> Run:
    """Read the configuration of the run in the directory `path`.

    Raises:
      RunError: the directory has no config.json, or not one that a run writes.
    """
    try:
        with (path / "config.json").open() as file:
            return Run.from_json(file.read(JSON_BYTES))
    except (OSError, ConfigError, UnicodeDecodeError) as error:
        raise RunError(f"'{path}' is not a run's directory: {error}") from None


def runs_below(directory: pathlib.Path) -> dict[str, pathlib.Path]:
    """Return the directories of the runs of a sweep, by their names: those in `directory`/runs and in `directory`."""
    paths = [path.parent for folder in ("runs/*", "*") for path in directory.glob(f"{folder}/config.json")]
    return {path.name: path for path in sorted(paths, key=lambda path: path.name)}


def copy_record(source: pathlib.Path, target: pathlib.Path) -> None:
    """Copy what lasts of the run directory `source` to `target`: all but the weights and the checkpoints.

    The CSV files are packed as .csv.gz, without a time stamp, so that equal records are equal files.

    Raises:
      RunError: the disk cannot be written.
    """
    with disk_errors(target):
        target.mkdir(parents=True, exist_ok=True)
    for name in ("metrics.csv", "diagnostics.csv"):
        if (source / name).exists():  # a run that failed in its first steps has none
            with replacing(target / f"{name}.gz") as partial:
                partial.write_bytes(gzip.compress((source / name).read_bytes(), mtime=0))
    for name in ("config.json", "environment.json", "result.json"):
        with replacing(target / name) as partial:
            shutil.copyfile(source / name, partial)
