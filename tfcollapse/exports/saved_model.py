"""A trained model as a SavedModel that needs nothing of ours, or as a .keras file; reloaded, compared, then kept."""

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
from tfcollapse.errors import ConfigError, RunError
from tfcollapse.exports import reload_check
from tfcollapse.exports.signatures import answers, endpoints
from tfcollapse.models.autoencoder import Autoencoder, load_model
from tfcollapse.records.files import disk_errors
from tfcollapse.records.run_directory import Row, RunDirectory, read_config

METADATA = "assets.extra/tfcollapse.json"
"""Where a SavedModel says what it is: SavedModel's own place for what its users add."""

_CHECK_SECONDS = 600


def export(
    model: Autoencoder,
    path: str | os.PathLike[str],
    *,
    input_type: Literal["float32", "uint8"] = "float32",
    metadata: dict[str, Any] | None = None,
    force: bool = False,
) -> Row:
    """Write `model` to `path`, reload it in a fresh process, compare, and only then let it stand there.

    A path that ends in .keras becomes a Keras file, which `tfcollapse.load_model` reads; any other a SavedModel with
    the signatures `encode`, `decode`, `reconstruct`, `sample` (of a VAE) and `serving_default`, and METADATA.

    Args:
      model: an AE or a VAE, trained under any strategy.
      input_type: of the images that a SavedModel takes: float32 in [0, 1], or uint8, which it divides by 255.
      metadata: what to keep beside the model's own gamma and objective.
      force: replace an earlier export at `path`.

    Returns:
      "path", "signatures" with their inputs and outputs, "largest_difference" from this process' own answers.

    Raises:
      ConfigError: the path is taken. RunError: it cannot be written, or the reloaded model answers otherwise.
    """
    if not isinstance(model, Autoencoder):
        raise ConfigError(f"export: expected a tfcollapse.Autoencoder, received {type(model).__name__}")
    if input_type not in ("float32", "uint8"):
        raise ConfigError(f"export: input type: expected float32 or uint8, received '{input_type}'")
    target = pathlib.Path(path)
    plain = Autoencoder.from_config(model.get_config())  # without the strategy that the variables may belong to
    plain.set_weights(model.get_weights())
    with _new(target, force) as partial:
        if target.suffix == ".keras":
            plain.save(partial)
        else:
            _write(plain, partial, input_type, {**_facts(plain, input_type), **(metadata or {})})
        found = _reloaded(plain, partial, input_type)
    return {"path": str(target), **found}


def export_run(directory: pathlib.Path, path: pathlib.Path, *, input_type: Any = "float32", force: bool = False) -> Row:
    """`export` of a finished run's model, with its configuration, result and commit as metadata."""
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
    return export(load_model(directory / "model.keras"), path, input_type=input_type, metadata=facts, force=force)


@contextlib.contextmanager
def _new(target: pathlib.Path, force: bool) -> Iterator[pathlib.Path]:
    """A path to write to, which becomes `target` when all went well; what stood there is kept until then."""
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
    except tf.errors.OpError as error:  # a full disk, as TensorFlow says it
        reason = str(error.message).splitlines()[0].rpartition("; ")[2].partition(" [Op")[0][:200]
        raise RunError(f"'{target}': {reason}: free space, or choose another target") from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _facts(model: Autoencoder, input_type: str) -> dict[str, Any]:
    """What a reader needs to know of the model alone."""
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


def _reloaded(model: Autoencoder, path: pathlib.Path, input_type: str) -> Row:
    """What a fresh process makes of the export at `path`. Raises RunError unless it answers as `model` does."""
    keras_file = path.suffix == ".keras"
    draws = np.random.default_rng(0)
    images = draws.integers(0, 256, (3, *model.image_shape)).astype(np.uint8)
    images = images / np.float32(255) if keras_file or input_type == "float32" else images
    given = {"images": images, "latents": draws.standard_normal((3, model.latent_dim)).astype(np.float32)}
    given |= {"count": np.int32(3), "seed": np.int32(5)}
    expected = answers(model, given, "float32" if keras_file else input_type)
    with tempfile.TemporaryDirectory() as folder:
        np.savez(f"{folder}/given.npz", **given)
        np.savez(f"{folder}/expected.npz", **expected)
        command = (
            [sys.executable, "-m", "tfcollapse.exports.signatures"] if keras_file else [sys.executable, "-I", _SCRIPT]
        )
        ran = subprocess.run(
            [*command, str(path), folder], capture_output=True, text=True, timeout=_CHECK_SECONDS, env=_quiet()
        )
    if ran.returncode:
        last = (ran.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise RunError(f"export: the model that was written does not answer as this one does: {last[:300]}")
    return json.loads(ran.stdout)


_SCRIPT = str(pathlib.Path(reload_check.__file__).resolve())


def _quiet() -> dict[str, str]:
    return os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
