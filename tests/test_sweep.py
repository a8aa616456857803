import contextlib
import csv
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time

import psutil
import pytest
import soak
from examples import tiny
from processes import ROOT, command

from tfcollapse.cli.main import main
from tfcollapse.config.declaration import Data, Network, Objective, Run
from tfcollapse.config.overrides import replace
from tfcollapse.data.tfds import MINI
from tfcollapse.records.run_directory import RunDirectory
from tfcollapse.records.table import read_table
from tfcollapse.studies.schedule import auto_jobs, by_threads, longest_last
from tfcollapse.studies.study import load_study, study_names
from tfcollapse.studies.sweep import sweep
from tfcollapse.training import checkpoint
from tfcollapse.training.threads import threads_of
from tfcollapse.training.trainer import train

LONG = tiny(steps=20_000, log_every=20, evaluate_every=200, checkpoint_every=200)
PAIR = [tiny(seed=seed, objective=Objective(kind="ae")) for seed in (0, 1)]


def _files(out):
    return {path: path.stat().st_mtime_ns for path in (out / "runs").glob("*/*")}


def _smoke(study, out):
    """The command of a study's smoke preset. It does without XLA, whose compilation takes longer than the training."""
    return ["sweep", study, "--preset", "smoke", "--set", "training.jit=off", "--out", str(out)]


def _check(study, out, command):
    """The table, the figure and the page of a study's smoke preset."""
    rows = read_table(out / f"{study}.csv")
    runs = [replace(run, {"training.jit": "off"}) for run in load_study(study).runs("smoke")]
    assert [row["run_id"] for row in rows] == [run.run_id for run in runs]
    assert {row["status"] for row in rows} == {"finished"}
    assert {row["command"] for row in rows} == {shlex.join(["tfcollapse", *command])}
    assert all(row["train_error"] > 0 and row["commit"] and row["machine"] for row in rows)
    for kind in ("png", "pdf", "md"):
        assert (out / f"{study}.{kind}").stat().st_size > 500


def _again(study, out, command, capfd):
    """The same command again, in this process: every run is kept, and nothing said on standard error."""
    written, count = _files(out), len(load_study(study).runs("smoke"))
    assert main(command) == 0
    said = capfd.readouterr()
    assert f"{count} of {count} runs have ended before and are kept" in said.out
    assert said.err == ""
    assert _files(out) == written


def test_a_smoke_preset_runs_from_declaration_to_figure_and_again(tmp_path, capfd):
    as_pasted = _smoke("fig1_left", tmp_path)
    answer = command(*as_pasted)
    assert answer.returncode == 0, answer.stderr
    assert answer.stderr == ""
    _check("fig1_left", tmp_path, as_pasted)
    _again("fig1_left", tmp_path, as_pasted, capfd)


@pytest.mark.slow
def test_a_study_of_each_figure_runs_from_declaration_to_figure(tmp_path, capfd):
    """The runs of all these studies are one sweep, so that two workers start and not two for each."""
    declared = {name: load_study(name) for name in study_names() if name != "fig1_left"}
    studies = list({study.draw: name for name, study in declared.items() if study.seeds == 1}.values())
    (tmp_path / "every.py").write_text(
        f"""
from matplotlib.figure import Figure
from tfcollapse.records.columns import COLUMNS
from tfcollapse.studies.study import Study, load_study
runs = list(dict.fromkeys(run for name in {studies} for run in load_study(name).runs("smoke")))
together = {{"tells_apart": list(COLUMNS.values())}}
STUDY = Study(title="t", presets={{"smoke": runs}}, draw=lambda rows: Figure(), claims=lambda rows: [], **together)
"""
    )
    assert main(_smoke(str(tmp_path / "every.py"), tmp_path)) == 0
    assert capfd.readouterr().err == ""
    for study in studies:
        as_pasted = _smoke(study, tmp_path)
        _again(study, tmp_path, as_pasted, capfd)
        _check(study, tmp_path, as_pasted)


@pytest.mark.slow
def test_a_failed_run_does_not_stop_the_others_and_the_status_says_so(tmp_path, capfd):
    study = tmp_path / "mixed.py"
    study.write_text(
        """
from examples import tiny
from tfcollapse.claims import depth_claims
from tfcollapse.config.declaration import Objective
from tfcollapse.figures import depth_figure
from tfcollapse.studies.study import Study
runs = [tiny(objective=objective) for objective in (Objective(gamma_start=2e-38), Objective(kind="ae"))]
STUDY = Study(title="t", presets={"quick": runs}, draw=depth_figure, claims=depth_claims)
"""
    )
    assert main(["sweep", str(study), "--jobs", "1", "--out", str(tmp_path / "out")]) == 1
    statuses = [row["status"] for row in read_table(tmp_path / "out" / "mixed.csv")]
    assert statuses == ["failed", "finished"]
    said = capfd.readouterr().err.splitlines()
    assert "not finite at step" in said[0]
    assert said[-1] == "tfcollapse: 1 of 2 runs did not finish"
    assert (tmp_path / "out" / "mixed.png").exists()
    assert "1 of 2 runs missing" in (tmp_path / "out" / "mixed.md").read_text()


@pytest.fixture(scope="module")
def one_worker(tmp_path_factory):
    """A sweep by one worker, killed as soon as LONG has a checkpoint: its rows, in what order runs ended, and that."""
    out = tmp_path_factory.mktemp("one")
    folder = RunDirectory(out / LONG.run_id, LONG)
    killed, ended, over = [], [], threading.Event()

    def kill():
        while not checkpoint.steps(folder.checkpoints):
            if over.wait(0.02):
                return
        (worker,) = [
            child
            for child in psutil.Process().children(recursive=True)
            if any(file.path == str(folder.path / "lock") for file in child.open_files())
        ]
        os.kill(worker.pid, signal.SIGKILL)
        killed.append(worker.pid)

    thread = threading.Thread(target=kill)
    thread.start()
    rows = sweep([tiny(steps=20), LONG, *PAIR], out, jobs=1, ended=lambda run, result: ended.append(run.training.steps))
    over.set()
    thread.join()
    assert killed
    return rows, ended, checkpoint.steps(folder.checkpoints)


@pytest.mark.slow
def test_a_worker_that_dies_is_replaced_and_its_run_resumes_next_time(one_worker):
    rows, _, steps = one_worker
    assert [row["status"] for row in rows] == ["finished", "error", "finished", "finished"]
    assert "worker process died (exit code -9); run again to resume it" in rows[1]["reason"]
    assert steps[-1] >= 200


@pytest.mark.slow
def test_the_longest_runs_go_first_and_rows_keep_their_order(one_worker):
    rows, ended, _ = one_worker
    assert ended == [20_000, 40, 40, 20]
    assert [row["steps"] for row in rows] == [20, 20_000, 40, 40]


@pytest.mark.slow
def test_the_result_does_not_depend_on_who_trained_it(one_worker, tmp_path):
    """A worker whose program for seed 0 had trained seed 1 before, or this process, where it is the other way round."""
    for run, row in zip(PAIR, one_worker[0][2:], strict=True):
        assert train(run, tmp_path)["train"]["reconstruction_error"] == row["train_error"]


def _killed_sweep(run, out):
    """A sweep of one run whose worker is killed as soon as the run has a checkpoint."""
    folder, over = out / run.run_id, threading.Event()

    def kill():
        while not checkpoint.steps(folder / "checkpoints"):
            if over.wait(0.01):
                return
        os.kill(soak.locked(folder), signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    (row,) = sweep([run], out)
    over.set()
    thread.join()
    assert row["status"] == "error"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("network", "threads"),
    [
        (Network(depth=2, width=256), 1),
        (Network(architecture="convolutional", depth=1, base_channels=32), len(os.sched_getaffinity(0))),
    ],
)
def test_a_killed_run_resumes_on_as_many_threads_bit_for_bit(network, threads, tmp_path):
    """Whatever else is left to train: a second worker would leave a new run half of the cores."""
    run = tiny(steps=24, batch=8, log_every=2, evaluate_every=24, checkpoint_every=4, objective=Objective(kind="ae"))
    run = replace(run, {"network": network, "data": Data(name=MINI, train=32, test=8, resize=(32, 32))})
    whole, torn = tmp_path / "whole", tmp_path / "torn"
    train(run, whole) if threads == 1 else sweep([run], whole)  # this process has one thread
    _killed_sweep(run, torn)
    sweep([run], torn, jobs=2)
    assert soak.differences(torn / run.run_id, whole / run.run_id) == []
    results = [RunDirectory(out / run.run_id, run).result for out in (whole, torn)]
    assert results[0]["pca_error"] == results[1]["pca_error"]
    sessions = RunDirectory(torn / run.run_id, run).sessions
    assert [session["threads"] for session in sessions] == [threads, threads]


def _threads(run, out, **how):
    return threads_of(RunDirectory(out / run.run_id, run), 8, **how)


def test_threads_are_one_where_one_core_is_enough_and_else_what_is_available(tmp_path):
    dense = Run(network=Network(depth=3))
    assert _threads(dense, tmp_path) == 1
    assert _threads(dense, tmp_path, one_device=False) == 8
    for architecture in ("convolutional", "residual"):
        narrow, wide = (Run(network=Network(architecture=architecture, base_channels=n)) for n in (16, 32))
        assert (_threads(narrow, tmp_path), _threads(wide, tmp_path)) == (1, 8)
    assert by_threads([dense, wide, narrow], tmp_path, 8, one_device=True) == [(8, [wide]), (1, [dense, narrow])]
    assert [auto_jobs(threads, cores=8) for threads in (1, 2, 3, 8, 16)] == [8, 4, 2, 1, 1]


@pytest.mark.parametrize(
    ("first", "threads"),
    [
        ({"threads": 3}, 3),
        ({"machine": "A processor, 2 of 64 cores"}, 2),  # as written before threads were
        ({"machine": "2 of 64"}, 8),
        ({"threads": "3"}, 8),
        ({"threads": 10**9}, 8),
        ({"threads": 0}, 8),
    ],
)
def test_a_run_goes_on_with_the_threads_of_its_first_session(first, threads, tmp_path):
    run = Run(network=Network(architecture="convolutional"))
    (tmp_path / run.run_id).mkdir()
    session = {"commit": "a", "machine": "a", "versions": {}}
    facts = session | {"threads": 5, "earlier": [session | first, session | {"threads": 6}]}
    (tmp_path / run.run_id / "environment.json").write_text(json.dumps(facts))
    assert _threads(run, tmp_path) == threads


def test_the_run_with_most_arithmetic_is_last():
    lengths = [(2, 100), (1, 100), (2, 1_000), (10, 100)]
    runs = [tiny(steps=steps, batch=16) for _, steps in lengths]
    runs = [replace(run, {"network.depth": depth}) for run, (depth, _) in zip(runs, lengths, strict=True)]
    wide = replace(runs[1], {"network.width": 4_096})
    by_length = longest_last([*runs, wide])
    assert by_length == [runs[1], runs[0], runs[3], runs[2], wide]


def test_index_trains_one_run_steps_and_set_reach_it_and_list_shows_states(tmp_path, capsys):
    arguments = ["sweep", "fig1_left", "--preset", "smoke", "--steps", "10", "--set", "network.width=16"]
    arguments += ["--out", str(tmp_path)]
    assert main([*arguments, "--index", "2"]) == 0
    capsys.readouterr()
    assert main([*arguments, "--list"]) == 0
    *lines, total = capsys.readouterr().out.splitlines()
    assert len(lines) == 6
    assert [line.split()[1] for line in lines] == ["not", "not", "finished", "not", "not", "not"]
    assert "of training left" in total
    assert main(["sweep", "countermeasures", "--preset", "smoke", "--list", "--out", str(tmp_path)]) == 0
    shown = [re.sub("-[0-9a-f]{10}", "", line.split(maxsplit=1)[1]) for line in capsys.readouterr().out.splitlines()]
    assert len(set(shown)) == len(shown) == 28 + 1  # told apart by more than their ids
    assert any(line.endswith("-s0  initialiser he_normal") for line in shown)
    assert main([*arguments, "--list", "--seeds", "3"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 18 + 1
    (folder,) = (tmp_path / "runs").iterdir()
    run = Run.from_json((folder / "config.json").read_text())
    assert (run.training.steps, run.network.width, run.objective.kind) == (10, 16, "vae")
    smoke = load_study("fig1_left").runs("smoke")[2]
    assert run.training.halve_every == smoke.training.halve_every // 2
    assert replace(run, {"seed": 1}).run_id != run.run_id
    with (folder / "metrics.csv").open() as file:
        assert [row["step"] for row in csv.DictReader(file)] == ["10"]


def _group(process):
    with contextlib.suppress(ProcessLookupError):
        return os.getpgid(process.pid)
    return None


@pytest.mark.slow
def test_ctrl_c_stops_every_process_and_the_same_command_goes_on(tmp_path):
    study = tmp_path / "long.py"
    study.write_text(
        """
from examples import tiny
from tfcollapse.claims import depth_claims
from tfcollapse.figures import depth_figure
from tfcollapse.studies.study import Study
often = {"log_every": 50, "evaluate_every": 500, "checkpoint_every": 500}
runs = [tiny(steps=steps, **often) for steps in (6_000, 6_500)]
STUDY = Study(title="t", presets={"quick": runs}, draw=depth_figure, claims=depth_claims)
"""
    )
    arguments = [sys.executable, "-m", "tfcollapse", "sweep", str(study), "--jobs", "2", "--out", str(tmp_path / "out")]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "tests" / "tools")}
    sweeping = subprocess.Popen(
        arguments, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, process_group=0
    )
    folders = [
        RunDirectory(tmp_path / "out" / "runs" / run.run_id, run) for run in load_study(str(study)).runs("quick")
    ]
    paused = set()
    while len(paused) < len(folders):
        assert sweeping.poll() is None, sweeping.communicate()
        for folder in folders:
            if folder.path not in paused and checkpoint.steps(folder.checkpoints):  # it waits for the other one
                os.kill(int((folder.path / "lock").read_text().split()[1]), signal.SIGSTOP)
                paused.add(folder.path)
        time.sleep(0.02)
    os.killpg(sweeping.pid, signal.SIGINT)  # as a terminal does: to every process of the group
    os.killpg(sweeping.pid, signal.SIGCONT)
    _, said = sweeping.communicate(timeout=600)
    assert sweeping.returncode == 130
    assert said.splitlines()[-1] == "tfcollapse: stopped; the same command goes on from the last checkpoints"
    assert "Traceback" not in said
    psutil.wait_procs([process for process in psutil.process_iter() if _group(process) == sweeping.pid], timeout=60)
    assert not [process for process in psutil.process_iter() if _group(process) == sweeping.pid]
    assert main([*arguments[3:], "--jobs", "1"]) == 0
    assert all(folder.sessions[-1]["resumed_from"] >= 500 for folder in folders)
