"""Choose the engine of Keras' backend. This is the one place that knows every engine; each is imported on demand."""

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
"""`Engine.train_steps` of several engines: images and noise of each, to the metrics of each."""


def engine(model: Autoencoder, run: Run, data_type: str = "uint8") -> Engine:
    """Make the engine that trains `model` as `run` declares, on images of `data_type`, see `Engine`.

    Raises:
      ConfigError: JAX is asked for what it cannot do here.
    """
    if backend() == "jax":
        from tfcollapse.training.jax_engine import JaxEngine

        _check_jax(run)
        return JaxEngine(model, run.training, data_type=data_type)
    from tfcollapse.training.tensorflow_engine import TensorFlowEngine, use_xla

    return TensorFlowEngine(model, run.training, jit=use_xla(run.training, run.network), data_type=data_type)


_idle: dict[tuple[Any, ...], Engine] = {}
"""The engine of the run that ended last, by what it was compiled for."""


def acquire(model: Autoencoder, run: Run) -> Engine:
    """Return an engine that trains from the start of `model`.

    The engine of the run before is used again where that run differs in its seed alone, since it is compiled already.
    It trains a model of its own: the weights are then in `Engine.model`, and not in `model`.

    Raises:
      ConfigError: as `engine`.
    """
    idle = _idle.pop(_compiled_for(model, run), None)
    _idle.clear()
    if idle is None:
        return engine(model, run)
    idle.begin(model)
    return idle


def release(engine: Engine, run: Run) -> None:
    """Keep the engine of `run`, which has ended, for the next `acquire`."""
    if engine.reusable:
        _idle[_compiled_for(engine.model, run)] = engine


def _compiled_for(model: Autoencoder, run: Run) -> tuple[Any, ...]:
    """Return what runs must share to use one compiled program: all of the declaration but the seed, and the shape."""
    return dataclasses.replace(run, seed=0), model.image_shape


def joint_train_steps(engines: Sequence[Any]) -> TrainSteps:
    """Return the function that does `Engine.train_steps` of all engines at once.

    Several engines must be JAX's, of runs that differ in their seeds alone.
    """
    if len(engines) == 1:
        return lambda images, noise: [engines[0].train_steps(images[0], noise[0])]
    from tfcollapse.training.jax_engine import VmappedEngines

    return VmappedEngines(engines).train_steps


def _check_jax(run: Run) -> None:
    import jax

    if run.training.jit == "off":
        raise ConfigError(
            "training.jit: expected 'auto' or 'on', as JAX compiles all it computes, received 'off' under "
            "KERAS_BACKEND=jax"
        )
    if not run.network.spec.jax_on_cpu and jax.default_backend() == "cpu":
        raise ConfigError(
            f"KERAS_BACKEND=jax: expected a GPU for a {run.network.architecture} network: a CPU takes most of a minute "
            "a step (XLA's convolutions inside a loop); unset KERAS_BACKEND to train it with TensorFlow"
        )
