"""Train with JAX: many steps as one program over images that stay on the device, for one seed or several at once."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np

from tfcollapse.config.declaration import Training
from tfcollapse.data.image_cache import cache_directory
from tfcollapse.models.autoencoder import Autoencoder
from tfcollapse.training.engine import METRICS, Engine, as_float

_CACHED_SECONDS = 0.5
"""Seconds of compilation from which a program is kept on disk for the next process.

TensorFlow has such a cache too. It is not used, since a full disk or a damaged file in it would end the run.
"""

State = tuple[list[Any], list[Any], list[Any]]
"""The values of the trainable weights, of the other weights, and of the optimiser's variables."""

_HOST_IMAGES = 1 << 30
"""The largest training set in bytes of which a CPU holds a copy. A GPU holds one up to a quarter of its memory."""


class JaxEngine(Engine):
    """Train a model on one device with JAX. The numbers are those of `TensorFlowEngine`, except for rounding.

    Keras' variables hold the state between two calls. Engines that belong to a `VmappedEngines` are an exception:
    there the stacked state is the newer one.

    Args:
      model, training, optimizer, data_type: as for `Engine`.
    """

    jit = True
    reusable = True

    def __init__(
        self,
        model: Autoencoder,
        training: Training,
        optimizer: keras.optimizers.Optimizer | None = None,
        data_type: str = "uint8",
    ):
        super().__init__(model, training, optimizer, data_type)
        if jax.config.jax_compilation_cache_dir is None:
            jax.config.update("jax_compilation_cache_dir", str(cache_directory() / "jax"))
            jax.config.update("jax_persistent_cache_min_compile_time_secs", _CACHED_SECONDS)
        self.device = jax.devices()[0].device_kind
        self.on_device: Any = None
        self.vmapped: VmappedEngines | None = None
        self._trainable = list(model.trainable_variables)
        self._other = [variable for variable in model.weights if not variable.trainable]
        self._program = jax.jit(self.run_steps, donate_argnums=0)
        self.evaluated = jax.jit(self._evaluate_values)
        self._block = lambda images, noise: self.evaluated([w.value for w in self.model.weights], images, noise)

    @property
    def values(self) -> State:
        """Return the values of Keras' variables, or set them."""
        groups = (self._trainable, self._other, self.optimizer.variables)
        return tuple([variable.value for variable in group] for group in groups)  # type: ignore[return-value]

    @values.setter
    def values(self, state: State) -> None:
        groups = (self._trainable, self._other, self.optimizer.variables)
        for variables, arrays in zip(groups, state, strict=True):
            for variable, array in zip(variables, arrays, strict=True):
                variable.assign(array)

    def put_on_device(self, images: np.ndarray) -> bool:
        memory = jax.devices()[0].memory_stats()
        if images.nbytes > (memory["bytes_limit"] // 4 if memory else _HOST_IMAGES):
            return False
        self.on_device = jnp.asarray(images)
        return True

    def train_steps(self, images: np.ndarray, noise: np.ndarray) -> dict[str, np.ndarray]:
        count, most = len(images), self.training.log_every
        with self.declared_precision():
            state, rows = self._program(self.values, self.on_device, *(padded(a, most) for a in (images, noise)), count)
        self.values = state
        self.step += count
        return dict(zip(METRICS, np.asarray(rows)[:count].T, strict=True))

    def evaluate(self, images: np.ndarray, noise: np.ndarray) -> Any:
        self._unstack()
        with self.declared_precision():
            return super().evaluate(images, noise)

    def state(self) -> dict[str, np.ndarray]:
        self._unstack()
        return super().state()

    def _unstack(self) -> None:
        if self.vmapped is not None:
            self.vmapped.unstack()

    def declared_precision(self) -> contextlib.AbstractContextManager[Any]:
        """Compute float32 products in full precision inside the `with` statement, or in TF32 where it is declared.

        JAX itself would compute them in TF32 on NVIDIA GPUs.
        """
        return jax.default_matmul_precision("tensorfloat32" if self.training.precision == "tf32" else "float32")

    def run_steps(self, state: State, on_device: Any, images: Any, noise: Any, count: Any) -> tuple[State, Any]:
        """Do `count` updates, as a pure function of the state.

        The loop takes its bound as an argument. `lax.scan` would be compiled again for every number of steps.

        Returns:
          The new state, and METRICS as float32 [steps, len(METRICS)].
        """

        def body(i: Any, carry: tuple[State, Any]) -> tuple[State, Any]:
            state, rows = carry
            batch = images[i] if on_device is None else on_device[images[i]]
            state, row = self._update(state, as_float(batch), noise[i])
            return state, rows.at[i].set(row)

        return jax.lax.fori_loop(0, count, body, (state, jnp.zeros((len(images), len(METRICS)))))

    def _update(self, state: State, images: Any, noise: Any) -> tuple[State, Any]:
        (scaled, (row, other)), gradients = jax.value_and_grad(self._loss, has_aux=True)(
            state[0], state[1], state[2], images, noise
        )
        trainable, optimizer = self.optimizer.stateless_apply(state[2], gradients, state[0])
        return (trainable, other, optimizer), row

    def _loss(self, trainable: list[Any], other: list[Any], optimizer: list[Any], images: Any, noise: Any) -> Any:
        variables = [*self._trainable, *self._other, *self.optimizer.variables]
        mapping = list(zip(variables, [*trainable, *other, *optimizer], strict=True))
        with keras.StatelessScope(state_mapping=mapping) as scope:
            terms = self.model.loss_terms(images, noise, self.optimizer.iterations)
            loss = jnp.mean(terms.loss)
            errors = terms.squared_error / self.model.dimensions
            rate = jnp.asarray(self.optimizer.learning_rate)
            row = [loss, jnp.mean(errors), jnp.mean(terms.kl), terms.gamma, terms.kl_weight, rate]
            scaled = self.optimizer.scale_loss(loss)
            new = [scope.get_current_value(variable) for variable in self._other]
        return scaled, (jnp.stack([jnp.asarray(value, jnp.float32) for value in row]), new)

    def _evaluate_values(self, values: list[Any], images: Any, noise: Any) -> tuple[Any, ...]:
        with keras.StatelessScope(state_mapping=list(zip(self.model.weights, values, strict=True))):
            return self._evaluate(images, noise)


class VmappedEngines:
    """Train several engines as one program, by `vmap` over their states.

    Args:
      engines: engines of runs that differ in their seeds alone, all at the same step.
    """

    def __init__(self, engines: Sequence[JaxEngine]):
        first, axes = engines[0], (0, None, 0, 0, None)
        self.engines = engines
        self._program = jax.jit(jax.vmap(first.run_steps, in_axes=axes), donate_argnums=0)
        self._state = jax.jit(lambda states: jax.tree.map(lambda *a: jnp.stack(a), *states))(
            [e.values for e in engines]
        )
        self._stack_is_newer = False
        for engine in engines:
            engine.vmapped, engine.evaluated = self, first.evaluated  # compiled once

    def train_steps(self, images: Sequence[np.ndarray], noise: Sequence[np.ndarray]) -> list[dict[str, np.ndarray]]:
        """Do `Engine.train_steps` for each engine, with the same number of steps for all.

        Args:
          images, noise: for each engine what its `train_steps` takes.

        Returns:
          For each engine what its `train_steps` returns.
        """
        first, count = self.engines[0], len(images[0])
        batches = (np.stack([padded(a, first.training.log_every) for a in arrays]) for arrays in (images, noise))
        with first.declared_precision():
            self._state, rows = self._program(self._state, first.on_device, *batches, count)
        self._stack_is_newer = True
        for engine in self.engines:
            engine.step += count
        return [dict(zip(METRICS, values[:count].T, strict=True)) for values in np.asarray(rows)]

    def unstack(self) -> None:
        """Copy the state of every engine out of the stacked state into its own variables."""
        if self._stack_is_newer:
            for engine, state in zip(self.engines, _unstacked(self._state, len(self.engines)), strict=True):
                engine.values = state
            self._stack_is_newer = False


@functools.partial(jax.jit, static_argnums=1)
def _unstacked(state: State, count: int) -> list[State]:
    return [jax.tree.map(lambda array, place=place: array[place], state) for place in range(count)]


def padded(values: np.ndarray, length: int) -> np.ndarray:
    """Return `values` with rows of zeros up to `length`, so that one compiled program takes any number of steps."""
    if len(values) == length:
        return values
    return np.pad(values, [(0, length - len(values))] + [(0, 0)] * (values.ndim - 1))
