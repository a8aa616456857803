import os
import signal
import socket
import threading
import time

import psutil
import pytest
from examples import tiny
from processes import command

from tfcollapse.cli.main import main
from tfcollapse.config.objective import Objective
from tfcollapse.errors import ConfigError
from tfcollapse.records.run_directory import RunDirectory
from tfcollapse.studies.sweep import sweep
from tfcollapse.training import checkpoint

ray = pytest.importorskip("ray", reason="the extra 'ray' is not installed")
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")  # Ray's own sockets and processes

from tfcollapse.studies.ray_sweep import ray_sweep  # noqa: E402


@pytest.fixture(scope="module")
def two_nodes():
    """The address of a cluster of two nodes, one CPU each: real processes, as on two machines."""
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "num_gpus": 0})
    cluster.add_node(num_cpus=1, num_gpus=0)
    yield cluster.address
    cluster.shutdown()


def _holder(folder: RunDirectory) -> psutil.Process:
    """The process that trains in `folder`: it holds the lock."""
    lock = str(folder.path / "lock")
    for process in psutil.process_iter():
        try:
            if any(file.path == lock for file in process.open_files()):
                return process
        except (psutil.AccessDenied, psutil.NoSuchProcess):
            continue
    raise AssertionError(f"nobody holds {lock}")


@pytest.mark.slow
def test_a_cluster_trains_the_sweep_and_a_killed_worker_s_run_resumes(two_nodes, tmp_path, monkeypatch):
    long = tiny(steps=3_000, log_every=20, evaluate_every=200, checkpoint_every=200)
    runs = [long, tiny(seed=1), tiny(seed=2, objective=Objective(kind="ae"))]
    folder = RunDirectory(tmp_path / "ray" / long.run_id, long)
    killed, reports = [], []

    def kill():
        while not checkpoint.steps(folder.checkpoints):
            time.sleep(0.02)
        worker = _holder(folder)
        killed.append(worker.pid)
        os.kill(worker.pid, signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    rows = ray_sweep(runs, tmp_path / "ray", address=two_nodes, report=reports.append)
    thread.join()
    assert killed
    assert [row["status"] for row in rows] == ["finished"] * 3
    assert len(folder.sessions) == 2
    assert folder.sessions[-1]["resumed_from"] >= 200
    assert {report.run_id for report in reports} >= {long.run_id}
    core = min(os.sched_getaffinity(0))
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {core})  # one core, as on the cluster
    alone = sweep(runs, tmp_path / "alone", jobs=1)
    for ours, theirs in zip(rows, alone, strict=True):
        assert ours["run_id"] == theirs["run_id"]
        assert ours["train_error"] == pytest.approx(theirs["train_error"], rel=1e-5)


@pytest.mark.slow
def test_the_command_line_takes_an_address_and_writes_the_same_table(two_nodes, tmp_path, capsys):
    arguments = ["sweep", "fig1_left", "--preset", "smoke", "--only", "objective.kind=ae", "--out", str(tmp_path)]
    answer = command(*arguments, "--ray", two_nodes)
    assert answer.returncode == 0, answer.stderr
    assert answer.stderr == ""
    assert (tmp_path / "fig1_left.png").exists()
    assert main(arguments) == 0  # nothing is left to train
    assert "2 of 2 runs have ended before" in capsys.readouterr().out


@pytest.mark.slow
def test_what_no_node_can_give_is_refused_in_one_line(two_nodes, tmp_path, capfd):
    arguments = ["sweep", "fig2", "--preset", "smoke", "--ray", two_nodes, "--gpus", "2", "--out", str(tmp_path)]
    assert main(arguments) == 2
    said = capfd.readouterr().err
    assert "expected a node with 1 CPUs and 2 GPUs" in said
    assert len(said.splitlines()) == 1
    for share in ("-1", "1.5", "nan", "0.00001"):
        with pytest.raises(ConfigError, match="expected a whole number"):
            ray_sweep([tiny()], tmp_path, address=two_nodes, cpus=float(share))


def test_shares_without_a_cluster_are_one_line(tmp_path, capsys):
    assert main(["sweep", "fig2", "--preset", "smoke", "--out", str(tmp_path), "--cpus", "2"]) == 2
    assert "expected --ray with them" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("address", "said"),
    [("nonsense", "expected HOST:PORT"), (None, "nothing answers"), ("head..cluster:6379", "nothing answers")],
)
def test_an_address_that_does_not_answer_is_one_line(address, said, tmp_path, capfd):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))  # bound and not listening
        address = address or f"127.0.0.1:{free.getsockname()[1]}"
        assert main(["sweep", "fig2", "--preset", "smoke", "--ray", address, "--out", str(tmp_path)]) == 2
    line = capfd.readouterr().err
    assert said in line
    assert len(line.splitlines()) == 1
