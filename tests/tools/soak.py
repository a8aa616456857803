"""What runs survive, counted: `python tests/tools/soak.py --kills 30 --corruptions 20 --sweeps 12 --exports 10`.

A run is killed (-9) at random moments and started again until it has ended, its newest checkpoint is damaged at random
places, and a sweep, one of its workers or an export is killed or terminated. After each the weights and both CSV files
must be those of a run that nothing happened to, and an export must be whole. CI does a few.
"""

import argparse
import contextlib
import csv
import fcntl
import io
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import warnings
import zipfile

import numpy as np
from examples import tiny
from processes import ROOT

from tfcollapse.cli.main import main
from tfcollapse.config.declaration import Network, Objective
from tfcollapse.config.overrides import replace
from tfcollapse.records.provenance import environment
from tfcollapse.records.run_directory import RunDirectory
from tfcollapse.training import checkpoint

MOMENTS = ("start", "training", "checkpoint")
"""When to kill: any time from the process' start on; some time after some new rows of metrics.csv; as a checkpoint is
being written."""

DAMAGES = ("truncated", "bytes flipped")
"""What is done to a file, in turn."""


def run_of(steps, width=400):
    """A VAE whose checkpoints, 8 MB each at that width, take a while to write."""
    small = tiny(
        objective=Objective(gamma_start=0.1), steps=steps, log_every=20, evaluate_every=200, checkpoint_every=100
    )
    return replace(small, {"network": Network(depth=1, width=width, latent_dim=8)})


PATIENT = """
import sys
from tfcollapse.backend import start
from tfcollapse.cli.main import main
start()  # as quietly as the command line does
from tfcollapse.training import preemption as stopping
from tfcollapse.training import session
stopping.DEADLINE = 600  # as long as a loaded machine may take to save: the deadline itself has a test of its own
record_steps = session.Session.record_steps
def told(self, step, values):
    record_steps(self, step, values)
    print("took", step, flush=True)
session.Session.record_steps = told
sys.exit(main(sys.argv[1:]))
"""
"""The command line, less its deadline after a signal; it says each time that steps were taken."""


def _declared(run, out):
    """The arguments of the command line that train `run` in the directory `out`."""
    out.mkdir(parents=True, exist_ok=True)
    (out.parent / "run.json").write_text(run.to_json())
    return ["train", "--config", str(out.parent / "run.json"), "--out", str(out)]


def start(run, out, *arguments, **options):
    """A process that trains `run`, as the command line does."""
    command = [sys.executable, "-c", PATIENT, *_declared(run, out)]
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([*command, *arguments], cwd=ROOT, env=os.environ, **silent | options)


def goes_on(run, out):
    """(exit status, errors and warnings) of the command that trains `run` to its end, in this process."""
    errors, silent = io.StringIO(), contextlib.redirect_stdout(io.StringIO())
    with silent, contextlib.redirect_stderr(errors), warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        status = main(_declared(run, out))
    return status, "\n".join([errors.getvalue(), *(str(warning.message) for warning in warned)])


def ends(process):
    """(exit status, errors) of a process that ends by itself."""
    _, errors = process.communicate(timeout=600)
    return process.returncode, errors


def weights(folder):
    """Every variable of the newest checkpoint, the optimiser's among them."""
    path = max((folder / "checkpoints").glob("step-*.npz"))
    with np.load(path) as arrays:
        return {name: arrays[name] for name in arrays.files if name != "seconds"}


def numbers(path):
    """A CSV file without the column of seconds."""
    with path.open(newline="") as file:
        return [{name: value for name, value in row.items() if name != "seconds"} for row in csv.DictReader(file)]


def differences(folder, whole):
    """What is not the same in two run directories: nothing, after any fault."""
    ours, theirs = weights(folder), weights(whole)
    found = [name for name in theirs if not np.array_equal(ours.get(name), theirs[name])]
    found += [name for name in ("metrics.csv", "diagnostics.csv") if numbers(folder / name) != numbers(whole / name)]
    results = [json.loads((path / "result.json").read_text()) for path in (folder, whole)]
    return found + [split for split in ("train", "test") if results[0][split] != results[1][split]]


def undisturbed(run, out):
    """The directory of `run`, trained in one go."""
    status, errors = ends(start(run, out / "runs"))
    assert status == 0, errors
    return out / "runs" / run.run_id


def kill(process, folder, moment, draws):
    """Kill at a moment; returns whether the process was still there, and a checkpoint half written."""
    path = folder / "metrics.csv"

    def rows():
        return path.read_bytes().count(b"\n") if path.exists() else 0

    if moment == "start":
        time.sleep(draws.uniform(0, 6))
    if moment == "training":
        wanted = rows() + draws.randint(1, 20)
        while process.poll() is None and rows() < wanted:
            time.sleep(0.002)
        time.sleep(draws.uniform(0, 0.05))  # some steps of the row to come
    if moment == "checkpoint":
        while process.poll() is None and not list((folder / "checkpoints").glob(".partial-*")):
            time.sleep(0.0002)
    alive = process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.communicate()
    return alive, bool(list((folder / "checkpoints").glob(".partial-*")))


def kill_runs(run, out, count, seed=0):
    """Kill `run` `count` times, then let it end. Returns how often at each moment, and the directory."""
    draws = random.Random(seed)
    folder, found = out / "runs" / run.run_id, {"kills": 0, "of them while a checkpoint was being written": 0}
    while found["kills"] < count:
        moment = MOMENTS[found["kills"] % len(MOMENTS)]
        alive, torn = kill(start(run, out / "runs"), folder, moment, draws)
        assert alive, f"ended before it had been killed {count} times: give it more steps"
        found["kills"] += 1
        found["of them while a checkpoint was being written"] += torn
    status, errors = goes_on(run, out / "runs")
    assert status == 0, errors
    return found, folder


def damage(path, how, draws):
    """Cut a file short, or change some of its bytes."""
    content = bytearray(path.read_bytes())
    if how == "truncated":
        del content[draws.randrange(len(content)) :]
    else:
        for _ in range(draws.randint(1, 8)):
            content[draws.randrange(len(content))] ^= draws.randint(1, 255)
    path.write_bytes(content)


def stopped(run, out):
    """A run stopped by SIGTERM some time after its second checkpoint."""
    process = start(run, out / "runs")
    folder = RunDirectory(out / "runs" / run.run_id, run)
    while len(checkpoint.steps(folder.checkpoints)) < 2 or checkpoint.steps(folder.checkpoints)[-1] < 300:
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.01)
    process.terminate()
    assert ends(process)[0] == 143
    return folder.path


def corrupt_runs(run, out, count, seed=0):
    """Damage the newest checkpoint of a stopped run `count` times, each time letting the run end from there.

    Returns how often which way, and the directories.
    """
    draws, found, folders = random.Random(seed), {}, []
    before = stopped(run, out / "stopped")
    for number in range(count):
        folder = out / f"damaged{number}" / "runs" / run.run_id
        shutil.copytree(before, folder)
        how = DAMAGES[number % len(DAMAGES)]
        damage(max((folder / "checkpoints").glob("step-*.npz")), how, draws)
        status, errors = goes_on(run, folder.parent)
        assert status == 0, errors
        assert "is damaged: falling back to the one before" in errors, errors
        found[how] = found.get(how, 0) + 1
        folders.append(folder)
    return found, folders


STUDY = """
from matplotlib.figure import Figure
from soak import sweep_runs
from tfcollapse.studies.study import Study
STUDY = Study(title="t", presets={"quick": sweep_runs()}, draw=lambda rows: Figure(), claims=lambda rows: [])
"""
FAULTS = ("sweep killed", "worker killed", "sweep terminated")


def sweep_runs():
    """The runs of STUDY, two of which train at a time."""
    return [run_of(3_000, width=width) for width in (100, 110, 120)]


def start_sweep(out):
    """The command that sweeps STUDY."""
    out.mkdir(parents=True, exist_ok=True)
    study = out / "study.py"
    study.write_text(STUDY)
    command = [sys.executable, "-m", "tfcollapse", "sweep", study, "--jobs", "2", "--out", out]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests" / "tools")])}
    return subprocess.Popen(command, cwd=out, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def locked(folder):
    """The number of the process that holds the lock of a run directory, else None."""
    with contextlib.suppress(FileNotFoundError), (folder / "lock").open() as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return int(lock.read().split()[1])
    return None


def disturb(process, folders, fault, draws):
    """Do one of FAULTS to a sweep some rows from now. Returns the seconds until no process held a lock."""

    def rows():
        paths = [folder / "metrics.csv" for folder in folders]
        return sum(path.read_bytes().count(b"\n") for path in paths if path.exists())

    wanted = rows() + draws.randint(1, 60)
    while process.poll() is None and rows() < wanted:
        time.sleep(0.01)
    time.sleep(draws.uniform(0, 0.5))
    holders = [number for number in map(locked, folders) if number]
    if fault == "worker killed" and holders:
        os.kill(draws.choice(holders), signal.SIGKILL)
        time.sleep(draws.uniform(0, 2))
    process.send_signal(signal.SIGKILL if fault == "sweep killed" else signal.SIGTERM)
    began = time.monotonic()
    process.communicate()
    while any(map(locked, folders)):
        assert time.monotonic() - began < 60, "a worker outlives its sweep"
        time.sleep(0.05)
    return time.monotonic() - began


def disturb_sweeps(out, count, seed=0):
    """Do each of FAULTS in turn to a sweep, `count` of them, then let it end.

    Returns how often which, the longest that a lock was held afterwards, and the directories.
    """
    draws, found, longest = random.Random(seed), {}, 0.0
    folders = [out / "runs" / run.run_id for run in sweep_runs()]
    for number in range(count):
        fault = FAULTS[number % len(FAULTS)]
        longest = max(longest, disturb(start_sweep(out), folders, fault, draws))
        found[fault] = found.get(fault, 0) + 1
    status, errors = ends(start_sweep(out))
    assert status == 0, errors
    return found | {"longest seconds until every lock was released": round(longest, 1)}, folders


def kill_exports(folder, out, count, seed=0):
    """Kill `count` exports over an earlier one at random moments. Returns those that left a file that is not whole."""
    draws, broken, target = random.Random(seed), [], out / "model.keras"
    command = [sys.executable, "-m", "tfcollapse", "export", folder, target, "--force"]
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    out.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    status, errors = ends(subprocess.Popen(command, cwd=ROOT, **silent))
    assert status == 0, errors
    seconds = time.monotonic() - began
    size = target.stat().st_size
    for number in range(count):
        process = subprocess.Popen(command, cwd=ROOT, **silent)
        time.sleep(draws.uniform(0.3, 1.0) * seconds)
        process.kill()
        process.communicate()
        if not target.exists() or target.stat().st_size != size or zipfile.ZipFile(target).testzip() is not None:
            broken.append(f"export {number}")
    return broken


def _counted(found, out, *, kills, corruptions, sweeps, exports):
    """Do so many of each, add what was counted to `found`, and return what was lost."""
    lost, short = {}, run_of(1500)
    if kills:
        run = run_of(800 * kills)
        found["kills"], folder = kill_runs(run, out / "killed", kills)
        found["kills"] |= {"steps": run.training.steps}
        lost["after kills"] = differences(folder, undisturbed(run, out / "whole"))
    if corruptions or exports:
        whole = undisturbed(short, out / "short")
    if corruptions:
        found["corruptions"], folders = corrupt_runs(short, out, corruptions)
        lost["after corruptions"] = [name for each in folders for name in differences(each, whole)]
    if sweeps:
        found["sweeps"], folders = disturb_sweeps(out / "swept", sweeps)
        _, wholes = disturb_sweeps(out / "quiet", 0)
        pairs = zip(folders, wholes, strict=True)
        lost["after faults of a sweep"] = [name for pair in pairs for name in differences(*pair)]
    if exports:
        lost["exports"] = kill_exports(whole, out / "exported", exports)
        found["exports killed"] = exports
    return lost


def count_all():
    """Do all, and write what was counted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--corruptions", type=int, default=20)
    parser.add_argument("--sweeps", type=int, default=12)
    parser.add_argument("--exports", type=int, default=10)
    parser.add_argument("-o", "--output", default="survival.json")
    parsed = parser.parse_args()
    counts = {name: getattr(parsed, name) for name in ("kills", "corruptions", "sweeps", "exports")}
    words = [f"--{name} {count}" for name, count in counts.items()]
    found = {"command": " ".join(["python tests/tools/soak.py", *words]), "environment": environment()}
    with tempfile.TemporaryDirectory() as place:
        lost = _counted(found, pathlib.Path(place), **counts)
    found["arrays, files or results that differ from an undisturbed run"] = lost
    pathlib.Path(parsed.output).write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found, indent=1))
    return 1 if any(lost.values()) else 0


if __name__ == "__main__":
    sys.exit(count_all())
