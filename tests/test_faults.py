"""What happens to long runs: kills, damage, signals, two processes, a directory that is taken away."""

import json
import os
import shutil
import signal
import subprocess
import time

import numpy as np
import psutil
import pytest
import soak
from examples import tiny

from tfcollapse.cli.main import main
from tfcollapse.config.overrides import replace
from tfcollapse.errors import RunError
from tfcollapse.records.run_directory import RunDirectory
from tfcollapse.records.table import tidy_row
from tfcollapse.training import checkpoint, session
from tfcollapse.training import preemption as stopping
from tfcollapse.training.trainer import train

SHORT = soak.run_of(1_000, width=200)
ONE_ROW = tiny(steps=4_000, log_every=4_000, evaluate_every=4_000, checkpoint_every=4_000)


def _undisturbed(run, out):
    train(run, out)
    return out / run.run_id


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """SHORT, undisturbed, in this process."""
    return _undisturbed(SHORT, tmp_path_factory.mktemp("whole"))


@pytest.fixture(scope="module")
def one_row(tmp_path_factory):
    """ONE_ROW, undisturbed, in this process."""
    return _undisturbed(ONE_ROW, tmp_path_factory.mktemp("one_row"))


@pytest.mark.slow
def test_kills_at_any_moment_leave_no_trace(whole, tmp_path):
    """A part of the soak: each moment once."""
    found, folder = soak.kill_runs(SHORT, tmp_path, len(soak.MOMENTS), seed=1)
    assert found["of them while a checkpoint was being written"] >= 1
    assert soak.differences(folder, whole) == []


@pytest.mark.slow
def test_damaged_checkpoints_leave_no_trace(whole, tmp_path):
    found, folders = soak.corrupt_runs(SHORT, tmp_path, len(soak.DAMAGES), seed=3)
    assert set(found) == {"truncated", "bytes flipped"}
    for folder in folders:
        assert soak.differences(folder, whole) == []


@pytest.mark.slow
def test_an_export_that_is_killed_leaves_the_earlier_one(finished, tmp_path):
    assert soak.kill_exports(finished, tmp_path, 1) == []


def test_a_difference_would_be_seen(finished, tmp_path):
    """The least of one: the last bit of one weight, a digit of one number, a step."""
    other = tmp_path / finished.name
    shutil.copytree(finished, other)
    assert soak.differences(other, finished) == []
    arrays = soak.weights(other)
    name = max(arrays, key=lambda name: arrays[name].size)
    arrays[name].flat[0] = np.nextafter(arrays[name].flat[0], np.float32(np.inf))
    np.savez(max((other / "checkpoints").glob("step-*.npz")), **arrays | {"step": arrays["step"] + 1})
    for csv in ("metrics.csv", "diagnostics.csv"):
        text = (other / csv).read_text().rstrip("\n")
        (other / csv).write_text(text + "1\n")
    result = json.loads((other / "result.json").read_text())
    result["train"]["reconstruction_error"] = np.nextafter(result["train"]["reconstruction_error"], 1)
    (other / "result.json").write_text(json.dumps(result))
    assert set(soak.differences(other, finished)) == {name, "metrics.csv", "diagnostics.csv", "train", "step"}


def _begun(folder):
    return (folder / "metrics.csv").exists() and len(soak.numbers(folder / "metrics.csv")) > 1


@pytest.mark.slow
@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_saves_between_rows_and_the_command_goes_on_without_a_trace(number, status, one_row, tmp_path):
    """The slow chunk is stopped in its middle: what it had measured is in the checkpoint, not lost."""
    folder = tmp_path / "runs" / ONE_ROW.run_id
    process = soak.start(ONE_ROW, tmp_path / "runs", stdout=subprocess.PIPE)
    while not process.stdout.readline().startswith("took"):  # on its way to the only row
        assert process.poll() is None, process.stderr.read()
    process.send_signal(number)
    ended, errors = soak.ends(process)
    assert ended == status
    assert errors.strip() == "tfcollapse: stopped; the same command goes on from the last checkpoints"
    (step,) = checkpoint.steps(folder / "checkpoints")
    assert 0 < step < 4_000
    assert main(["train", "--config", str(tmp_path / "run.json"), "--out", str(tmp_path / "runs")]) == 0
    assert RunDirectory(folder, ONE_ROW).sessions[-1]["resumed_from"] == step
    assert soak.differences(folder, one_row) == []


def test_sigterm_ends_a_step_that_does_not(tmp_path):
    """A step that outlasts the deadline is not waited for; here an endless one."""
    code = """
import time
from tfcollapse.training import preemption as stopping
stopping.DEADLINE = 0.5
with stopping.Preemption():
    print("in", flush=True)
    while True:  # the loop never looks at the signal: as an operation of TensorFlow that does not end
        time.sleep(0.1)
"""
    process = subprocess.Popen(
        [soak.sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    process.stdout.readline()
    process.terminate()
    began = time.monotonic()
    _, errors = process.communicate()  # it would never end by itself
    assert process.returncode == 143
    assert time.monotonic() - began > 0.4
    assert b"run again to resume" in errors
    assert stopping.DEADLINE <= 9


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_a_command_whose_main_thread_is_outside_python(number, status):
    """As in linear algebra that takes minutes: no handler of Python's can run."""
    code = """
import ctypes, signal
from tfcollapse.training import preemption as stopping
stopping.ANSWER = 0.5
signal.signal(signal.SIGINT, signal.default_int_handler)
mutex, lock = ctypes.create_string_buffer(128), ctypes.CDLL(None).pthread_mutex_lock
lock(mutex)
with stopping.command_signals(ends_process=True):
    print("in", flush=True)
    lock(mutex)  # for ever: it goes on after a signal
"""
    process = subprocess.Popen(
        [soak.sys.executable, "-c", code], cwd=soak.ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    process.stdout.readline()
    main_thread, waits = psutil.Process(process.pid), 0
    while waits < 5:  # a signal before it waits would find Python's handler
        time.sleep(0.05)
        waits = waits + 1 if main_thread.status() == psutil.STATUS_SLEEPING else 0
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == status
    assert errors == b"tfcollapse: stopped before the step at hand ended\n"  # not every command can be resumed


@pytest.mark.slow
def test_a_sweep_that_is_terminated_saves_its_runs(tmp_path):
    settings = ["--set", "training.steps=200000", "--set", "training.log_every=50", "--jobs", "2"]
    every = ["--set", "training.checkpoint_every=200000", "--set", "training.evaluate_every=200000"]
    process = subprocess.Popen(
        [soak.sys.executable, "-m", "tfcollapse", "sweep", "fig1_left", "--preset", "smoke", "--out", tmp_path]
        + [*settings, *every],
        cwd=soak.ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    runs = tmp_path / "runs"
    while not (runs.exists() and sum(_begun(folder) for folder in runs.iterdir()) == 2):
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.05)
    process.terminate()
    status, errors = soak.ends(process)
    assert status == 143
    assert "the same command goes on" in errors
    saved = [checkpoint.steps(folder / "checkpoints") for folder in runs.iterdir() if _begun(folder)]
    assert all(len(steps) == 1 and steps[0] > 50 for steps in saved), saved


def _ask_at(step):
    """A `report` that asks, as Ctrl-C does, to stop after this step."""

    def ask(progress):
        if progress.step == step:
            os.kill(os.getpid(), signal.SIGINT)

    return ask


@pytest.mark.slow
def test_two_processes_on_one_run_and_a_dead_one_s_lock(tmp_path, capfd):
    run = tiny(steps=200_000, log_every=100, evaluate_every=200_000, checkpoint_every=500)
    folder = tmp_path / "runs" / run.run_id
    first = soak.start(run, tmp_path / "runs")
    while not _begun(folder):
        assert first.poll() is None, first.stderr.read()
        time.sleep(0.01)
    assert main(["train", "--config", str(tmp_path / "run.json"), "--out", str(tmp_path / "runs")]) == 2
    errors = capfd.readouterr().err
    assert f"another process is writing it (process {first.pid} on " in errors
    assert errors.count("\n") == 1
    first.kill()
    soak.ends(first)
    assert str(first.pid) in (folder / "lock").read_text()  # the lock file is still there
    holders = []

    def ask(progress):
        holders.append((folder / "lock").read_text())
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        train(run, tmp_path / "runs", report=ask)
    assert str(os.getpid()) in holders[0]


@pytest.fixture
def read_only(tmp_path):
    """A real file system, and what makes it read-only or writable, as root needs."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", folder], capture_output=True)
    if mounted.returncode:
        pytest.skip("a file system cannot be mounted here: " + mounted.stderr.decode().strip())
    yield folder, lambda how: subprocess.run(["mount", "-o", f"remount,{how}", folder], check=True)
    subprocess.run(["umount", folder], check=True)


def test_a_read_only_directory_is_one_line_and_loses_nothing(finished, read_only):
    folder, turn = read_only
    run = tiny()
    with pytest.raises(KeyboardInterrupt):
        train(run, folder, report=_ask_at(30))
    turn("ro")
    with pytest.raises(RunError, match="Read-only file system: name another place, then run again"):
        train(run, folder)
    turn("rw")
    result = train(run, folder)
    assert soak.differences(folder / run.run_id, finished) == []
    turn("ro")
    assert train(run, folder)["train"] == result["train"]  # a finished run is read, not written


def test_rows_of_an_interrupted_chunk_are_those_of_a_whole_one(finished, tmp_path, monkeypatch):
    """Stopped after one step, which is no multiple of log_every, and at a row, in this process, and gone on."""
    run, folder, take = tiny(), tmp_path / finished.name, session.Session.record_steps

    def asking(self, step, values):
        take(self, step, values)
        if step == 0:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(session.Session, "record_steps", asking)
    for report, reached in ((lambda progress: None, 1), (_ask_at(20), 20)):
        with pytest.raises(KeyboardInterrupt):
            train(run, tmp_path, report=report)
        assert checkpoint.steps(folder / "checkpoints")[-1] == reached
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    train(run, tmp_path)
    assert soak.differences(folder, finished) == []
    assert np.isfinite([float(row["loss"]) for row in soak.numbers(folder / "metrics.csv")]).all()


@pytest.mark.parametrize("changes", [{"objective.beta": 0}, {"network.latent_dim": 1_000}])
def test_a_run_of_extreme_settings_comes_to_its_end(changes, tmp_path):
    """What the end computes has a value, or none, for every setting that trains."""
    run = replace(tiny(steps=2, log_every=2, evaluate_every=2, checkpoint_every=2), changes)
    assert train(run, tmp_path)["status"] == "finished"
    row = tidy_row(RunDirectory(tmp_path / run.run_id, run))
    assert np.isfinite([row["train_error"], row["test_error"], row["pca_error"], row["negative_elbo"]]).all()
