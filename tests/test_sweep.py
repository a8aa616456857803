import contextlib
import csv
import os
import signal
import subprocess
import sys
import threading
import time

import psutil
import pytest
from examples import tiny
from processes import ROOT, command

from tfcollapse.cli import main
from tfcollapse.config import Network, Objective, Run
from tfcollapse.record import RunDirectory
from tfcollapse.study import load_study, study_names
from tfcollapse.sweep import auto_jobs, sweep
from tfcollapse.table import read_table
from tfcollapse.training import checkpoint
from tfcollapse.variants import replace


@pytest.mark.parametrize("study", study_names())
def test_every_study_s_smoke_preset_runs_from_declaration_to_figure_and_again(study, tmp_path):
    answer = command("sweep", study, "--preset", "smoke", "--out", str(tmp_path))
    assert answer.returncode == 0, answer.stderr
    assert answer.stderr == ""
    rows = read_table(tmp_path / f"{study}.csv")
    assert [row["run_id"] for row in rows] == [run.run_id for run in load_study(study).runs("smoke")]
    assert {row["status"] for row in rows} == {"finished"}
    assert {row["command"] for row in rows} == {f"tfcollapse sweep {study} --preset smoke --out {tmp_path}"}
    assert all(row["train_error"] > 0 and row["commit"] and row["machine"] for row in rows)
    for kind in ("png", "pdf", "md"):
        assert (tmp_path / f"{study}.{kind}").stat().st_size > 500
    written = {path: path.stat().st_mtime_ns for path in (tmp_path / "runs").glob("*/*")}
    again = command("sweep", study, "--preset", "smoke", "--out", str(tmp_path))
    assert again.returncode == 0, again.stderr
    assert f"{len(rows)} of {len(rows)} runs have ended before and are kept" in again.stdout
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "runs").glob("*/*")} == written


def test_a_failed_run_does_not_stop_the_others_and_the_status_says_so(tmp_path, capfd):
    study = tmp_path / "mixed.py"
    study.write_text(
        """
from examples import tiny
from tfcollapse.claims import depth_claims
from tfcollapse.config import Objective
from tfcollapse.figures import depth_figure
from tfcollapse.study import Study
runs = [tiny(objective=Objective(kind="ae"), learning_rate=rate) for rate in (1e18, 1e-3)]
STUDY = Study(title="t", presets={"quick": runs}, draw=depth_figure, claims=depth_claims)
"""
    )
    assert main(["sweep", str(study), "--out", str(tmp_path / "out")]) == 1
    statuses = [row["status"] for row in read_table(tmp_path / "out" / "mixed.csv")]
    assert statuses == ["failed", "finished"]
    said = capfd.readouterr().err.splitlines()
    assert "not finite at step" in said[0]
    assert said[-1] == "tfcollapse: 1 of 2 runs did not finish"
    assert (tmp_path / "out" / "mixed.png").exists()
    assert "1 of 2 runs missing" in (tmp_path / "out" / "mixed.md").read_text()


def test_a_worker_that_dies_is_replaced_and_its_run_resumes_next_time(tmp_path):
    long = tiny(steps=20_000, log_every=20, evaluate_every=200, checkpoint_every=200)
    short = [tiny(seed=seed) for seed in (1, 2)]
    folder = RunDirectory(tmp_path / long.run_id, long)
    killed = []

    def kill():
        while not checkpoint.steps(folder.checkpoints):
            time.sleep(0.02)
        (worker,) = [
            child
            for child in psutil.Process().children(recursive=True)
            if any(file.path == str(folder.path / "lock") for file in child.open_files())
        ]
        os.kill(worker.pid, signal.SIGKILL)
        killed.append(worker.pid)

    thread = threading.Thread(target=kill)
    thread.start()
    rows = sweep([long, *short], tmp_path, jobs=1)
    thread.join()
    assert killed
    assert [row["status"] for row in rows] == ["error", "finished", "finished"]
    assert "worker process died (exit code -9); run again to resume it" in rows[0]["reason"]
    assert checkpoint.steps(folder.checkpoints)[-1] >= 200


def test_the_longest_runs_go_first_and_rows_keep_their_order(tmp_path):
    runs = [tiny(steps=20), tiny(steps=40), tiny(steps=30)]
    ended = []
    rows = sweep(runs, tmp_path, jobs=1, ended=lambda run, result: ended.append(run.training.steps))
    assert ended == [40, 30, 20]
    assert [row["steps"] for row in rows] == [20, 40, 30]


def test_the_result_does_not_depend_on_who_trained_it(tmp_path):
    runs = [tiny(seed=seed, objective=Objective(kind="ae")) for seed in (0, 1)]
    alone = sweep(runs, tmp_path / "one", jobs=1)
    pair = sweep(runs, tmp_path / "two", jobs=2)
    for a, b in zip(alone, pair, strict=True):
        # One thread or two order their float sums differently.
        assert a["train_error"] == pytest.approx(b["train_error"], rel=1e-5)


def test_auto_jobs_gives_each_core_a_dense_run():
    dense = [Run(network=Network(depth=depth)) for depth in (1, 2, 3)]
    assert auto_jobs(dense, cores=2) == 2
    assert auto_jobs(dense, cores=8) == 3
    assert auto_jobs([], cores=2) == 1


def test_index_trains_one_run_and_list_shows_states(tmp_path, capsys):
    arguments = ["sweep", "fig1_left", "--preset", "smoke", "--out", str(tmp_path)]
    assert main([*arguments, "--index", "2"]) == 0
    capsys.readouterr()
    assert main([*arguments, "--list"]) == 0
    *lines, total = capsys.readouterr().out.splitlines()
    assert len(lines) == 6
    assert [line.split()[1] for line in lines] == ["not", "not", "finished", "not", "not", "not"]
    assert "of training left" in total
    assert main([*arguments, "--list", "--seeds", "3"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 18 + 1


def test_steps_and_set_reach_the_runs(tmp_path, capsys):
    arguments = ["sweep", "fig1_left", "--preset", "smoke", "--steps", "10", "--set", "network.width=16"]
    assert main([*arguments, "--out", str(tmp_path), "--index", "1"]) == 0
    (folder,) = (tmp_path / "runs").iterdir()
    run = Run.from_json((folder / "config.json").read_text())
    assert (run.training.steps, run.network.width, run.objective.kind) == (10, 16, "vae")
    smoke = load_study("fig1_left").runs("smoke")[1]
    assert run.training.halve_every == smoke.training.halve_every // 2
    assert replace(run, {"seed": 1}).run_id != run.run_id
    with (folder / "metrics.csv").open() as file:
        assert [row["step"] for row in csv.DictReader(file)] == ["10"]


def _group(process):
    with contextlib.suppress(ProcessLookupError):
        return os.getpgid(process.pid)
    return None


def test_ctrl_c_stops_every_process_and_the_same_command_goes_on(tmp_path):
    study = tmp_path / "long.py"
    study.write_text(
        """
from examples import tiny
from tfcollapse.claims import depth_claims
from tfcollapse.figures import depth_figure
from tfcollapse.study import Study
often = {"log_every": 50, "evaluate_every": 500, "checkpoint_every": 500}
runs = [tiny(steps=steps, **often) for steps in (9_000, 9_500)]
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
    while not all(checkpoint.steps(folder.checkpoints) for folder in folders):
        assert sweeping.poll() is None, sweeping.communicate()
        time.sleep(0.05)
    os.killpg(sweeping.pid, signal.SIGINT)  # as a terminal does: to every process of the group
    _, said = sweeping.communicate(timeout=300)
    assert sweeping.returncode == 130
    assert said.splitlines()[-1] == "tfcollapse: stopped; the same command goes on from the last checkpoints"
    assert "Traceback" not in said
    psutil.wait_procs([process for process in psutil.process_iter() if _group(process) == sweeping.pid], timeout=60)
    assert not [process for process in psutil.process_iter() if _group(process) == sweeping.pid]
    again = subprocess.run(arguments, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert again.returncode == 0, again.stderr
    assert all(folder.sessions[-1]["resumed_from"] >= 500 for folder in folders)
