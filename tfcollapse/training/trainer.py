"""train(): one run from declaration to result, resumable at any moment."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import os
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

from tfcollapse.backend import backend, start, suppress_stderr
from tfcollapse.config.declaration import NUMERICS, Data, Run
from tfcollapse.data.dataset import Dataset, load
from tfcollapse.errors import ConfigError, NonFiniteError
from tfcollapse.metrics.spectrum import spectrum
from tfcollapse.models import objectives
from tfcollapse.models.build import build
from tfcollapse.records.files import replacing
from tfcollapse.records.run_directory import Row, RunDirectory
from tfcollapse.theory.affine import Spectrum
from tfcollapse.training import engines
from tfcollapse.training import strategy as strategies
from tfcollapse.training.evaluation import evaluate, initial_signal
from tfcollapse.training.loop import train_sessions
from tfcollapse.training.progress import Progress
from tfcollapse.training.session import Session
from tfcollapse.training.workers import Workers

SIGNAL_PROBE = 256
"""Training images on which the signal of an untrained network is measured."""


def train(
    run: Run,
    out: str | os.PathLike[str],
    *,
    data_dir: str | os.PathLike[str] | None = None,
    report: Callable[[Progress], None] = lambda progress: None,
    strategy: str = "auto",
    devices: str | None = None,
) -> Row:
    """Train `run` in `out`/<run_id>, or go on where it stopped, and return its result.

    A finished run is not trained again. A run whose loss stops being finite ends with status "failed". SIGTERM and
    Ctrl-C save a checkpoint first. The devices change no more than the order of float sums.

    Args:
      out: a directory that holds run directories; of several workers, the first alone uses it.
      data_dir: TFDS' directory, see `tfcollapse.data.dataset.load`.
      report: called after every chunk of `log_every` steps.
      strategy, devices: see `tfcollapse.training.strategy.make`.

    Raises:
      UserError: bad data, a directory that is locked, full or another run's, devices that there are not, a worker lost.
    """
    directory = RunDirectory(pathlib.Path(out) / run.run_id, run)
    if strategies.workers() is None and directory.result is not None:  # before TensorFlow is even started
        return directory.result
    _check_numerics(run)
    workers = Workers(strategies.make(strategy, devices))
    with workers.together():
        ended = directory.result if workers.chief else None
        if workers.gather(ended is not None)[0, 0]:
            return _shared(workers, ended)
    dataset = load(run.data, data_dir=data_dir)  # bad data stop here, before a directory is made
    with workers.together():
        workers.check_same("run and images", run.to_json().encode(), dataset.train[:256].tobytes())
        if not workers.chief:
            return _shared(workers, _trained(run, directory, dataset, workers, report, data_dir))
        with directory.open():
            # another process may have ended it meanwhile
            result = directory.result or _trained(run, directory, dataset, workers, report, data_dir)
            if directory.result is None:
                directory.write_json("result.json", result)
            return _shared(workers, result)


def train_together(
    runs: Sequence[Run],
    out: str | os.PathLike[str],
    *,
    data_dir: str | os.PathLike[str] | None = None,
    report: Callable[[Progress], None] = lambda progress: None,
) -> list[Row]:
    """`train` for runs that differ in their seeds alone, step by step as one program: how a GPU is filled.

    Needs KERAS_BACKEND=jax. Each run has its own directory, and may as well go on alone; one that stops being finite
    does not stop the others. Runs that stand at different steps follow one another.

    Returns:
      A result for each run, in their order.

    Raises:
      ConfigError: runs that differ in more, or another backend.
      UserError: as `train`.
    """
    if backend() != "jax" or len({dataclasses.replace(run, seed=0) for run in runs}) > 1:
        raise ConfigError("train_together: expected runs that differ in their seeds alone, and KERAS_BACKEND=jax")
    _check_numerics(runs[0])
    start()
    dataset, workers = load(runs[0].data, data_dir=data_dir), Workers(strategies.make())
    directories = {run.run_id: RunDirectory(pathlib.Path(out) / run.run_id, run) for run in runs}
    with contextlib.ExitStack() as opened:
        sessions: dict[int, list[Session]] = {}
        for run in runs:
            directory = directories[run.run_id]
            if directory.result is None:
                opened.enter_context(directory.open())
                session = Session(run, directory, dataset, workers, report)
                sessions.setdefault(session.engine.step, []).append(session)
        for group in sessions.values():
            failed = train_sessions(group)
            for lane, session in enumerate(group):
                session.directory.write_json("result.json", _ended(session, failed.get(lane), data_dir))
    return [directories[run.run_id].result for run in runs]


def _check_numerics(run: Run) -> None:
    if run.numerics != NUMERICS:
        raise ConfigError(
            f"run {run.run_id}: expected version {NUMERICS} of the numbers, which this code computes, received "
            f"{run.numerics}: start it anew ('tfcollapse train --config'), or go on with the release that began it"
        )


def _shared(workers: Workers, result: Row | None) -> Row:
    """The chief's result in every worker; the others wait for it here."""
    return result if workers.count == 1 else json.loads(workers.text_from_chief(json.dumps(result)))


def _trained(
    run: Run,
    directory: RunDirectory,
    dataset: Dataset,
    workers: Workers,
    report: Callable[[Progress], None],
    data_dir: Any,
) -> Row | None:
    """The run's result in the chief; None in the other workers."""
    session = Session(run, directory, dataset, workers, report)
    failed = train_sessions([session])
    result = _ended(session, failed.get(0), data_dir) if workers.chief or failed else None
    engines.release(session.engine, run)
    return result


def _ended(session: Session, failure: NonFiniteError | None, data_dir: Any) -> Row:
    """A run's result, where it ended well or its numbers stopped being finite."""
    try:
        if failure is None:
            return _finish(session, data_dir)
    except NonFiniteError as error:
        failure = error
    return {
        "status": "failed",
        "run_id": session.run.run_id,
        "step": failure.step,
        "last_finite": failure.last_finite,
        "reason": str(failure),
    }


_spectra: dict[tuple[Data, int, Any], Spectrum] = {}
"""The last two: a worker trains many runs on the same images."""


def _spectrum(session: Session, data_dir: Any) -> Spectrum:
    key = session.run.data, session.run.network.latent_dim, data_dir
    if key not in _spectra:
        while len(_spectra) > 1:
            del _spectra[next(iter(_spectra))]
        _spectra[key] = spectrum(session.dataset.train, key[1])
    return _spectra[key]


def _reference_lines(session: Session, gamma: float | None, data_dir: Any) -> Row:
    latent = session.run.network.latent_dim
    data = _spectrum(session, data_dir)
    lines: Row = {"mean_predictor_error": data.mean_predictor, "pca_error": data.pca(latent)}
    if gamma is not None:
        lines["affine_active_units"] = data.active_units(latent, gamma)
        lines["affine_error"] = data.error(latent, gamma)
    return lines


def _finish(session: Session, data_dir: Any) -> Row:
    """Evaluate both splits, keep the model, and say what came out."""
    seconds, run, dataset = session.seconds, session.run, session.dataset
    session.save()
    model = session.trained()
    dimensions = math.prod(dataset.image_shape)
    splits = {"train": dataset.train, "test": dataset.test}
    result: Row = {name: evaluate(session.engine, run, images) for name, images in splits.items()}
    numbers = [value for name in splits for value in result[name].values() if isinstance(value, float)]
    if not all(map(math.isfinite, numbers)):  # the last update broke what the loss before it does not show
        raise NonFiniteError(run.training.steps, session.last_values)
    if model.variational:
        if run.objective.gamma == "optimal":  # eq. (10) over the whole training set, not over a last batch
            model.log_gamma.assign(math.log(result["train"]["reconstruction_error"]))
        result["gamma"] = float(model.gamma)
        for split in splits:
            error, kl = result[split]["reconstruction_error"] * dimensions, result[split]["kl"]
            result[split]["negative_elbo"] = float(objectives.negative_elbo(error, kl, result["gamma"], dimensions))
    # Under JAX Keras imports TensorFlow here, where there is one, which prints pages.
    with suppress_stderr(), replacing(session.directory.path / "model.keras") as partial:
        model.save(partial)
    # beta times the energy of an ordinary VAE at beta * gamma: that is the gamma which prunes
    pruning = result["gamma"] * run.objective.beta if model.variational else None
    result |= _reference_lines(session, pruning, data_dir)
    return result | {
        "status": "finished",
        "run_id": run.run_id,
        "source": dataset.source,
        "image_shape": list(dataset.image_shape),
        "parameters": model.count_params(),
        "signal": initial_signal(build(run, dataset.image_shape), dataset.train[:SIGNAL_PROBE]),
        "seconds": seconds,
        "steps_per_second": run.training.steps / seconds,
    }
