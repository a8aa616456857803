"""Reload an export in a fresh process, which imports nothing from the working directory."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import keras
import numpy as np
import tensorflow as tf

import tfcollapse
from tfcollapse.errors import DivergedError, RunError
from tfcollapse.exports import reload_check, signatures
from tfcollapse.exports.functions import Functions
from tfcollapse.records.run_directory import Row

_SECONDS = 600

_START = (
    "import json, runpy, sys; del sys.argv[0]; sys.path += json.loads(sys.argv.pop(0)); "
    "runpy.run_path(sys.argv[0], run_name='__main__')"
)
"""Run a script with more places to import from, which come after those of Python itself."""


def reload(model: Functions, path: pathlib.Path, input_type: str) -> Row:
    """Reload the export at `path` in a fresh process.

    Args:
      model: what the export must answer as.
      input_type: the type of the examples that the export takes.

    Returns:
      "signatures" and "largest_difference", and how many modules of this package the process imported.

    Raises:
      DivergedError: `model` itself answers numbers that are not finite.
      RunError: the reloaded model does not answer as `model` does, or not in time.
    """
    script, packages = (signatures, [tfcollapse]) if path.suffix == ".keras" else (reload_check, [])
    places = [str(pathlib.Path(package.__file__).resolve().parents[1]) for package in (np, tf, keras, *packages)]
    with tempfile.TemporaryDirectory() as folder:
        _write(folder, model, input_type)
        try:
            process = subprocess.run(
                [sys.executable, "-I", "-c", _START, json.dumps(places), script.__file__, str(path.resolve()), folder],
                capture_output=True,
                text=True,
                timeout=_SECONDS,
                env=_environment(),
                cwd=folder,
            )
        except subprocess.TimeoutExpired:
            raise RunError(
                f"export: expected an answer of the fresh process within {_SECONDS} s, received none: export again "
                "when the machine is less busy"
            ) from None
    return _said(process.returncode, process.stdout, process.stderr)


def reload_here(model: Functions, path: pathlib.Path, input_type: str) -> Row:
    """Reload a .keras file as `reload` does, but in this process, which has imported the user's own classes."""
    said, errors = io.StringIO(), io.StringIO()
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(said), contextlib.redirect_stderr(errors):
        _write(folder, model, input_type)
        try:
            status = reload_check.main(str(path), folder, signatures.of_keras_file)
        except RunError as error:
            raise RunError(f"export: the model that was written cannot be read again: {error}") from None
    return _said(status, said.getvalue(), errors.getvalue())


def _write(folder: str, model: Functions, input_type: str) -> None:
    """Write the inputs, and the answers that are expected, for `reload_check`. Raises DivergedError."""
    inputs = signatures.inputs(model, input_type)
    np.savez(f"{folder}/inputs.npz", **inputs)
    answers = signatures.answers(model, inputs, input_type)
    for name, values in answers.items():
        if not np.isfinite(values).all():
            raise DivergedError(
                f"export: expected finite answers of the model, received NaN or infinity in {name}: the model has "
                "diverged, or its weights are damaged"
            )
    np.savez(f"{folder}/expected.npz", **answers)


def _said(status: int, out: str, errors: str) -> Row:
    """Return what a check has printed. Raises RunError where it failed."""
    if status:
        last = (errors.strip().splitlines() or ["no reason given"])[-1]
        raise RunError(f"export: the model that was written does not answer as this one does: {last[:300]}")
    return json.loads(out)


def _environment() -> dict[str, str]:
    """Return the environment of the fresh process: the CPU alone, and no messages of TensorFlow."""
    return os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
