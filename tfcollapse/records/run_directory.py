"""A run's directory: who may write it, and what it holds.

config.json, environment.json, metrics.csv, diagnostics.csv, checkpoints/, model.keras, and result.json,
written last: a run that has it has ended.
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
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, Any

from tfcollapse.config.declaration import Run
from tfcollapse.errors import ConfigError, RunError
from tfcollapse.records.files import JSON_BYTES, disk_errors, read_json, replacing

Row = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class RunDirectory:
    """The files of one run.

    Attributes:
      path: the directory; `open` makes it.
      run: its configuration.
    """

    path: pathlib.Path
    run: Run

    @property
    def checkpoints(self) -> pathlib.Path:
        """Where checkpoints lie."""
        return self.path / "checkpoints"

    @contextlib.contextmanager
    def open(self) -> Iterator[RunDirectory]:
        """Hold the directory for writing.

        Raises:
          RunError: another process holds it, it cannot be written, or it is another run's.
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
        """Take the lock and sign it. The kernel drops it with its holder, so a killed process leaves none behind."""
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

    def _check_config(self) -> None:
        if read_config(self.path) != self.run:
            raise RunError(
                f"run directory '{self.path}' holds another run's configuration: expected {self.run.run_id}, "
                f"received {read_config(self.path).run_id}; choose another --out"
            )

    def write_json(self, name: str, values: Any) -> None:
        """Write a file whole or not at all."""
        with replacing(self.path / name) as partial:
            partial.write_text(json.dumps(values, indent=1, sort_keys=True) + "\n")

    def append(self, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Add rows to a CSV file, with a header where it is new."""
        path = self.path / name
        with disk_errors(self.path), path.open("a", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            if file.tell() == 0:
                writer.writeheader()
            writer.writerows(rows)

    def rewind(self, step: int) -> None:
        """Drop every CSV row after `step`, and torn ones: what a resumed run is about to write again."""
        for name in ("metrics.csv", "diagnostics.csv"):
            path = self.path / name
            if not path.exists():
                continue
            with _foreign(path), path.open(newline="") as file:
                header, *lines = list(csv.reader(file)) or [[]]
                kept = [line for line in lines if len(line) == len(header) and int(line[0]) <= step]
            with replacing(path) as partial, partial.open("w", newline="") as file:
                if kept:  # with no row left the header may be torn too
                    csv.writer(file).writerows([header, *kept])

    @property
    def result(self) -> Row | None:
        """What result.json says, or None while the run has not ended. Raises RunError where it is another run's."""
        path = self.path / "result.json"
        if not path.exists():
            return None
        self._check_config()
        return read_json(path)

    @property
    def last_metrics(self) -> dict[str, float] | None:
        """The last whole row of metrics.csv, or None before the first. Raises RunError where it holds no numbers."""
        path = self.path / "metrics.csv"
        if not path.exists():
            return None
        with _foreign(path), path.open(newline="") as file:
            whole = [row for row in csv.DictReader(file) if None not in row and None not in row.values()]
            return {name: float(value) for name, value in whole[-1].items()} if whole else None

    @property
    def sessions(self) -> list[Row]:
        """What `environment` said at the start of each session that worked on the run, the latest last."""
        path = self.path / "environment.json"
        if not path.exists():
            return []
        latest = read_json(path)
        return [*latest.pop("earlier", []), latest]


@contextlib.contextmanager
def _foreign(path: pathlib.Path) -> Iterator[None]:
    """Turn a CSV file that no run wrote into one clear line."""
    try:
        yield
    except (ValueError, KeyError, IndexError, csv.Error) as error:
        raise RunError(f"'{path}' is not as a run writes it ({error}): restore it, or choose another --out") from None


def read_config(path: pathlib.Path) -> Run:
    """The configuration of the run in directory `path`. Raises RunError where there is none."""
    try:
        with (path / "config.json").open() as file:
            return Run.from_json(file.read(JSON_BYTES))
    except (OSError, ConfigError, UnicodeDecodeError) as error:
        raise RunError(f"'{path}' is not a run's directory: {error}") from None
