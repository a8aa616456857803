"""The training loop of `tfcollapse.train` without a run's directory: from images to a trained model."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tfcollapse.config.declaration import Run
from tfcollapse.models.autoencoder import Autoencoder
from tfcollapse.models.build import build
from tfcollapse.training import engines
from tfcollapse.training.batches import batches_for_steps
from tfcollapse.training.engine import Engine


def train_in_memory(run: Run, images: np.ndarray) -> tuple[Autoencoder, list[dict[str, float]]]:
    """Train what `run` declares on uint8 images [n, h, w, c].

    Returns:
      The model, and for each chunk of `log_every` steps the means that metrics.csv would hold.
    """
    model = build(run, images.shape[1:])
    return model, train_model(model, run, images)


def train_model(model: Autoencoder, run: Run, images: np.ndarray) -> list[dict[str, float]]:
    """Train a model in place, whoever built its parts, as `run.training` and `run.seed` say; returns those means."""
    model.reconstruct(images[:1].astype(np.float32))  # its variables are there from the first call on
    return _train(engines.engine(model, run), run, images)


def train_at_gammas(run: Run, images: np.ndarray, gammas: list[float], measure: Callable[[Autoencoder], float]) -> list:
    """`measure` of the model that `run` trains at each fixed gamma, every time from the same start; compiled once."""
    engine = engines.engine(build(run, images.shape[1:]), run)
    start, found = engine.state(), []
    for gamma in gammas:
        engine.restore(start)
        engine.model.log_gamma.assign(np.log(gamma))
        _train(engine, run, images)
        found.append(measure(engine.model))
    return found


def _train(engine: Engine, run: Run, images: np.ndarray) -> list[dict[str, float]]:
    rows = []
    while engine.step < run.training.steps:
        count = min(run.training.log_every, run.training.steps - engine.step)
        values = engine.train_steps(*batches_for_steps(run, images, engine.step, count))
        rows.append({name: float(value.mean()) for name, value in values.items()})
    return rows
