"""train(): one run from declaration to result, resumable at any moment."""

from __future__ import annotations

import functools
import math
import os
import pathlib
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from tfcollapse import draws, networks, objectives
from tfcollapse.autoencoder import Autoencoder
from tfcollapse.config import Data, Run
from tfcollapse.data import Dataset, load
from tfcollapse.diagnostics.reconstruction import spectrum
from tfcollapse.errors import NonFiniteError
from tfcollapse.mapped import gather
from tfcollapse.record import Row, RunDirectory, environment, replacing
from tfcollapse.theory.affine import Spectrum
from tfcollapse.training import checkpoint
from tfcollapse.training.evaluation import evaluate, initial_signal
from tfcollapse.training.progress import Progress

PROBE = draws.EVALUATION_BLOCK
"""Training images on which diagnostics.csv is measured while a run goes on."""

SIGNAL_PROBE = 256
"""Training images on which the signal of an untrained network is measured."""


def train(
    run: Run,
    out: str | os.PathLike[str],
    *,
    data_dir: str | os.PathLike[str] | None = None,
    report: Callable[[Progress], None] = lambda progress: None,
) -> Row:
    """Train `run` in `out`/<run_id>, or go on where it stopped, and return its result.

    A finished run is not trained again. A run whose loss stops being finite ends with status "failed".

    Args:
      out: a directory that holds run directories.
      data_dir: TFDS' directory, see `tfcollapse.data.load`.
      report: called after every chunk of `log_every` steps.

    Raises:
      UserError: bad data, a directory that is locked, full or another run's.
    """
    directory = RunDirectory(pathlib.Path(out) / run.run_id, run)
    if directory.result is not None:
        return directory.result
    dataset = load(run.data, data_dir=data_dir)  # bad data stop here, before a directory is made
    with directory.open():
        if directory.result is not None:  # another process ended it meanwhile
            return directory.result
        session = _Session(run, directory, dataset, report)
        try:
            session.train()
            result = session.finish(data_dir)
        except NonFiniteError as error:
            result = {
                "status": "failed",
                "run_id": run.run_id,
                "step": error.step,
                "last_finite": error.last_finite,
                "reason": str(error),
            }
        directory.write_json("result.json", result)
        return result


def build(run: Run, image_shape: tuple[int, int, int]) -> Autoencoder:
    """The untrained model that `run` declares."""
    variational = run.objective.kind == "vae"
    encoder, decoder = networks.build(run.network, image_shape, variational=variational, seed=run.seed)
    # Named, as the variables' paths in a checkpoint must not depend on what else the process built before.
    return Autoencoder(encoder, decoder, run.objective, seed=run.seed, name="autoencoder")


def chunk(run: Run, images: np.ndarray, step: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """What an engine's `advance` takes for `count` steps from `step` on: images and noise, a row a step."""
    batch = run.training.batch
    indices = draws.batch_indices(run.seed, step, count, batch, len(images))
    return gather(images, indices), draws.noise(run.seed, step, count, batch, run.network.latent_dim)


@functools.lru_cache(maxsize=2)  # a worker trains many runs on the same images
def _spectrum(data: Data, latent_dim: int, data_dir: Any) -> Spectrum:
    return spectrum(load(data, data_dir=data_dir).train, latent_dim)


def _reference_lines(run: Run, gamma: float | None, data_dir: Any) -> Row:
    latent = run.network.latent_dim
    data = _spectrum(run.data, latent, data_dir)
    lines: Row = {"mean_predictor_error": data.mean_predictor, "pca_error": data.pca(latent)}
    if gamma is not None:
        lines["affine_active_units"] = data.active_units(latent, gamma)
        lines["affine_error"] = data.error(latent, gamma)
    return lines


class _Session:
    """One process' work on a run."""

    def __init__(self, run: Run, directory: RunDirectory, dataset: Dataset, report: Callable[[Progress], None]):
        from tfcollapse.training.tensorflow_engine import TensorFlowEngine, use_xla

        self.run, self.directory, self.dataset, self.report = run, directory, dataset, report
        jit = use_xla(run.training, run.network)
        self.engine = TensorFlowEngine(build(run, dataset.image_shape), run.training, jit=jit)
        self.seconds_before = 0.0
        self.active_units: int | None = None
        saved = checkpoint.newest(directory.checkpoints, lambda text: warnings.warn(text, stacklevel=2))
        if saved is not None:
            self.seconds_before = float(saved.pop("seconds"))
            self.engine.restore(saved)
        directory.rewind(self.engine.step)
        facts = environment(jit=jit, device=self.engine.device, replicas=1, resumed_from=self.engine.step)
        directory.write_json("environment.json", facts | {"earlier": directory.sessions})
        self.last_values: dict[str, float] = {}
        self.first_step, self.started = self.engine.step, time.monotonic()

    @property
    def seconds(self) -> float:
        """Training time over all sessions that led here."""
        return self.seconds_before + time.monotonic() - self.started

    def train(self) -> None:
        training, engine = self.run.training, self.engine
        while engine.step < training.steps:
            count = min(training.log_every, training.steps - engine.step)
            row = self._chunk(count)
            if engine.step % training.evaluate_every == 0:
                self._probe()
            if engine.step % training.checkpoint_every == 0 and engine.step < training.steps:
                self._save()
            self._report(row)

    def _chunk(self, count: int) -> Row:
        step = self.engine.step
        values = self.engine.advance(*chunk(self.run, self.dataset.train, step, count))
        self._check_finite(step, values)
        self.last_values = {name: float(value[-1]) for name, value in values.items()}
        row = {"step": step + count, "seconds": round(self.seconds, 3)}
        row |= {name: float(np.mean(value, dtype=np.float64)) for name, value in values.items()}
        self.directory.append("metrics.csv", [row])
        return row

    def _check_finite(self, step: int, values: dict[str, np.ndarray]) -> None:
        finite = np.all([np.isfinite(value) for value in values.values()], axis=0)
        if finite.all():
            return
        bad = int(np.argmin(finite))
        last = {name: float(value[bad - 1]) for name, value in values.items()} if bad else self.last_values
        raise NonFiniteError(step + bad + 1, last)

    def _probe(self) -> None:
        images = self.dataset.train[:PROBE]
        numbers = evaluate(self.engine, self.run, images)
        self.active_units = numbers.get("active_units")
        rows = []
        for measure, value in numbers.items():
            for dimension, item in enumerate(value) if isinstance(value, list) else [("", value)]:
                place = {"step": self.engine.step, "split": "probe", "measure": measure, "dimension": dimension}
                rows.append(place | {"value": item})
        self.directory.append("diagnostics.csv", rows)

    def _save(self) -> None:
        state = self.engine.state() | {"seconds": np.float64(self.seconds)}
        checkpoint.save(self.directory.checkpoints, self.engine.step, state)

    def _report(self, row: Row) -> None:
        speed = (self.engine.step - self.first_step) / (time.monotonic() - self.started)
        self.report(
            Progress(
                self.run.run_id,
                self.engine.step,
                self.run.training.steps,
                speed,
                row["reconstruction_error"],
                row["gamma"] if self.engine.model.variational else None,
                self.active_units,
            )
        )

    def _keep_model(self) -> None:
        with replacing(self.directory.path / "model.keras") as partial:
            self.engine.model.save(partial)

    def finish(self, data_dir: Any) -> Row:
        """Evaluate both splits, keep the model, and say what came out."""
        seconds, run, model = self.seconds, self.run, self.engine.model
        self._save()
        dimensions = math.prod(self.dataset.image_shape)
        splits = {"train": self.dataset.train, "test": self.dataset.test}
        result: Row = {name: evaluate(self.engine, run, images) for name, images in splits.items()}
        numbers = [value for name in splits for value in result[name].values() if isinstance(value, float)]
        if not all(map(math.isfinite, numbers)):  # the last update broke what the loss before it does not show
            raise NonFiniteError(run.training.steps, self.last_values)
        if model.variational:
            if run.objective.gamma == "optimal":  # eq. (10) over the whole training set, not over a last batch
                model.log_gamma.assign(math.log(result["train"]["reconstruction_error"]))
            result["gamma"] = float(model.gamma)
            for split in splits:
                error, kl = result[split]["reconstruction_error"] * dimensions, result[split]["kl"]
                result[split]["negative_elbo"] = float(objectives.negative_elbo(error, kl, result["gamma"], dimensions))
        self._keep_model()
        # beta times the energy of an ordinary VAE at beta * gamma: that is the gamma which prunes
        pruning = result["gamma"] * run.objective.beta if model.variational else None
        result |= _reference_lines(run, pruning, data_dir)
        untrained = build(run, self.dataset.image_shape)
        return result | {
            "status": "finished",
            "run_id": run.run_id,
            "source": self.dataset.source,
            "image_shape": list(self.dataset.image_shape),
            "parameters": model.count_params(),
            "signal": initial_signal(untrained, self.dataset.train[:SIGNAL_PROBE]),
            "seconds": seconds,
            "steps_per_second": run.training.steps / seconds,
        }
