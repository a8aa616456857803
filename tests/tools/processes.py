"""Fresh processes, as a user starts them."""

import json
import os
import pathlib
import subprocess
import sys
from typing import Any

ROOT = pathlib.Path(__file__).parents[2]


def python(code: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
    """Run code in a fresh interpreter."""
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=900,
    )


def under_jax(code: str) -> Any:
    """Run code that may import the tests in a fresh interpreter with JAX, and return what it prints last, as JSON."""
    path = os.pathsep.join(str(ROOT / folder) for folder in ("tests", "tests/tools"))
    found = python(code, KERAS_BACKEND="jax", CUDA_VISIBLE_DEVICES="-1", PYTHONPATH=path)
    assert found.returncode == 0, found.stderr[-3000:]
    return json.loads(found.stdout.splitlines()[-1])


def command(*arguments: str, **environment: str) -> subprocess.CompletedProcess:
    """Run the command line in a fresh process."""
    return subprocess.run(
        [sys.executable, "-m", "tfcollapse", *arguments],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=900,
    )
