"""Train many runs on a Ray cluster, where one machine is not enough (extra `ray`).

Every node needs this package, and a shared file system with `out` and the datasets under the same paths. A run whose
worker died is tried again on any node, and resumes from its checkpoint.
"""

from __future__ import annotations

import os
import pathlib
import re
import socket
from collections.abc import Callable, Sequence
from typing import Any

from tfcollapse.backend import thread_settings
from tfcollapse.child_process import ChildProcess
from tfcollapse.config.declaration import Run
from tfcollapse.data.image_cache import cache_directory
from tfcollapse.errors import ConfigError
from tfcollapse.records.run_directory import Row, RunDirectory
from tfcollapse.studies.schedule import by_threads, longest_last, unfinished
from tfcollapse.studies.sweep import tidy_rows
from tfcollapse.studies.worker import train_groups
from tfcollapse.training.progress import Progress

RETRIES = 3
"""How often a run is tried again after its worker died."""
_POLL_SECONDS = 2.0
_ANSWER_SECONDS = 5.0


def ray_sweep(
    runs: Sequence[Run],
    out: str | os.PathLike[str],
    *,
    address: str | None = None,
    cpus: float | None = None,
    gpus: float | None = None,
    data_dir: str | os.PathLike[str] | None = None,
    report: Callable[[Progress], None] = lambda progress: None,
    ended: Callable[[Run, Row], None] = lambda run, result: None,
) -> list[Row]:
    """Train those of `runs` that are not finished on a cluster, and return a tidy row for each, as `sweep` does.

    Args:
      runs, out, data_dir, report, ended: as for `sweep`.
      address: HOST:PORT of the cluster's head; None takes the one that RAY_ADDRESS names, or starts a local cluster.
      cpus, gpus: what one run is given. By default it is a GPU where the cluster has one, and a CPU beside it. Without
        GPUs it is one CPU where one core is enough for the run, and every CPU of the largest node otherwise.

    Raises:
      ConfigError: Ray is not installed, nothing answers at the address, or no node is large enough for a run.
      RunError: a run's directory is another run's.
    """
    ray = _connect(address)
    out, data_dir = pathlib.Path(out).resolve(), data_dir or os.environ.get("TFDS_DATA_DIR")
    if data_dir:  # a worker has another environment and another working directory
        data_dir = pathlib.Path(data_dir).expanduser().resolve()
    lost: dict[str, str] = {}
    try:
        room = _room(ray.nodes(), cpus, gpus)
        again = {"max_retries": RETRIES, "retry_exceptions": [WorkerDied]}
        remote, pending = ray.remote(_train_remotely), {}
        for threads, group in by_threads(unfinished(runs, out), out, max(1, round(room["num_cpus"])), one_device=True):
            share = room if cpus is not None else room | {"num_cpus": min(room["num_cpus"], threads)}
            arguments = (out, data_dir or None, cache_directory().resolve(), threads)
            for run in reversed(longest_last(group)):
                pending[remote.options(**again, **share).remote(run, *arguments)] = run
        while pending:
            for task in ray.wait(list(pending), num_returns=1, timeout=_POLL_SECONDS)[0]:
                run, result = pending.pop(task), _result(ray, task)
                if result["status"] == "error":
                    lost[run.run_id] = result["reason"]
                ended(run, result)
            for run in pending.values():
                _report(run, RunDirectory(out / run.run_id, run), report)
    finally:
        ray.shutdown()  # this ends the workers of this process
    return tidy_rows(runs, out, lost)


def _connect(address: str | None) -> Any:
    try:
        import ray
    except ImportError:
        raise ConfigError("--ray: Ray is not installed: pip install 'tfcollapse[ray]'") from None
    advice = "start one with 'ray start --head', or give --ray the HOST:PORT it printed"
    address = address or os.environ.get("RAY_ADDRESS")
    if address and address != "auto":
        host, _, port = address.rpartition(":")
        if not host or not re.fullmatch("[0-9]{1,5}", port):
            raise ConfigError(f"--ray: expected HOST:PORT, received '{address}': {advice}")
        try:
            socket.create_connection((host, int(port)), timeout=_ANSWER_SECONDS).close()
        except (OSError, OverflowError, UnicodeError) as error:
            raise ConfigError(
                f"--ray: expected a Ray cluster at {address}, nothing answers ({error}): {advice}"
            ) from None
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        ray.init(
            address=address,
            log_to_driver=False,
            logging_level="error",
            **({} if address else {"include_dashboard": False}),
        )
    except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
        line = (str(error).splitlines() or [type(error).__name__])[0]
        raise ConfigError(f"--ray: expected a Ray cluster at {address or 'this machine'}: {line}: {advice}") from None
    return ray


def _room(nodes: Sequence[Any], cpus: float | None, gpus: float | None) -> dict[str, float]:
    """Return the CPUs and GPUs that one run may have.

    Raises:
      ConfigError: Ray knows no such share, or no node has as much.
    """
    for name, share in (("--cpus", cpus), ("--gpus", gpus)):
        if share is not None and not (0 <= share < 1 and round(share, 3) == share or share >= 1 and share % 1 == 0):
            raise ConfigError(f"{name}: expected a whole number, or a part of one in thousandths, received {share}")
    sizes = [(node["Resources"].get("CPU", 0.0), node["Resources"].get("GPU", 0.0)) for node in nodes if node["Alive"]]
    if gpus is None:
        gpus = 1.0 if any(gpu for _, gpu in sizes) else 0.0
    if cpus is None:
        cpus = 1.0 if gpus else max(cpu for cpu, _ in sizes)
    if not any(cpu >= cpus and gpu >= gpus for cpu, gpu in sizes):
        nodes_text = ", ".join(f"{cpu:g} CPUs and {gpu:g} GPUs" for cpu, gpu in sizes)
        raise ConfigError(
            f"--ray: expected a node with {cpus:g} CPUs and {gpus:g} GPUs, received nodes with {nodes_text}"
        )
    return {"num_cpus": cpus, "num_gpus": gpus}


class WorkerDied(Exception):
    """The end of a process that trained a run. Ray tries the run again."""


def _train_remotely(run: Run, out: pathlib.Path, data_dir: Any, cache: pathlib.Path, threads: int) -> Row:
    """Train one run on a node, in a process of its own: Ray's processes serve many runs, of other numbers of threads.

    Where Ray ends its own process, the run is saved, as in a sweep on one machine.
    """
    environment = thread_settings(threads) | {"TFCOLLAPSE_CACHE": str(cache)}
    process = ChildProcess(train_groups, out, {"data_dir": data_dir}, environment=environment)
    try:
        process.connection.send([run])
        while not isinstance(message := process.connection.recv(), list):
            pass  # progress, which the sweep reads from metrics.csv
        process.connection.send([])
    except (EOFError, OSError):
        process.wait()
        raise WorkerDied(f"exit code {process.exit_code}") from None
    return message[0]


def _result(ray: Any, task: Any) -> Row:
    try:
        return ray.get(task)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, WorkerDied):
            return _lost(str(error.cause))
        return {"status": "error", "reason": f"{type(error.cause).__name__}: {error.cause}".splitlines()[0]}
    except ray.exceptions.RayError as error:
        return _lost((str(error).splitlines() or [type(error).__name__])[0])


def _lost(how: str) -> Row:
    return {"status": "error", "reason": f"its worker died {RETRIES + 1} times ({how}); run again to resume it"}


def _report(run: Run, directory: RunDirectory, report: Callable[[Progress], None]) -> None:
    last = directory.last_metrics
    if last is None:
        return
    step, seconds = int(last["step"]), float(last["seconds"])
    gamma = float(last["gamma"]) if run.objective.kind == "vae" else None
    error = float(last["reconstruction_error"])
    report(Progress(run.run_id, step, run.training.steps, step / max(seconds, 1e-9), error, gamma, None))
