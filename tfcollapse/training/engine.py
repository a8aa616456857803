"""What an engine is: a model, its optimiser, and a compiled program of many steps over them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from tfcollapse.config.declaration import Training
from tfcollapse.data import random_streams as draws
from tfcollapse.errors import RunError
from tfcollapse.models.autoencoder import Autoencoder
from tfcollapse.models.objectives import squared_error
from tfcollapse.training.evaluation import Block
from tfcollapse.training.optimizer import adam
from tfcollapse.training.precision import full_precision, set_precision

METRICS = ("loss", "reconstruction_error", "kl", "gamma", "kl_weight", "learning_rate")
"""What `train_steps` returns of each step: means over the whole batch, the error per pixel, the KL in nats."""


class Engine:
    """A model and its optimiser; a subclass knows a framework's way to train them.

    Args:
      model: an autoencoder; its layers are told what precision to compute in.
      training: the declaration.
      optimizer: in place of Appendix A's Adam.

    Attributes:
      step: updates done.
      device: what computes them.
      jit: whether XLA compiles them.
      reusable: whether it can train another model of the same declaration after this one.
    """

    device: str
    jit: bool
    reusable: bool
    _block: Callable[[Any, Any], tuple[Any, ...]]

    def __init__(self, model: Autoencoder, training: Training, optimizer: keras.optimizers.Optimizer | None = None):
        self.model, self.training = model, training
        self.optimizer = self._built(optimizer or adam(training), model)
        self.step = 0
        set_precision(model, training.precision)

    def _built(self, optimizer: keras.optimizers.Optimizer, model: Autoencoder) -> keras.optimizers.Optimizer:
        if self.training.precision == "float16":
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer, name="scaled_adam")
        optimizer.build(model.trainable_variables)
        return optimizer

    def begin(self, model: Autoencoder) -> None:
        """Start anew from the weights of `model`, which has the same declaration but for the seed."""
        start = self._built(adam(self.training), model)
        pairs = ((self.model.weights, model.weights), (self.optimizer.variables, start.variables))
        for own, other in pairs:
            for variable, value in zip(own, other, strict=True):
                variable.assign(value.numpy())
        self.step = 0

    def train_steps(self, images: np.ndarray, noise: np.ndarray) -> dict[str, np.ndarray]:
        """Do one update per leading index.

        Args:
          images: uint8 [steps, batch, h, w, c], or indices [steps, batch] where `put_on_device` has taken the images;
            at most `log_every` steps.
          noise: float32 [steps, batch, latent].

        Returns:
          Each of METRICS as float32 [steps].
        """
        raise NotImplementedError

    def put_on_device(self, images: np.ndarray) -> bool:
        """Keep a training set, uint8 [n, h, w, c], on the device, if the engine can: False where it stays here."""
        return False

    def evaluate(self, images: np.ndarray, noise: np.ndarray) -> Block:
        """The model on a block of images: see `tfcollapse.training.evaluation.Engine`."""
        count = len(images)
        padded = np.pad(images, [(0, draws.EVALUATION_BLOCK - count)] + [(0, 0)] * (images.ndim - 1))
        return Block(*(np.asarray(value)[:count] for value in self._block(padded, noise)))

    def _evaluate(self, images: Any, noise: Any) -> tuple[Any, ...]:
        """The fields of a Block as tensors."""
        images = as_float(images)
        with full_precision(self.model):
            posterior = self.model.encode(images)
            at_mean = squared_error(images, self.model.decode(posterior.mean))
            if posterior.log_variance is None:
                return at_mean, at_mean, posterior.mean, ops.full_like(posterior.mean, -np.inf)
            sampled = squared_error(images, self.model.decode(posterior.sample(noise)))
            return sampled, at_mean, posterior.mean, posterior.log_variance

    def state(self) -> dict[str, np.ndarray]:
        """Every variable of model and optimiser by name, and the step: all that a checkpoint needs, for any engine."""
        found = {name: np.asarray(variable.numpy()) for name, variable in self._variables().items()}
        return found | {"step": np.int64(self.step)}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Take the state of another engine of the same run. Raises RunError where it does not fit."""
        variables = self._variables()
        shapes = {name: tuple(value.shape) for name, value in state.items() if name != "step"}
        expected = {name: tuple(variable.shape) for name, variable in variables.items()}
        step = state.get("step", np.array(-1))
        if shapes != expected or np.shape(step) != () or not 0 <= step <= self.training.steps:
            raise RunError("the checkpoint is of another network: expected the variables of this run's configuration")
        for name, variable in variables.items():
            variable.assign(state[name])
        self.step = int(step)

    def _variables(self) -> dict[str, Any]:
        model = {f"model/{variable.path}": variable for variable in self.model.weights}
        named = model | {f"optimizer/{variable.path}": variable for variable in self.optimizer.variables}
        assert len(named) == len(self.model.weights) + len(self.optimizer.variables), "two variables share a path"
        return named


def as_float(images: Any) -> Any:
    """uint8 pixels to float32 in [0, 1]."""
    return ops.cast(images, "float32") / 255.0
