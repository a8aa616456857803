"""Hold one run's directory: lock it, write its files, and read them.

The files are config.json, environment.json, metrics.csv, diagnostics.csv, checkpoints/, model.keras and result.json.
result.json is written last: a run that has it has ended. It names the sha256 of the files that it was made from.

The directory may come from a stranger: its files are opened without following symbolic links, and each record is
compared with the run that it should be of. The directory itself may be a link where it is read, but not where it is
written.
"""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import fcntl
import json
import os
import pathlib
import platform
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, Any

from tfcollapse.config.declaration import Run
from tfcollapse.errors import ConfigError, RunError
from tfcollapse.records import files, remedies
from tfcollapse.records.files import JSON_BYTES, disk_errors, existing_directory, open_regular, read_json, replacing
from tfcollapse.records.identity import KEY, check_identity, identity
from tfcollapse.records.metrics import read_metrics
from tfcollapse.records.run_files import MODEL, TABLES, as_text, check_content, foreign
from tfcollapse.records.schema import ENVIRONMENT, RESULT, check

Row = dict[str, Any]
_NAMED = 3
"""The most run directories that a message names."""


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
          RunError: another process has locked the directory, it cannot be written, its path is not UTF-8, or it belongs
            to another run.
        """
        files.check_name(self.path)
        with disk_errors(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            files.check_directory(self.path)
            lock = files.open_for_appending(self.path / "lock")
        with lock:
            with disk_errors(self.path):
                self._lock(lock)
                for folder in (self.path, self.checkpoints):
                    if files.kind(folder) == "a directory":
                        files.sweep(folder)
            if not (self.path / "config.json").exists():
                self.write_json("config.json", json.loads(self.run.to_json()))
            self._check_config()
            yield self

    def _lock(self, lock: IO[bytes]) -> None:
        """Lock the directory, and write this process' number into the lock file.

        The kernel releases the lock when the process ends, so a killed process leaves no lock behind.
        """
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            writer = lock.read(200).decode(errors="replace").strip()
            raise RunError(
                f"run directory '{self.path}': another process is writing it ({writer or 'unknown'}); "
                "wait for it to end"
            ) from None
        lock.truncate(0)
        lock.write(f"process {os.getpid()} on {platform.node()}".encode())
        lock.flush()

    def await_release(self, seconds: float) -> None:
        """Wait until no process holds the lock, so long at most. `open` says so where one still does."""
        end = time.monotonic() + seconds
        with contextlib.suppress(OSError, RunError), open_regular(self.path / "lock") as lock:
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
                f"received {read_config(self.path).run_id}; {remedies.ANOTHER}"
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
        with disk_errors(self.path), as_text(files.open_for_appending(path)) as file:
            writer = csv.DictWriter(file, list(rows[0]))
            if file.tell() == 0:
                writer.writeheader()
            writer.writerows(rows)

    def rewind(self, step: int) -> None:
        """Drop the CSV rows that a run resumed at `step` writes again: the rows after `step`, and incomplete rows.

        Raises:
          RunError: a file does not have the form that a run writes, or the disk cannot be written.
        """
        for name in TABLES:
            path = self.path / name
            if files.kind(path) is None:
                continue
            with foreign(path), as_text(open_regular(path)) as file:
                header, *lines = list(csv.reader(file)) or [[]]
                earlier = [line for line in lines if len(line) == len(header) and int(line[0]) <= step]
            with replacing(path) as partial, partial.open("w", newline="") as file:
                if earlier:  # where no row is left, the header itself may be incomplete
                    csv.writer(file).writerows([header, *earlier])

    def sync(self) -> None:
        """Bring the rows of the CSV files to the disk, before a checkpoint that says that they are written.

        Raises:
          RunError: the disk cannot be written.
        """
        for name in TABLES:
            if files.kind(self.path / name) is not None:
                with disk_errors(self.path), open_regular(self.path / name) as file:
                    os.fsync(file.fileno())

    def write_result(self, result: Row, images: str) -> Row:
        """Write result.json, with the identity of the run and the sha256 of the files that belong to it.

        Args:
          result: the numbers.
          images: the digest of the run's images.

        Returns:
          What was written.

        Raises:
          RunError: the disk cannot be written.
        """
        names = [name for name in (*TABLES, MODEL) if files.kind(self.path / name) is not None]
        sums = {name: files.sha256(self.path / name) for name in names}
        record = result | {KEY: identity(self.run, images), "sha256": sums}
        self.write_json("result.json", record)
        return record

    @property
    def result(self) -> Row | None:
        """Return what result.json holds; None while the run has not ended.

        Raises:
          RunError: the directory belongs to another run, or the file cannot be read.
        """
        path = self.path / "result.json"
        if files.kind(path) is None:
            return None
        self._check_config()
        try:
            values = read_json(path)
        except RunError as error:
            raise RunError(f"{error}: {remedies.MADE_ANEW}") from None
        result: Row = check(path, values, RESULT, remedies.MADE_ANEW)
        expected = identity(self.run)
        check_identity(f"'{path}'", result.get(KEY), expected)
        check_identity(f"'{path}'", {"run_id": result.get("run_id", expected["run_id"])}, expected)
        return result

    @property
    def state(self) -> str | None:
        """Return how the run ended: the status of its result, or "damaged"; None while it has not ended."""
        try:
            result = self.result
        except RunError:
            return "damaged"
        return None if result is None else str(result.get("status", "damaged"))

    @property
    def model(self) -> pathlib.Path:
        """Return the path of the trained model, after a comparison with the sha256 that result.json names.

        Raises:
          RunError: there is no model, the result cannot be read, or the model is not the one that the result is of.
        """
        path = self.path / MODEL
        if files.kind(path) is None:
            raise RunError(f"'{self.path}': expected a finished run with {MODEL}; train it to the end first")
        check_content(self.path, MODEL, files.sha256(path))
        return path

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
          RunError: environment.json cannot be read, or is another run's.
        """
        path = self.path / "environment.json"
        if files.kind(path) is None:
            return []
        latest = check(path, read_json(path), ENVIRONMENT | {"earlier?": [ENVIRONMENT]}, remedies.MADE_ANEW)
        sessions = [*latest.pop("earlier", []), latest]
        for session in sessions:
            check_identity(f"'{path}'", session.get(KEY), identity(self.run))
        return sessions


def read_config(path: pathlib.Path) -> Run:
    """Read the configuration of the run in the directory `path`.

    Raises:
      RunError: the directory has no config.json, or not one that a run writes. The message names run directories below.
    """
    existing_directory(path)
    if files.kind(path / "config.json") is None:
        raise RunError(f"'{path}' is not a run's directory: {_below(path)}")
    try:
        with open_regular(path / "config.json") as file:
            return Run.from_json(file.read(JSON_BYTES).decode())
    except (OSError, RunError, ConfigError, UnicodeDecodeError) as error:
        raise RunError(f"'{path}' is not a run's directory: {error}") from None


def _below(path: pathlib.Path) -> str:
    """Name the first run directories below a directory, as the end of a sentence."""
    names = [str(run) for run in runs_below(path).values()]
    if not names:
        return "it has no config.json, and no run directory is below it"
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"run directories below it are {', '.join(names[:_NAMED])}{more}"


def runs_below(directory: pathlib.Path) -> dict[str, pathlib.Path]:
    """Return the directories of the runs of a sweep, by their names: those in `directory`/runs and in `directory`.

    Numbers in names are in numeric order: depth 2 stands before depth 10.
    """
    paths = [path.parent for folder in ("runs/*", "*") for path in directory.glob(f"{folder}/config.json")]
    return {path.name: path for path in sorted(paths, key=lambda path: _with_numbers(path.name))}


def _with_numbers(name: str) -> list[str | int]:
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", name)]
