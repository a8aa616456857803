"""What every test has around it: quiet frameworks, signals that are heard, a cache of its own."""

import os
import signal
import subprocess

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
