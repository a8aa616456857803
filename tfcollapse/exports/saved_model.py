"""Export a trained model as a SavedModel, which needs nothing of this package, or as a .keras file."""

from __future__ import annotations

import json
import os
import pathlib
from typing import Any, Literal

import keras
import tensorflow as tf

import tfcollapse
from tfcollapse.backend import need_tensorflow
from tfcollapse.config.annotations import arguments_checked
from tfcollapse.errors import ConfigError, RunError
from tfcollapse.exports.functions import Functions, of_autoencoder
from tfcollapse.exports.pair import of_pair
from tfcollapse.exports.reload import reload, reload_here
from tfcollapse.exports.signatures import endpoints
from tfcollapse.exports.target import METADATA, check_target, replacing_export
from tfcollapse.models import keras_file
from tfcollapse.models.autoencoder import Autoencoder, load_model
from tfcollapse.records.run_directory import Row, RunDirectory, read_config

_Trackable = tf.__internal__.tracking.Trackable
"""What TensorFlow can save. The variables that a plain function uses are found without it."""


@arguments_checked
def export(
    model: Any,
    path: str | os.PathLike[str],
    *,
    examples: Any = None,
    spread: str | None = None,
    joined: bool = False,
    output: str | None = None,
    input_type: Literal["float32", "uint8"] = "float32",
    metadata: dict[str, Any] | None = None,
    force: bool = False,
) -> Row:
    """Write `model`, reload it in a fresh process, compare the answers, and only then put it at `path`.

    A path that ends in .keras becomes a Keras file, which `tfcollapse.load_model` reads. Any other becomes a SavedModel
    with the signatures encode, decode, reconstruct, sample (of a VAE) and serving_default, which takes batches of any
    size. What is known of the model stands beside it in assets.extra/tfcollapse.json.

    Args:
      model: an AE or a VAE, trained under any strategy; or (encoder, decoder), any two that `tfcollapse.diagnose` takes
        and that are Keras' or TensorFlow's, which become a SavedModel. No class has to be registered for a SavedModel.
      path: the target.
      examples: of a pair, some of its data. Needed where the encoder does not declare its input's shape; what is said
        of `spread` is then checked.
      spread, joined, output: of a pair, as `tfcollapse.diagnose` takes them, but nothing is recognised: by default the
        second output is the log variance unless its name says otherwise, and the decoder's output is the mean.
      input_type: the type of the examples that a SavedModel takes: float32 as the model was trained, images in [0, 1];
        or uint8, which it divides by 255.
      metadata: facts to keep beside the model's own, such as gamma and objective, under names that those do not have.
      force: whether to replace an earlier export at `path`.

    Returns:
      "path"; "signatures" with their inputs and outputs; and "largest_difference" from the answers of this process.

    Raises:
      ConfigError: something stands at the path already, a model that cannot be exported, or such metadata.
      RunError: the path cannot be written, or the reloaded model gives other answers.

    Example:
      >>> model = tc.build(tc.Run(network=tc.Network(depth=1, width=16, latent_dim=4)), (28, 28, 1))
      >>> exported = tc.export(model, "out/vae")
      >>> sorted(exported["signatures"]), exported["largest_difference"] <= 1e-6
      (['decode', 'encode', 'reconstruct', 'sample', 'serving_default'], True)
      >>> import tensorflow as tf
      >>> vae = tf.saved_model.load("out/vae")
      >>> tuple(vae.signatures["decode"](tf.zeros((2, 4)))["reconstructions"].shape)
      (2, 28, 28, 1)
    """
    need_tensorflow("export")
    target, said = pathlib.Path(path), _text(metadata or {})
    check_target(target, force)
    functions = _functions(model, target, examples, spread, joined, output)
    facts = _facts(functions, input_type)
    taken = sorted(facts.keys() & said)
    if taken:
        raise ConfigError(f"export: metadata: expected names that the model's own facts do not have, received {taken}")
    with replacing_export(target, force) as partial:
        if isinstance(model, Autoencoder) and target.suffix == ".keras":
            in_a_fresh_process = _write_keras(model, partial)
            reloaded = (reload if in_a_fresh_process else reload_here)(functions, partial, "float32")
        else:
            _write(functions, partial, input_type, {**said, **facts})
            reloaded = reload(functions, partial, input_type)
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


def _functions(model: Any, target: pathlib.Path, examples: Any, spread: Any, joined: bool, output: Any) -> Functions:
    """Return what there is to export. Raises ConfigError."""
    of_a_pair = {"examples": examples is not None, "spread": spread, "joined": joined, "output": output}
    if isinstance(model, Autoencoder):
        given = [name for name, value in of_a_pair.items() if value]
        if given:
            raise ConfigError(f"export: expected {given[0]} with (encoder, decoder), received it with an Autoencoder")
        return of_autoencoder(model)
    if not (isinstance(model, (tuple, list)) and len(model) == 2):
        raise ConfigError(
            f"export: expected a tfcollapse.Autoencoder or (encoder, decoder), received {type(model).__name__}"
        )
    if target.suffix == ".keras":
        raise ConfigError(
            f"export target '{target.name}': expected a directory for (encoder, decoder), received a .keras file: "
            "save each of them by itself, or make a tfcollapse.Autoencoder of them"
        )
    return of_pair(*model, examples, spread, joined, output)


def _text(metadata: dict[str, Any]) -> dict[str, Any]:
    """Return metadata that JSON can hold. Raises ConfigError."""
    try:
        return json.loads(json.dumps(metadata, allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise ConfigError(f"export: metadata: expected what JSON can hold, received {error}") from None


def _facts(model: Functions, input_type: str) -> dict[str, Any]:
    """Return what a reader of the export must know about it."""
    taken = "float32 in [0, 1]" if input_type == "float32" else "uint8, divided by 255 inside"
    return {"tfcollapse": tfcollapse.__version__, "tensorflow": tf.__version__, **model.facts, model.examples: taken}


def _write_keras(model: Autoencoder, path: pathlib.Path) -> bool:
    """Write a .keras file, and say whether a process that has imported this package alone can read it.

    Raises:
      ConfigError: a class that no process can find.
    """
    try:
        config = keras.saving.serialize_keras_object(model)
    except Exception as error:  # noqa: BLE001 - a user's get_config may raise anything
        line = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ConfigError(f"export target '{path.name}': the model cannot be saved: {line}{_NEEDS_NONE}") from None
    config.pop("compile_config", None)  # a reader does not compile it
    unknown = keras_file.unknown_class(config)
    if unknown:
        raise ConfigError(
            f"export target '{path.name}': expected classes that Keras finds by itself, received {unknown}: decorate "
            f"it with @keras.saving.register_keras_serializable(){_NEEDS_NONE}"
        )
    model.save(path)
    keras_file.mark_as_export(path)
    return keras_file.foreign_class(config) is None


_NEEDS_NONE = ", or choose a target without .keras: a SavedModel needs no registration"


def _write(model: Functions, path: pathlib.Path, input_type: str, metadata: dict[str, Any]) -> None:
    archive = keras.export.ExportArchive()
    for owner in model.owners:
        if isinstance(owner, _Trackable):
            archive.track(owner)
    for name, (function, inputs) in endpoints(model, input_type).items():
        archive.add_endpoint(name, function, input_signature=inputs)
    archive.write_out(str(path), verbose=False)
    (path / METADATA).parent.mkdir(exist_ok=True)
    (path / METADATA).write_text(json.dumps(metadata, indent=1, sort_keys=True) + "\n")
