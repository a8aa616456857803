"""Export a trained model as a SavedModel, which needs nothing of this package, or as a .keras file."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf

import tfcollapse
from tfcollapse.config.annotations import arguments_checked
from tfcollapse.errors import ConfigError, RunError
from tfcollapse.exports import reload_check
from tfcollapse.exports.signatures import answers, endpoints
from tfcollapse.models.autoencoder import Autoencoder, load_model
from tfcollapse.records.files import disk_errors
from tfcollapse.records.run_directory import Row, RunDirectory, read_config

METADATA = "assets.extra/tfcollapse.json"
"""The file of a SavedModel that says what it is. TensorFlow leaves this folder to the users of the format."""

_CHECK_SECONDS = 600


@arguments_checked
def export(
    model: Autoencoder,
    path: str | os.PathLike[str],
    *,
    input_type: Literal["float32", "uint8"] = "float32",
    metadata: dict[str, Any] | None = None,
    force: bool = False,
) -> Row:
    """Write `model`, reload it in a fresh process, compare the answers, and only then put it at `path`.

    A path that ends in .keras becomes a Keras file, which `tfcollapse.load_model` reads. Any other becomes a SavedModel
    with the signatures `encode`, `decode`, `reconstruct`, `sample` (of a VAE) and `serving_default`, and METADATA.

    Args:
      model: an AE or a VAE, trained under any strategy.
      input_type: the type of the images that a SavedModel takes: float32 in [0, 1], or uint8, which it divides by 255.
      path: the target.
      metadata: facts to keep beside the model's own gamma and objective.
      force: whether to replace an earlier export at `path`.

    Returns:
      "path"; "signatures" with their inputs and outputs; and "largest_difference" from the answers of this process.

    Raises:
      ConfigError: something stands at the path already.
      RunError: the path cannot be written, or the reloaded model gives other answers.
    """
    if not isinstance(model, Autoencoder):
        raise ConfigError(f"export: expected a tfcollapse.Autoencoder, received {type(model).__name__}")
    if input_type not in ("float32", "uint8"):
        raise ConfigError(f"export: input type: expected float32 or uint8, received '{input_type}'")
    target = pathlib.Path(path)
    plain = Autoencoder.from_config(model.get_config())  # it leaves out the strategy of the variables
    plain.set_weights(model.get_weights())
    with _replacing(target, force) as partial:
        if target.suffix == ".keras":
            plain.save(partial)
        else:
            _write(plain, partial, input_type, {**_facts(plain, input_type), **(metadata or {})})
        reloaded = _reload(plain, partial, input_type)
    return {"path": str(target), **reloaded}


def export_run(directory: pathlib.Path, path: pathlib.Path, *, input_type: Any = "float32", force: bool = False) -> Row:
    """Export the model of a finished run, with its configuration, result and commit as metadata.

    Args:
      directory: the run's directory.
      path, input_type, force: as for `export`.

    Raises:
      RunError: the run has not finished, or as for `export`.
      ConfigError: as for `export`.
    """
    run = read_config(directory)
    record = RunDirectory(directory, run)
    result = record.result
    if result is None or result.get("status") != "finished":
        raise RunError(f"run '{directory}': expected a finished run, received one without a model; train it to its end")
    facts = {
        "run_id": run.run_id,
        "config": json.loads(run.to_json()),
        "data": result["source"],
        "train_error": result["train"]["reconstruction_error"],
        "commit": (record.sessions or [{}])[-1].get("commit", "unknown"),
    }
    return export(load_model(record.model), path, input_type=input_type, metadata=facts, force=force)


@contextlib.contextmanager
def _replacing(target: pathlib.Path, force: bool) -> Iterator[pathlib.Path]:
    """Yield a path to write to, and move it to `target` afterwards.

    What stood at `target` is kept until the body of the `with` statement has succeeded.
    """
    if target.exists() or target.is_symlink():
        earlier = (target / "saved_model.pb").exists() or (target.is_file() and target.suffix == ".keras")
        if not force:
            raise ConfigError(f"export target '{target}' exists: choose another, or --force to replace it")
        if not earlier or target.is_symlink():
            raise ConfigError(f"export target '{target}': --force replaces an earlier export, and this is none")
    with disk_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        folder = pathlib.Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        with disk_errors(target):
            yield folder / target.name
            if target.exists():
                target.rename(folder / "before")
            (folder / target.name).rename(target)
    except tf.errors.OpError as error:  # TensorFlow reports a full disk in this way
        reason = str(error.message).splitlines()[0].rpartition("; ")[2].partition(" [Op")[0][:200]
        raise RunError(f"'{target}': {reason}: free space, or choose another target") from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _facts(model: Autoencoder, input_type: str) -> dict[str, Any]:
    """Return what a reader of the export must know about the model."""
    config = model.get_config()
    return {
        "tfcollapse": tfcollapse.__version__,
        "tensorflow": tf.__version__,
        "gamma": None if model.gamma is None else float(model.gamma),
        "objective": config["objective"],
        "image_shape": list(model.image_shape),
        "latent_dim": model.latent_dim,
        "images": "float32 in [0, 1]" if input_type == "float32" else "uint8, divided by 255 inside",
    }


def _write(model: Autoencoder, path: pathlib.Path, input_type: str, metadata: dict[str, Any]) -> None:
    archive = keras.export.ExportArchive()
    archive.track(model)
    for name, (function, inputs) in endpoints(model, input_type).items():
        archive.add_endpoint(name, function, input_signature=inputs)
    archive.write_out(str(path), verbose=False)
    (path / METADATA).parent.mkdir(exist_ok=True)
    (path / METADATA).write_text(json.dumps(metadata, indent=1, sort_keys=True) + "\n")


def _reload(model: Autoencoder, path: pathlib.Path, input_type: str) -> Row:
    """Reload the export at `path` in a fresh process. Raises RunError where it does not answer as `model` does.

    Returns:
      "signatures" and "largest_difference", and how many modules of this package the process imported.
    """
    keras_file = path.suffix == ".keras"
    draws = np.random.default_rng(0)
    images = draws.integers(0, 256, (3, *model.image_shape)).astype(np.uint8)
    images = images / np.float32(255) if keras_file or input_type == "float32" else images
    inputs = {"images": images, "latents": draws.standard_normal((3, model.latent_dim)).astype(np.float32)}
    inputs |= {"count": np.int32(3), "seed": np.int32(5)}
    expected = answers(model, inputs, "float32" if keras_file else input_type)
    with tempfile.TemporaryDirectory() as folder:
        np.savez(f"{folder}/inputs.npz", **inputs)
        np.savez(f"{folder}/expected.npz", **expected)
        command = (
            [sys.executable, "-m", "tfcollapse.exports.signatures"] if keras_file else [sys.executable, "-I", _SCRIPT]
        )
        process = subprocess.run(
            [*command, str(path), folder], capture_output=True, text=True, timeout=_CHECK_SECONDS, env=_environment()
        )
    if process.returncode:
        last = (process.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise RunError(f"export: the model that was written does not answer as this one does: {last[:300]}")
    return json.loads(process.stdout)


_SCRIPT = str(pathlib.Path(reload_check.__file__).resolve())


def _environment() -> dict[str, str]:
    """Return the environment of the fresh process: the CPU alone, and no messages of TensorFlow."""
    return os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
