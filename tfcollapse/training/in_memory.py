"""Train in memory, from images to a model: the steps of `tfcollapse.train` without a run's directory."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from tfcollapse.config.declaration import Run
from tfcollapse.models.autoencoder import Autoencoder
from tfcollapse.models.build import build
from tfcollapse.models.memory import check_batch
from tfcollapse.training import engines
from tfcollapse.training.batches import batches_for_steps
from tfcollapse.training.engine import Engine
from tfcollapse.training.progress import Progress


def train_in_memory(run: Run, images: np.ndarray) -> tuple[Autoencoder, list[dict[str, float]]]:
    """Train what `run` declares on `images`, uint8 [n, h, w, c].

    Returns:
      The model, and the rows that metrics.csv would have: for every `log_every` steps the means of METRICS.

    Raises:
      ConfigError: the network does not fit into memory.
    """
    model = build(run, images.shape[1:])
    model.reconstruct(images[:1].astype(np.float32))  # the first call makes the variables
    engine = engines.acquire(model, run)  # compiled once for runs one after the other that differ in their seeds alone
    rows = _train(engine, run, images)
    if engine.model is not model:
        model.set_weights(engine.model.get_weights())
    engines.release(engine, run)
    return model, rows


def train_model(
    model: Autoencoder, run: Run, images: np.ndarray, report: Callable[[Progress], None] = lambda progress: None
) -> list[dict[str, float]]:
    """Train `model` in place, as `run.training` and `run.seed` say.

    The model may be of any encoder and decoder.

    Args:
      model: its encoder takes what `images` has.
      run: the declaration.
      images: [n, ...], uint8, which stands for [0, 1], or float32 of any range.
      report: called after every `log_every` steps.

    Returns:
      The rows that metrics.csv would have, as of `train_in_memory`.
    """
    model.reconstruct(images[:1].astype(np.float32))  # the first call makes the variables
    return _train(engines.engine(model, run, str(images.dtype)), run, images, report)


def train_at_gammas(run: Run, images: np.ndarray, gammas: list[float], measure: Callable[[Autoencoder], float]) -> list:
    """Train what `run` declares at each fixed gamma from the same start, and measure every model.

    The steps are compiled once for all values of gamma.

    Args:
      images: uint8 [n, h, w, c].
      gammas: values of the decoder variance.
      measure: a function of the trained model.

    Returns:
      What `measure` returned, for each gamma.
    """
    engine = engines.engine(build(run, images.shape[1:]), run)
    start, measured = engine.state(), []
    for gamma in gammas:
        engine.restore(start)
        engine.model.log_gamma.assign(np.log(gamma))
        _train(engine, run, images)
        measured.append(measure(engine.model))
    return measured


def _train(
    engine: Engine, run: Run, images: np.ndarray, report: Callable[[Progress], None] = lambda progress: None
) -> list[dict[str, float]]:
    check_batch(run, images.shape[1:], images.itemsize)
    rows: list[dict[str, float]] = []
    started = time.monotonic()
    while engine.step < run.training.steps:
        count = min(run.training.log_every, run.training.steps - engine.step)
        values = engine.train_steps(*batches_for_steps(run, images, engine.step, count))
        rows.append({name: float(value.mean()) for name, value in values.items()})
        report(
            Progress(
                run_id=run.run_id,
                step=engine.step,
                steps=run.training.steps,
                steps_per_second=engine.step / (time.monotonic() - started),
                reconstruction_error=rows[-1]["reconstruction_error"],
                gamma=rows[-1]["gamma"] if engine.model.variational else None,
                active_units=None,
            )
        )
    return rows
