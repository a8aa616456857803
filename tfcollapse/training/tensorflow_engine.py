"""Train with TensorFlow: many steps as one program, on one device or over the replicas of a strategy."""

from __future__ import annotations

import functools
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from tfcollapse.config.declaration import Network, Training
from tfcollapse.errors import ConfigError
from tfcollapse.models.autoencoder import Autoencoder
from tfcollapse.models.replicas import total
from tfcollapse.training.engine import METRICS, Engine, as_float
from tfcollapse.training.precision import synchronise

_traced = functools.partial(tf.function, autograph=False)
"""Make a graph of a function whose loops and conditions are TensorFlow's own.

AutoGraph rewrites those of Python, of which there are none. Measured: with it the first small run of a process takes
5.3 s of processor time, without it 1.6 s.
"""


def use_xla(training: Training, network: Network) -> bool:
    """Choose whether to compile with XLA: as `training.jit` says, else on every GPU, and on a CPU as the spec says."""
    if training.jit != "auto":
        return training.jit == "on"
    return bool(tf.config.list_physical_devices("GPU")) or network.spec.xla_on_cpu


class TensorFlowEngine(Engine):
    """Train a model on the devices of the strategy in whose scope the engine is made.

    Several replicas cut the batch by position, so that every image has the noise that it has on one device. Losses are
    divided by the size of the whole batch. Gradients, metrics, and the means in eq. (10) and in batch normalisation are
    summed over the replicas. Any number of replicas therefore follows the same trajectory, except for the order of
    float sums.

    Args:
      model: an autoencoder made in that scope. The precision of its layers is set.
      training: the declaration.
      jit: whether to compile with XLA. Over several replicas XLA compiles the forward and backward passes alone.
      optimizer: used in place of Appendix A's Adam.
      data_type: of the images, see `Engine`.

    Attributes:
      strategy: the `tf.distribute.Strategy` of that scope.

    Raises:
      ConfigError: there are more replicas than images in a batch.
    """

    def __init__(
        self,
        model: Autoencoder,
        training: Training,
        *,
        jit: bool,
        optimizer: keras.optimizers.Optimizer | None = None,
        data_type: str = "uint8",
    ):
        self.jit = jit
        self.strategy = tf.distribute.get_strategy()
        self.replicas = self.strategy.num_replicas_in_sync
        if self.replicas > training.batch:
            raise ConfigError(
                f"training.batch: expected an image for each of {self.replicas} replicas, received {training.batch}: "
                "take fewer --devices"
            )
        super().__init__(model, training, optimizer, data_type)
        # TensorFlow rounds the factors of float32 products to 10 bits on NVIDIA GPUs unless it is told otherwise.
        tf.config.experimental.enable_tensor_float_32_execution(training.precision == "tf32")
        self.device, self.reusable = device(), not tf.distribute.has_strategy()
        self._normalised = synchronise(model)
        # Each program is traced once. XLA and strategies get batches of one length; else the length is left open.
        self._padded = jit or self.replicas > 1
        if self.replicas == 1:
            compiled = _traced(self._steps, jit_compile=jit, input_signature=None if jit else self._signature())
            self._program = lambda *values: self.strategy.run(compiled, values)
        else:
            self._program = _traced(self._replicated_steps)
        block = _traced(self._evaluate, jit_compile=jit and self.replicas == 1)
        self._block = lambda images, noise: block(tf.constant(images), tf.constant(noise))

    def train_steps(self, images: np.ndarray, noise: np.ndarray) -> dict[str, np.ndarray]:
        count, most = len(images), self.training.log_every
        if self._padded and count < most:
            images, noise = (np.pad(a, [(0, most - count)] + [(0, 0)] * (a.ndim - 1)) for a in (images, noise))
        values = self._program(self._shares(images), self._shares(noise), tf.constant(count)).numpy()[:count]
        self.step += count
        return dict(zip(METRICS, values.T, strict=True))

    def _signature(self) -> list[tf.TensorSpec]:
        """Return the types of the arguments of `_steps`, for any number of steps."""
        batch, model = self.training.batch, self.model
        return [
            tf.TensorSpec((None, batch, *model.image_shape), self.data_type),
            tf.TensorSpec((None, batch, model.noise_dim), tf.float32),
            tf.TensorSpec((), tf.int32),
        ]

    def _shares(self, values: np.ndarray) -> tf.Tensor:
        """Return `values` [steps, batch, ...] so that each replica of this process has its positions of the batch."""
        if self.replicas == 1:
            return tf.constant(values)
        positions = np.array_split(np.arange(values.shape[1]), self.replicas)

        def share(context: tf.distribute.distribute_lib.ValueContext) -> tf.Tensor:
            own = positions[context.replica_id_in_sync_group]
            return tf.constant(values[:, own[0] : own[-1] + 1])

        return self.strategy.experimental_distribute_values_from_function(share)

    def _steps(self, images: tf.Tensor, noise: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
        size = count if images.shape[0] is None else images.shape[0]  # XLA needs a constant
        return _loop(size, count, lambda i: self._update(images, noise, i))

    def _replicated_steps(self, images: tf.Tensor, noise: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
        def update(i: tf.Tensor) -> tf.Tensor:
            rows = self.strategy.run(self._update, (images, noise, i))
            return self.strategy.experimental_local_results(rows)[0]  # the same on every replica

        return _loop(count, count, update)

    def _update(self, images: tf.Tensor, noise: tf.Tensor, i: tf.Tensor) -> tf.Tensor:
        """Do one step on a replica's share of batch `i`, and return METRICS of the whole batch."""
        compute = self._gradients
        if self.jit and self.replicas > 1 and not self._exchanges_in_forward_pass:
            compute = _traced(compute, jit_compile=True)
        rate = tf.cast(self.optimizer.learning_rate, tf.float32)
        gradients, sums, gamma, kl_weight = compute(as_float(images[i]), noise[i])
        means = total(sums) / self.training.batch
        self.optimizer.apply(self._all_or_none(gradients), self.model.trainable_variables)
        return tf.concat([means, tf.stack([gamma, kl_weight, rate])], axis=0)

    @property
    def _exchanges_in_forward_pass(self) -> bool:
        """Return whether replicas exchange numbers inside the forward pass, which XLA cannot compile."""
        objective = self.model.objective
        return self._normalised or objective.gamma == "optimal" or objective.kl_constraint in ("free_bits", "capacity")

    def _gradients(
        self, images: tf.Tensor, noise: tf.Tensor
    ) -> tuple[list[tf.Tensor], tf.Tensor, tf.Tensor, tf.Tensor]:
        def batch_mean(values: tf.Tensor) -> tf.Tensor:
            return total(tf.reduce_sum(values, axis=0)) / self.training.batch

        with tf.GradientTape() as tape:
            terms = self.model.loss_terms(images, noise, self.optimizer.iterations, batch_mean=batch_mean)
            # Keras sums the gradients of the replicas, so the loss of each is its part of the mean over the batch.
            loss = self.optimizer.scale_loss(tf.reduce_sum(terms.loss) / self.training.batch)
        errors = terms.squared_error / self.model.dimensions
        sums = tf.stack([tf.reduce_sum(values) for values in (terms.loss, errors, terms.kl)])
        scalars = [tf.cast(value, tf.float32) for value in (terms.gamma, terms.kl_weight)]
        return tape.gradient(loss, self.model.trainable_variables), sums, *scalars

    def _all_or_none(self, gradients: list[tf.Tensor]) -> list[tf.Tensor]:
        """Return the gradients, or NaN in all replicas where float16 overflows for the whole batch: all skip the step.

        One device adds up a weight's gradient over the batch in float16. A sum over replicas that float16 cannot hold
        is therefore an overflow as well, though its parts are finite.
        """
        if self.replicas == 1 or self.training.precision != "float16":
            return gradients
        fits = []
        for gradient, variable in zip(gradients, self.model.trainable_variables, strict=True):
            whole = total(gradient)
            in_half = variable is not self.model.log_gamma
            fits.append(tf.reduce_all(tf.math.is_finite(tf.cast(whole, tf.float16) if in_half else whole)))
        return [tf.where(tf.reduce_all(fits), gradient, np.nan) for gradient in gradients]


def _loop(size: int | tf.Tensor, count: tf.Tensor, update: Callable[[tf.Tensor], tf.Tensor]) -> tf.Tensor:
    """Return `update(i)` for every i below `count`, padded to `size` rows: float32 [size, len(METRICS)]."""
    rows = tf.TensorArray(tf.float32, size=size, element_shape=(len(METRICS),))

    def body(i: tf.Tensor, rows: tf.TensorArray) -> tuple[tf.Tensor, tf.TensorArray]:
        return i + 1, rows.write(i, update(i))

    _, rows = tf.while_loop(lambda i, _: i < count, body, (tf.constant(0), rows))
    return rows.stack()


def device() -> str:
    """Return the name of the first GPU, or "CPU" where there is none."""
    gpus = tf.config.list_physical_devices("GPU")
    return tf.config.experimental.get_device_details(gpus[0])["device_name"] if gpus else "CPU"
