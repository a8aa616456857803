"""Several hosts: real processes on the loopback, one run."""

import csv
import json
import multiprocessing.pool
import os
import signal
import socket
import subprocess
import sys
import time
import weakref

import numpy as np
import psutil
import pytest
import tensorflow as tf
from examples import tiny
from processes import ROOT

from tfcollapse.errors import RunError
from tfcollapse.records.run_directory import RunDirectory
from tfcollapse.training import checkpoint
from tfcollapse.training.trainer import train
from tfcollapse.training.workers import Workers

# Halved, as every run's: else 600 steps amplify the order of float sums beyond the bounds below.
RUN = tiny(steps=600, halve_every=200, log_every=20, evaluate_every=100, checkpoint_every=60)
pytestmark = pytest.mark.slow


def _ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    found = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return found


def start(tmp_path, count, run=RUN, shared=None, others=None, only=None):
    """The same command in `count` processes; from number `shared` on each has a directory of its own.

    `only` starts none but that one.
    """
    (tmp_path / "run0.json").write_text(run.to_json())
    (tmp_path / "run1.json").write_text((others or run).to_json())
    hosts = [f"127.0.0.1:{port}" for port in _ports(count)]
    processes = []
    for index in range(count) if only is None else [only]:
        config = {"cluster": {"worker": hosts}, "task": {"type": "worker", "index": index}}
        declared = tmp_path / f"run{min(index, 1)}.json"
        out = tmp_path / ("runs" if shared is None or index < shared else f"worker{index}")
        processes.append(
            subprocess.Popen(
                [sys.executable, "-m", "tfcollapse", "train", "--config", declared, "--out", out],
                cwd=ROOT,
                env=os.environ | {"TF_CONFIG": json.dumps(config)},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
    return processes


def ends(processes, seconds=600):
    """[(exit status, output, errors)] of processes that must end by themselves."""
    try:
        said = [process.communicate(timeout=seconds) for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [(process.returncode, *texts) for process, texts in zip(processes, said, strict=True)]


def until(folder, processes, step):
    """Wait for a checkpoint of `step` or later."""
    while not any(s >= step for s in checkpoint.steps(folder.checkpoints)):
        assert all(process.poll() is None for process in processes), "a worker ended before it was to"
        time.sleep(0.01)


def numbers(path):
    with path.open() as file:
        return [{k: float(v) for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The same run in one process."""
    out = tmp_path_factory.mktemp("alone")
    train(RUN, out)
    return RunDirectory(out / RUN.run_id, RUN)


def same(folder, alone, count):
    """Hold `count` workers to what one process did, and to the first one alone having written."""
    ours, theirs = (numbers(f.path / "metrics.csv") for f in (folder, alone))
    assert len(ours) == len(theirs) == 30
    for row, other in zip(ours, theirs, strict=True):
        assert row == pytest.approx(other, rel=1e-4), row["step"]
    assert folder.result["train"]["reconstruction_error"] == pytest.approx(
        alone.result["train"]["reconstruction_error"], rel=1e-4
    )
    facts = folder.sessions[-1]
    assert (facts["strategy"], facts["workers"], facts["replicas"]) == ("multiworker", count, count)
    assert not list(folder.path.parents[1].glob("worker[0-9]*")), "another worker wrote"


def test_workers_do_what_one_process_does_and_only_the_first_writes(alone, tmp_path):
    """Three, of which the second sees the first one's directory, and the third does not."""
    ended = ends(start(tmp_path, 3, shared=2))
    assert [status for status, _, _ in ended] == [0] * 3, ended
    folder = RunDirectory(tmp_path / "runs" / RUN.run_id, RUN)
    same(folder, alone, 3)
    assert all("worker 0 holds the record" in said for _, said, _ in ended[1:])
    # The same command again trains nothing, and every worker knows the result, whatever it can see of the disk.
    facts = folder.sessions[-1]
    again = ends(start(tmp_path, 3, shared=2))
    assert [status for status, _, _ in again] == [0] * 3, again
    assert folder.sessions[-1] == facts


def test_a_killed_worker_stops_the_others_with_one_line_and_the_command_resumes(alone, tmp_path):
    """Of two workers first the second is killed, then the first."""
    folder, reached = RunDirectory(tmp_path / "runs" / RUN.run_id, RUN), 99
    for victim in (1, 0):
        processes = start(tmp_path, 2)
        until(folder, processes, reached + 1)
        if victim == 0:
            assert folder.sessions[-1]["resumed_from"] == reached
        processes[victim].kill()
        status, _, errors = ends(processes)[1 - victim]
        assert status == 2
        assert errors.strip().count("\n") == 0, errors
        assert "another worker has stopped" in errors
        assert "start the same command on every worker again" in errors
        reached = checkpoint.steps(folder.checkpoints)[-1]
    ended = ends(start(tmp_path, 2))
    assert [status for status, _, _ in ended] == [0, 0], ended
    assert folder.sessions[-1]["resumed_from"] == reached
    assert "worker 0 holds the record" in ended[1][1]
    same(folder, alone, 2)


@pytest.mark.filterwarnings("ignore:unclosed running multiprocessing pool:ResourceWarning")
def test_a_lost_worker_leaves_nothing_that_fails_when_python_ends():
    """TensorFlow's pool of threads, unclosed, prints a traceback where it outlives Python's own clearing up."""
    workers, pools = Workers(tf.distribute.get_strategy()), []
    workers.count = 2

    def all_reduce():
        pool = multiprocessing.pool.ThreadPool(1)
        pools.append(weakref.ref(pool))
        pool.map(fails, [0])

    def fails(device):
        raise tf.errors.UnavailableError(None, None, "connection reset by peer")

    with pytest.raises(RunError, match="another worker has stopped") as stopped, workers.loss_reported():
        all_reduce()
    assert stopped.value.__context__ is not None
    assert pools[0]() is None


def test_sigterm_at_one_worker_saves_and_stops_all_at_the_same_step(tmp_path):
    run = tiny(steps=100_000, log_every=100, evaluate_every=100_000, checkpoint_every=100_000)
    folder = RunDirectory(tmp_path / "runs" / run.run_id, run)
    processes = start(tmp_path, 2, run)
    while not (folder.path / "metrics.csv").exists() or not numbers(folder.path / "metrics.csv"):
        assert all(process.poll() is None for process in processes), ends(processes)
        time.sleep(0.01)
    processes[1].send_signal(signal.SIGTERM)
    ended = ends(processes)
    assert [status for status, _, _ in ended] == [143, 143], ended
    (reached,) = checkpoint.steps(folder.checkpoints)
    assert reached >= 100
    assert np.isfinite([row["loss"] for row in numbers(folder.path / "metrics.csv")]).all()


def test_workers_that_hold_different_runs_stop(tmp_path):
    ended = ends(start(tmp_path, 2, others=tiny(seed=5)))
    assert [status for status, _, _ in ended] == [2, 2]
    assert any("expected the same run and images on every worker" in errors for _, _, errors in ended), ended
    assert not list(tmp_path.rglob("metrics.csv"))


def _ended_by(process, number, statuses):
    """A signal must end this process: the seconds that it takes."""
    process.send_signal(number)
    began = time.monotonic()
    _, errors = process.communicate(timeout=120)
    assert process.returncode in statuses, errors
    assert errors.strip().count("\n") == 0, errors
    return time.monotonic() - began


def test_a_worker_that_waits_for_the_others_hears_ctrl_c(tmp_path):
    """At the start, where the others never come; a shell says 128 + n of a process that signal n has killed."""
    (process,) = start(tmp_path, 2, only=0)
    assert "waits for the others" in process.stdout.readline()
    while not any(each.status == psutil.CONN_LISTEN for each in psutil.Process(process.pid).net_connections()):
        assert process.poll() is None, process.communicate()
        time.sleep(0.1)
    time.sleep(2)  # in TensorFlow's own code by then
    assert _ended_by(process, signal.SIGINT, (130, -signal.SIGINT)) < 15
