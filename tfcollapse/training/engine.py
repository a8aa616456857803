"""Define what every engine has: a model, its optimiser, and a compiled program of many steps over them."""

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
"""What `train_steps` returns for each step: means over the batch, the error per pixel, the KL in nats an image."""


class Engine:
    """Hold a model and its optimiser. A subclass trains them in the way of one framework.

    Args:
      model: an autoencoder. The precision of its layers is set.
      training: the declaration.
      optimizer: used in place of Appendix A's Adam.
      data_type: of the images: "uint8", or "float32" for numbers that the model takes as they are.

    Attributes:
      step: the number of updates done.
      device: the name of the device that computes.
      jit: whether XLA compiles the steps.
      reusable: whether the engine can train another model of the same declaration afterwards.
    """

    device: str
    jit: bool
    reusable: bool
    _block: Callable[[Any, Any], tuple[Any, ...]]

    def __init__(
        self,
        model: Autoencoder,
        training: Training,
        optimizer: keras.optimizers.Optimizer | None = None,
        data_type: str = "uint8",
    ):
        self.model, self.training, self.data_type = model, training, data_type
        self.optimizer = self._build_optimizer(optimizer or adam(training, model), model)
        self.step = 0
        set_precision(model, training.precision)

    def _build_optimizer(self, optimizer: keras.optimizers.Optimizer, model: Autoencoder) -> keras.optimizers.Optimizer:
        if self.training.precision == "float16":
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer, name="scaled_adam")
        optimizer.build(model.trainable_variables)
        return optimizer

    def begin(self, model: Autoencoder) -> None:
        """Start again from the weights of `model`, whose declaration may differ in the seed alone."""
        start = self._build_optimizer(adam(self.training, model), model)
        pairs = ((self.model.weights, model.weights), (self.optimizer.variables, start.variables))
        for own, other in pairs:
            for variable, value in zip(own, other, strict=True):
                variable.assign(value.numpy())
        self.step = 0

    def train_steps(self, images: np.ndarray, noise: np.ndarray) -> dict[str, np.ndarray]:
        """Do `steps` updates, at most `log_every`.

        Args:
          images: of `data_type`, [steps, batch, h, w, c], or indices [steps, batch] where `put_on_device` has taken the
            images.
          noise: standard normal draws, float32 [steps, batch, latent times importance_samples].

        Returns:
          Each of METRICS as float32 [steps].
        """
        raise NotImplementedError

    def put_on_device(self, images: np.ndarray) -> bool:
        """Copy the training set, uint8 [n, h, w, c], to the device, and return whether the engine could do so."""
        return False

    def evaluate(self, images: np.ndarray, noise: np.ndarray) -> Block:
        """Evaluate the model on a block of images, see `tfcollapse.training.evaluation.Engine`."""
        count = len(images)
        padded = np.pad(images, [(0, draws.EVALUATION_BLOCK - count)] + [(0, 0)] * (images.ndim - 1))
        return Block(*(np.asarray(value)[:count] for value in self._block(padded, noise)))

    def _evaluate(self, images: Any, noise: Any) -> tuple[Any, ...]:
        """Return the fields of a Block as tensors."""
        images = as_float(images)
        with full_precision(self.model):
            posterior = self.model.encode(images)
            at_mean = squared_error(images, self.model.decode(posterior.mean))
            if posterior.log_variance is None:
                return at_mean, at_mean, posterior.mean, ops.full_like(posterior.mean, -np.inf)
            sampled = squared_error(images, self.model.decode(posterior.sample(noise)))
            return sampled, at_mean, posterior.mean, posterior.log_variance

    def state(self) -> dict[str, np.ndarray]:
        """Return every variable of model and optimiser by name, and the step. Any engine of the run can restore it."""
        values = {name: np.asarray(variable.numpy()) for name, variable in self._variables().items()}
        return values | {"step": np.int64(self.step)}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Take the state of an engine of the same run. Raises RunError where it does not fit."""
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
        variables = {f"model/{variable.path}": variable for variable in self.model.weights}
        variables |= {f"optimizer/{variable.path}": variable for variable in self.optimizer.variables}
        count = len(self.model.weights) + len(self.optimizer.variables)
        assert len(variables) == count, "two variables share a path"
        return variables


def as_float(images: Any) -> Any:
    """Return uint8 pixels as float32 in [0, 1], and other numbers as they are, in float32."""
    values = ops.cast(images, "float32")
    return values / 255.0 if keras.backend.standardize_dtype(images.dtype) == "uint8" else values
