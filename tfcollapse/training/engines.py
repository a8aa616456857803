"""The engine of Keras' backend, the one place that knows them both; an engine's framework is imported with it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tfcollapse.backend import backend
from tfcollapse.config.declaration import Run
from tfcollapse.errors import ConfigError
from tfcollapse.models.autoencoder import Autoencoder
from tfcollapse.training.engine import Engine

TrainSteps = Callable[[list[np.ndarray], list[np.ndarray]], list[dict[str, np.ndarray]]]


def engine(model: Autoencoder, run: Run) -> Engine:
    """The engine that trains `model` as `run` declares.

    Raises:
      ConfigError: JAX is asked for what it cannot do here.
    """
    if backend() == "jax":
        from tfcollapse.training.jax_engine import JaxEngine

        _check_jax(run)
        return JaxEngine(model, run.training)
    from tfcollapse.training.tensorflow_engine import TensorFlowEngine, use_xla

    return TensorFlowEngine(model, run.training, jit=use_xla(run.training, run.network))


_idle: dict[tuple[Any, ...], Engine] = {}
"""The engine of the run that ended last, by what it was compiled for."""


def acquire(model: Autoencoder, run: Run) -> Engine:
    """`engine`, or the compiled one of a run before that differed in its seed alone, from `model`'s start.

    The latter trains a model of its own: `Engine.model` has the weights, and not `model`.
    """
    found = _idle.pop(_cell(model, run), None)
    _idle.clear()
    if found is None:
        return engine(model, run)
    found.begin(model)
    return found


def release(engine: Engine, run: Run) -> None:
    """Keep an engine that nobody uses any more for the next `acquire`."""
    if engine.reusable:
        _idle[_cell(engine.model, run)] = engine


def _cell(model: Autoencoder, run: Run) -> tuple[Any, ...]:
    return dataclasses.replace(run, seed=0), model.image_shape


def together(engines: Sequence[Any]) -> TrainSteps:
    """`Engine.train_steps` of all of them at once; several are JAX's, of runs that differ in their seeds alone."""
    if len(engines) == 1:
        return lambda images, noise: [engines[0].train_steps(images[0], noise[0])]
    from tfcollapse.training.jax_engine import VmappedEngines

    return VmappedEngines(engines).train_steps


def _check_jax(run: Run) -> None:
    import jax

    if run.training.jit == "off":
        raise ConfigError(
            "training.jit: 'off' is TensorFlow's, received it under KERAS_BACKEND=jax, which compiles all"
        )
    if not run.network.spec.jax_on_cpu and jax.default_backend() == "cpu":
        raise ConfigError(
            f"KERAS_BACKEND=jax: expected a GPU for a {run.network.architecture} network: a CPU takes most of a minute "
            "a step (XLA's convolutions inside a loop); unset KERAS_BACKEND to train it with TensorFlow"
        )
