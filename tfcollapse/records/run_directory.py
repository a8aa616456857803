"""A run's directory: who may write it, and what it holds.

config.json, environment.json, metrics.csv, diagnostics.csv, checkpoints/, model.keras, and result.json,
written last: a run that has it has ended.
"""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import datetime
import fcntl
import functools
import importlib.metadata
import json
import os
import pathlib
import platform
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, Any

import tfcollapse
from tfcollapse.config.declaration import NUMERICS, Run
from tfcollapse.errors import ConfigError, RunError

Row = dict[str, Any]
_JSON_BYTES = 64 << 20
"""No record is larger; what is cut there is no JSON."""


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


@contextlib.contextmanager
def disk_errors(path: pathlib.Path) -> Iterator[None]:
    """Turn a full, read-only or forbidden disk into one clear line."""
    try:
        yield
    except OSError as error:
        raise RunError(
            f"'{path}': {error.strerror or error}: free space or choose another --out, then run again"
        ) from None


def check_writable(path: pathlib.Path) -> None:
    """Make the directory `path` and write a little there. Raises RunError before any work is done in vain."""
    with disk_errors(path):
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path) as file:
            file.write(b"0" * 4096)


@contextlib.contextmanager
def replacing(path: pathlib.Path) -> Iterator[pathlib.Path]:
    """A path to write to, which becomes `path` when all went well and vanishes otherwise. Raises RunError."""
    partial = path.with_name(f".partial-{path.name}")
    try:
        with disk_errors(path):
            yield partial
            partial.replace(path)
    finally:
        with contextlib.suppress(OSError):
            partial.unlink()


def read_json(path: pathlib.Path) -> Row:
    """A JSON object from `path`. Raises RunError for anything else."""
    try:
        with path.open() as file:
            values = json.loads(file.read(_JSON_BYTES))
    except (OSError, ValueError, RecursionError) as error:
        raise RunError(f"'{path}' cannot be read: {error}") from None
    if not isinstance(values, dict):
        raise RunError(f"'{path}': expected a JSON object, received {type(values).__name__}")
    return values


def read_config(path: pathlib.Path) -> Run:
    """The configuration of the run in directory `path`. Raises RunError where there is none."""
    try:
        with (path / "config.json").open() as file:
            return Run.from_json(file.read(_JSON_BYTES))
    except (OSError, ConfigError, UnicodeDecodeError) as error:
        raise RunError(f"'{path}' is not a run's directory: {error}") from None


_PACKAGES = ("tensorflow", "jax", "keras", "numpy", "scipy", "tensorflow-datasets")


def environment(packages: Sequence[str] = (), **more: Any) -> Row:
    """Versions, of the numbers and of `packages` too, commit, hardware and time: what a result must name."""
    versions = {}
    for name in (*_PACKAGES, *packages):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    return {
        "tfcollapse": tfcollapse.__version__,
        "numerics": NUMERICS,
        "commit": commit(),
        "python": platform.python_version(),
        "versions": versions,
        "machine": f"{_processor()}, {len(os.sched_getaffinity(0))} of {os.cpu_count()} cores",
        "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        **more,
    }


_FIRST_VERSION = "d7900b2944b0"
"""The commit that version 1 of the numbers is defined by; it recorded no version."""


def numerics_of(session: Row) -> int | None:
    """The version of the numbers that a session of `RunDirectory.sessions` had; None where nothing tells."""
    return session.get("numerics", 1 if session.get("commit") == _FIRST_VERSION else None)


@functools.cache  # the code is that of the process' start, whatever is committed meanwhile
def commit() -> str:
    """The commit of the source tree, with "-dirty" where tracked files differ; "unknown" where git tracks no source."""
    source = pathlib.Path(__file__)
    git = ["git", "-C", str(source.parent)]
    tracked = [*git, "ls-files", "--error-unmatch", source.name]
    describe = [*git, "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        for command in (tracked, describe):
            answer = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return answer.stdout.strip()


def _processor() -> str:
    with contextlib.suppress(OSError), open("/proc/cpuinfo") as file:
        for line in file:
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
