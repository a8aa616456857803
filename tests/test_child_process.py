"""Processes that this package starts: what they import, and when they end."""

import subprocess
import sys
import time

import psutil
import pytest
from processes import ROOT

from tfcollapse.child_process import ChildProcess
from tfcollapse.studies.worker import train_groups

HOSTILE = ("multiprocessing", "tfcollapse", "numpy", "json", "subprocess", "threading", "dataclasses", "pickle")


@pytest.fixture
def hostile(tmp_path, monkeypatch):
    """A working directory whose modules leave a mark where they are imported."""
    for name in HOSTILE:
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'a').write('{name} ')")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_child_imports_nothing_from_the_working_directory(hostile):
    child = ChildProcess(train_groups, hostile, {})
    child.connection.send([])
    child.wait()
    assert child.exit_code == 0
    assert not (hostile / "ran").exists()


def test_the_command_as_a_module_imports_what_is_installed(hostile):
    (hostile / "tfcollapse.py").unlink()  # Python itself would run it in place of the package
    for name in ("json", "subprocess", "threading", "dataclasses"):  # and these, before the package is reached
        (hostile / f"{name}.py").unlink()
    command = [sys.executable, "-m", "tfcollapse", "sweep", "fig1_left", "--preset", "smoke", "--list"]
    ran = subprocess.run(command, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert not (hostile / "ran").exists(), (hostile / "ran").read_text()


def test_a_child_ends_with_its_parent_and_not_at_ctrl_c(tmp_path):
    code = """
import pathlib, time
from tfcollapse.child_process import ChildProcess
from tfcollapse.studies.worker import train_groups
child = ChildProcess(train_groups, pathlib.Path("out"), {})
print(child._process.pid, flush=True)
time.sleep(600)
"""
    parent = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    child = psutil.Process(int(parent.stdout.readline()))
    while "import importlib.util" not in " ".join(child.cmdline()) or child.num_threads() < 2:
        time.sleep(0.05)  # until it has begun to watch its parent
    child.send_signal(2)
    time.sleep(0.3)
    assert child.is_running()
    parent.kill()
    parent.communicate()
    child.wait(timeout=10)


def test_a_child_whose_last_reference_goes_ends():
    child = ChildProcess(train_groups, ROOT, {})
    process = psutil.Process(child._process.pid)
    del child
    assert not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
