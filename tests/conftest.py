"""What every test has around it: quiet frameworks, signals that are heard, a cache of its own."""

import json
import os
import signal
import subprocess
import sys
import types

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("MPLBACKEND", "agg")
os.environ["TF_NUM_INTRAOP_THREADS"] = "1"  # as the command line trains what the tests train

import pytest
from hypothesis import settings

settings.register_profile("shared machine", deadline=None)
settings.load_profile("shared machine")


def pytest_sessionstart(session):
    # Started in the background, a shell has Ctrl-C ignored, in every process that follows.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    """Decoded images of the tests lie in a directory of the session's own, which all its workers share."""
    place = tmp_path_factory.getbasetemp()
    shared = place.parent if "PYTEST_XDIST_WORKER" in os.environ else place
    monkeypatch.setenv("TFCOLLAPSE_CACHE", str(shared / "cache"))


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """A finished run's directory, for reading."""
    from examples import tiny

    from tfcollapse.training.trainer import train

    run, out = tiny(), tmp_path_factory.mktemp("finished")
    train(run, out)
    return out / run.run_id


@pytest.fixture
def small_disk(tmp_path):
    """A real file system of 4 MiB, where one may be mounted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", folder], capture_output=True)
    if mounted.returncode:
        pytest.skip("a file system cannot be mounted here: " + mounted.stderr.decode().strip())
    yield folder
    subprocess.run(["umount", folder], check=True)


CHECKS = """
import contextlib, io, json, runpy, sys
main = runpy.run_path(sys.argv[1])["main"]
for line in sys.stdin:
    said, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(errors):
        status = main(*json.loads(line))
    print(json.dumps([status, said.getvalue(), errors.getvalue()]), flush=True)
"""


@pytest.fixture(scope="session")
def checking():
    """A process that knows nothing of this package and checks export after export, as a fresh one does each."""
    from tfcollapse.exports import reload_check

    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(
        [sys.executable, "-I", "-c", CHECKS, reload_check.__file__], env=os.environ, **pipes
    ) as process:
        yield process
        process.stdin.close()


@pytest.fixture
def one_process(checking, monkeypatch):
    """SavedModels are checked in `checking`, so that TensorFlow starts once and not with every export."""
    from tfcollapse.exports import reload_check

    def run(command, **options):
        assert command[:3] == [sys.executable, "-I", "-c"]
        assert command[5] == reload_check.__file__
        checking.stdin.write(json.dumps(command[6:]) + "\n")
        checking.stdin.flush()
        return subprocess.CompletedProcess(command, *json.loads(checking.stdout.readline()))

    monkeypatch.setattr("tfcollapse.exports.reload.subprocess", types.SimpleNamespace(run=run))
