"""The training loop of `tfcollapse.train` without a run's directory: from images to a trained model."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tfcollapse.config.declaration import Run
from tfcollapse.models.autoencoder import Autoencoder
from tfcollapse.training import engines
from tfcollapse.training.batches import build, chunk
from tfcollapse.training.engine import Engine


def descend(run: Run, images: np.ndarray) -> tuple[Autoencoder, list[dict[str, float]]]:
    """Train what `run` declares on uint8 images [n, h, w, c].

    Returns:
      The model, and for each chunk of `log_every` steps the means that metrics.csv would hold.
    """
    model = build(run, images.shape[1:])
    return model, descend_model(model, run, images)


def descend_model(model: Autoencoder, run: Run, images: np.ndarray) -> list[dict[str, float]]:
    """Train a model in place, whoever built its parts, as `run.training` and `run.seed` say; returns those means."""
    model.reconstruct(images[:1].astype(np.float32))  # its variables are there from the first call on
    return _advance(engines.engine(model, run), run, images)


def descend_at(run: Run, images: np.ndarray, gammas: list[float], measure: Callable[[Autoencoder], float]) -> list:
    """`measure` of the model that `run` trains at each fixed gamma, every time from the same start; compiled once."""
    engine = engines.engine(build(run, images.shape[1:]), run)
    start, found = engine.state(), []
    for gamma in gammas:
        engine.restore(start)
        engine.model.log_gamma.assign(np.log(gamma))
        _advance(engine, run, images)
        found.append(measure(engine.model))
    return found


def _advance(engine: Engine, run: Run, images: np.ndarray) -> list[dict[str, float]]:
    rows = []
    while engine.step < run.training.steps:
        count = min(run.training.log_every, run.training.steps - engine.step)
        values = engine.advance(*chunk(run, images, engine.step, count))
        rows.append({name: float(value.mean()) for name, value in values.items()})
    return rows
