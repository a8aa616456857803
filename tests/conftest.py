import os
import pathlib
import signal
import subprocess
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("MPLBACKEND", "agg")

import pytest
from hypothesis import settings

from tfcollapse.config import Data, Network, Objective, Run, Training
from tfcollapse.data import MINI
from tfcollapse.quiet import import_tensorflow

settings.register_profile("shared machine", deadline=None)
settings.load_profile("shared machine")

ROOT = pathlib.Path(__file__).parent.parent
TFDS = os.environ.get("TFDS_DATA_DIR", "")

real_data = pytest.mark.skipif(
    not pathlib.Path(TFDS, "fashion_mnist").is_dir(), reason="no prepared datasets: TFDS_DATA_DIR names none"
)


def pytest_sessionstart(session):
    # Started in the background, a shell has Ctrl-C ignored, in every process that follows.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    import_tensorflow()


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    """Decoded images of the tests lie in a directory of the session's own."""
    monkeypatch.setenv("TFCOLLAPSE_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """A finished run's directory, for reading."""
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


def tiny(*, objective: Objective | None = None, seed: int = 0, **training) -> Run:
    """A run of the packaged images that takes a second."""
    settings = {"steps": 40, "batch": 16, "log_every": 10, "evaluate_every": 20, "checkpoint_every": 20}
    return Run(
        data=Data(name=MINI, train=200, test=50),
        network=Network(depth=2, width=24, latent_dim=6),
        objective=objective or Objective(gamma="optimal"),
        training=Training(**settings | training),
        seed=seed,
    )


def python(code: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
    """Run code in a fresh interpreter."""
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=300,
    )


def command(*arguments: str, **environment: str) -> subprocess.CompletedProcess:
    """Run the command line in a fresh process."""
    return subprocess.run(
        [sys.executable, "-m", "tfcollapse", *arguments],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=300,
    )


def table_row(**values) -> dict:
    """A row of a study's table: a finished AE of the paper's length, but for what `values` say."""
    row = {
        "run_id": "ae",
        "status": "finished",
        "reason": None,
        "objective": "AE",
        "gamma_mode": None,
        "gamma_start": None,
        "warmup_steps": None,
        "architecture": "dense",
        "depth": 2,
        "base_channels": None,
        "block_depth": None,
        "latent_dim": 64,
        "initializer": "glorot_uniform",
        "seed": 0,
        "steps": 250_000,
        "batch": 64,
        "learning_rate": 2e-4,
        "halve_every": 100_000,
        "dataset": "fashion_mnist 3.0.1",
        "image_shape": "28x28x1",
        "train_images": 60_000,
        "test_images": 10_000,
        "mean_predictor_error": 0.087,
        "pca_error": 0.0103,
        "seconds": 10.0,
        "commit": "abc",
        "machine": "here",
        "versions": "numpy 2",
        "command": "tfcollapse sweep fig1_left",
    }
    return row | values
