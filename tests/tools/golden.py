"""Write what a version of the code computes and leaves on the disk, as tests/golden pins it.

    python tests/tools/golden.py DIR

tests/golden/README.md says what each file is; tests/test_golden.py holds the present code to them. DIR must not exist.
"""

from __future__ import annotations

import json
import os
import pathlib
import re
import shutil
import signal
import sys
import tempfile
from typing import Any
from unittest import mock

import numpy as np

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import tfcollapse as tc
from tfcollapse.backend import start
from tfcollapse.config.overrides import replace
from tfcollapse.data import random_streams as draws
from tfcollapse.records.provenance import commit
from tfcollapse.records.run_directory import RunDirectory, read_config
from tfcollapse.records.table import tidy_row, write_table
from tfcollapse.studies.study import load_study, study_names
from tfcollapse.training.in_memory import train_in_memory
from tfcollapse.training.trainer import train

MINI = "fashion_mnist_mini"
INITIALIZERS = ("glorot_uniform", "glorot_normal", "he_uniform", "he_normal", "lecun_normal", "orthogonal")
LATENTS = 3
HELD = 4
"""Images that a model's answers are kept for."""


def run(network: dict[str, Any] | None = None, objective: dict[str, Any] | None = None, **changes: Any) -> tc.Run:
    """Twenty steps of a network of some hundred weights; without XLA, which takes longer to compile than to run."""
    training = {"steps": 20, "batch": 8, "log_every": 1, "learning_rate": 1e-3, "jit": "off"}
    training |= {"evaluate_every": 20, "checkpoint_every": 20}
    data = {"name": MINI, "train": 100, "test": 20}
    return tc.Run(
        data=tc.Data(**data | changes.get("data", {})),
        network=tc.Network(**{"depth": 1, "latent_dim": LATENTS} | (network or {"width": 8})),
        objective=tc.Objective(**objective or {}),
        training=tc.Training(**training | changes.get("training", {})),
        seed=changes.get("seed", 0),
    )


def cases() -> dict[str, tc.Run]:
    """The runs whose first steps are pinned: every architecture, every kind of objective, and variants of training."""
    ae, optimal = {"kind": "ae"}, {"gamma": "optimal"}
    kl = {"warmup": "kl", "warmup_steps": 12, "gamma_start": 0.1}
    gamma = {"gamma": "fixed", "gamma_start": 0.05, "warmup": "gamma", "warmup_steps": 12}
    deep = {"width": 8, "depth": 2, "initializer": "he_normal", "output": "sigmoid"}
    small, least = {"data": {"crop": (10, 18, 10, 18)}}, {"data": {"crop": (12, 16, 12, 16)}}
    resized = {"data": {"train": 40, "crop": (2, 25, 3, 24), "resize": (7, 9)}}
    convolutional = {"architecture": "convolutional", "base_channels": 1}
    residual = {"architecture": "residual", "base_channels": 1}
    projecting = residual | {"shortcut": "projection", "block_depth": 1}
    return {
        "dense-ae": run(None, ae, training={"jit": "auto"}),
        "dense-vae-learned": run(None, {"gamma_start": 0.2}),
        "dense-vae-optimal": run(None, optimal),
        "dense-vae-fixed-beta-4": run(None, {"gamma": "fixed", "gamma_start": 0.05, "beta": 4}),
        "dense-vae-kl-warmup": run(None, kl),
        "dense-vae-gamma-warmup": run(None, gamma),
        "dense-ae-he-normal-sigmoid": run(deep, ae),
        "dense-vae-halved-adam": run(None, None, training={"halve_every": 6, "beta_1": 0.8, "beta_2": 0.99}, seed=7),
        "dense-vae-affine-resized": run({"depth": 0}, optimal, **resized),
        "convolutional-ae": run(convolutional, ae, **small),
        "convolutional-vae": run(convolutional, {"gamma_start": 0.1}, **small),
        "residual-ae": run(residual, ae, **least),
        "residual-vae-projection": run(projecting, {"gamma_start": 0.1}, **small),
        "residual-vae-batch-norm": run(residual | {"batch_norm": True}, optimal, **least),
    }


def finished_runs() -> dict[str, tc.Run]:
    """Runs whose whole directories are kept: by name a VAE with units alive and dead, and an AE."""
    training = {"batch": 32, "log_every": 100, "jit": "auto", "learning_rate": 2e-3}
    vae = training | {"steps": 800, "evaluate_every": 200, "checkpoint_every": 800}
    ae = training | {"steps": 100, "evaluate_every": 100, "checkpoint_every": 100}
    network, data = {"width": 8, "latent_dim": 4}, {"train": 200, "crop": (6, 22, 6, 22)}
    return {
        "vae": run(network, {"gamma": "optimal", "beta": 10}, data=data, training=vae),
        "ae": run(network, {"kind": "ae"}, data=data, training=ae),
    }


def stopped_run() -> tc.Run:
    """The run that is stopped within a row of metrics.csv: warm-up, a learned gamma, a rate that is halved."""
    training = {"steps": 60, "halve_every": 25, "log_every": 20, "evaluate_every": 20, "checkpoint_every": 20}
    objective = {"gamma_start": 0.1, "warmup": "kl", "warmup_steps": 50}
    return run({"width": 6}, objective, data={"crop": (6, 22, 6, 22)}, training=training | {"jit": "auto"})


def residual_run() -> tc.Run:
    """The run whose model.keras alone is kept: batch normalisation, and so weights that are not trained."""
    return replace(cases()["residual-vae-batch-norm"], {"training.log_every": 20})


def losses(declared: tc.Run) -> dict[str, list[float]]:
    """What metrics.csv would hold of a run that logs every step, but for the clock; and what the trained model is."""
    images = tc.load(declared.data).train
    model, rows = train_in_memory(declared, images)
    found = {name: _listed([row[name] for row in rows]) for name in rows[0]}
    if declared.network.batch_norm:
        # Not its answers: a bias before a normalisation has gradients that are rounding alone, which Adam turns into
        # whole steps, and the moving mean lags behind them. The variance does not see them.
        moving = [weight.numpy() for weight in model.weights if weight.path.endswith("moving_variance")]
        return found | {"moving_variance_after": _listed(np.concatenate(moving))}
    means = np.asarray(model.encode(images[:HELD] / np.float32(255)).mean)
    return found | {"means_after": _listed(means), "decoded_after": _listed(np.ravel(model.decode(means))[::97])}


def study_ids(name: str) -> dict[str, list[str]]:
    """The ids of a study's runs, seed 0, by preset; of the first numerics version."""
    found = load_study(name).presets
    return {preset: [first_version(declared).run_id for declared in runs] for preset, runs in found.items()}


def first_version(declared: tc.Run) -> tc.Run:
    """The run as a record tells it that knows of no numerics version."""
    values = json.loads(declared.to_json())
    values.pop("numerics", None)
    return tc.Run.from_json(json.dumps(values))


def first_draws() -> dict[str, list[float]]:
    """The first numbers of every stream of draws, 64 of each."""
    found = {
        "images": draws.batch_indices(5, 3, 8, 8, 20),  # over the ends of epochs
        "noise": draws.noise(5, 3, 4, 4, 4),
        "evaluation_noise": draws.evaluation_noise(5, 1, 4)[:16],
        "weights": draws.weights(5, 9).random(64),
    }
    return {name: _listed(values) for name, values in found.items()}


def initial_weights(initializer: str) -> dict[str, list[float]]:
    """Every weight of an untrained network that an initialiser draws: a convolution and a transposed one among them."""
    network = {"architecture": "convolutional", "base_channels": 1, "initializer": initializer}
    model = tc.build(run(network, seed=3), (8, 8, 1))
    kernels = {weight.path: weight.numpy() for weight in model.weights if weight.path.endswith("kernel")}
    # a share of each, and a sum that knows the rest
    return {path: _listed([kernel.sum(dtype=np.float64), *kernel.ravel()[:3]]) for path, kernel in kernels.items()}


def answers(model: tc.Autoencoder, images: np.ndarray, latents: np.ndarray) -> dict[str, np.ndarray]:
    """What a model makes of uint8 images and of latents."""
    posterior = model.encode(images / np.float32(255))
    found = {"mean": posterior.mean, "decoded": model.decode(latents)}
    if posterior.log_variance is not None:
        samples = model.sample(3, seed=5)  # as `signature_inputs` asks
        found |= {"log_variance": posterior.log_variance, "gamma": model.gamma, "samples": samples}
    return {name: np.asarray(value) for name, value in found.items()}


def signature_inputs(images: np.ndarray, latents: np.ndarray) -> dict[str, dict[str, np.ndarray]]:
    """The arguments that a SavedModel's signatures are asked with."""
    pixels = {"images": images / np.float32(255)}
    draw = {"count": np.int32(3), "seed": np.int32(5)}
    named = {"encode": pixels, "reconstruct": pixels, "serving_default": pixels}
    return named | {"decode": {"latents": latents}, "sample": draw}


def signature_answers(path: pathlib.Path, images: np.ndarray, latents: np.ndarray) -> dict[str, np.ndarray]:
    """What each signature of the SavedModel at `path` returns, under "signature/output"."""
    import tensorflow as tf

    model = tf.saved_model.load(str(path))
    found = {}
    for name, inputs in signature_inputs(images, latents).items():
        given = {key: tf.constant(value) for key, value in inputs.items()}
        found |= {f"{name}/{key}": value.numpy() for key, value in model.signatures[name](**given).items()}
    return found


def _listed(values: Any) -> list[float]:
    return [int(v) if isinstance(v, np.integer) else float(f"{v:.9g}") for v in np.ravel(values)]


def _write_json(path: pathlib.Path, values: Any) -> None:
    """Write JSON in which a list of numbers is one line."""
    text = json.dumps(values, indent=1)
    path.write_text(re.sub(r"\[[^][{}\"]*\]", lambda found: " ".join(found[0].split()), text) + "\n")


def _write_numbers(out: pathlib.Path) -> None:
    pinned = {}
    for name, declared in cases().items():
        config = json.loads(declared.to_json())
        pinned[name] = {"run_id": declared.run_id, "config": config, "metrics": losses(declared)}
        print(f"{name}: {pinned[name]['metrics']['loss'][::19]}", flush=True)
    _write_json(out / "losses.json", pinned)
    _write_json(out / "run_ids.json", {name: study_ids(name) for name in study_names()})
    weights = {name: initial_weights(name) for name in INITIALIZERS}
    _write_json(out / "draws.json", {"draws": first_draws(), "initial_weights": weights})


def _write_finished(out: pathlib.Path) -> None:
    """Directories of finished runs, without checkpoints; their table, a diagnosis, and the VAE as a SavedModel."""
    from tfcollapse.diagnosis.run_diagnosis import diagnose_run
    from tfcollapse.exports.saved_model import export_run

    rows = []
    for declared in finished_runs().values():
        train(declared, out / "finished")
        path = out / "finished" / declared.run_id
        shutil.rmtree(path / "checkpoints")
        rows.append(tidy_row(RunDirectory(path, declared)))
    write_table(out / "finished.csv", rows)
    vae = out / "finished" / finished_runs()["vae"].run_id
    print(diagnose_run(vae))
    export_run(vae, out / "saved_model")


def _write_stopped(out: pathlib.Path) -> None:
    """A run stopped by Ctrl-C between two rows of metrics.csv, and the same one undisturbed."""
    declared, noise = stopped_run(), draws.noise
    train(declared, out / "undisturbed")
    whole = out / "undisturbed" / declared.run_id
    for name in ("checkpoints", "model.keras"):
        shutil.rmtree(whole / name) if (whole / name).is_dir() else (whole / name).unlink()

    def stopping(seed: int, first_step: int, *rest: int) -> np.ndarray:
        if 20 < first_step < 40:
            os.kill(os.getpid(), signal.SIGINT)
        return noise(seed, first_step, *rest)

    signal.signal(signal.SIGINT, signal.default_int_handler)
    # a step a call, so that the signal is heard between two rows
    with mock.patch.object(draws, "noise", stopping), mock.patch("tfcollapse.training.loop._CALL_SECONDS", 0.0):
        try:
            train(declared, out / "stopped")
        except KeyboardInterrupt:
            return
    raise SystemExit("the run was not stopped")


def _write_models(out: pathlib.Path) -> None:
    """A residual model.keras beside those of the finished runs, and what they and the SavedModel answer."""
    declared = residual_run()
    with tempfile.TemporaryDirectory() as folder:
        train(declared, folder)
        shutil.copy(pathlib.Path(folder, declared.run_id, "model.keras"), out / "residual.keras")
    runs = {name: read_config(out / "finished" / each.run_id) for name, each in finished_runs().items()}
    files = {name: out / "finished" / each.run_id / "model.keras" for name, each in runs.items()}
    found = {}
    for name, path in (files | {"residual": out / "residual.keras"}).items():
        asked = {"images": tc.load(runs.get(name, declared).data).test[:HELD]}
        model = tc.load_model(path)
        asked["latents"] = np.random.default_rng(0).standard_normal((HELD, model.latent_dim)).astype(np.float32)
        found |= {f"{name}/{key}": value for key, value in (asked | answers(model, **asked)).items()}
        if name == "vae":
            signed = signature_answers(out / "saved_model", **asked)
            found |= {f"saved_model/{key}": value for key, value in signed.items()}
    np.savez_compressed(out / "answers.npz", **found)


def main(arguments: list[str]) -> None:
    """Write everything into a new directory."""
    (folder,) = arguments
    out = pathlib.Path(folder)
    out.mkdir(parents=True)
    start()
    print(f"of {tc.__file__}, commit {commit()}", flush=True)
    for write in (_write_numbers, _write_finished, _write_stopped, _write_models):
        write(out)
    for lock in out.rglob("lock"):  # names a process and its machine
        lock.unlink()


if __name__ == "__main__":
    main(sys.argv[1:])
