"""Train, evaluate and predict with Keras' own methods, for a model of images that has an objective of its own."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from tfcollapse.errors import ConfigError
from tfcollapse.models.fit_inputs import as_numbers, check_call

_REPLICA_SEED = 1_000_003


def _checking(name: str, trains: bool = False) -> Callable[..., Any]:
    """Return Keras' method of that name, with a check of what it is given.

    Args:
      name: of the method.
      trains: whether it runs `train_step` or `test_step`, which are TensorFlow's.
    """
    own = getattr(keras.Model, name)

    @functools.wraps(own)
    def method(self: ImageModel, *arguments: Any, **options: Any) -> Any:
        if trains and keras.config.backend() != "tensorflow":
            raise ConfigError(
                f"{name}: expected TensorFlow, received KERAS_BACKEND={keras.config.backend()}: train this model with "
                "tfcollapse.train"
            )
        call = inspect.signature(own).bind(self, *arguments, **options)
        check_call(name, call.arguments, self.image_shape, self.value_range)
        if not trains:
            return own(*call.args, **call.kwargs)
        from tfcollapse.models.replicas import synchronised

        with synchronised(self):
            return own(*call.args, **call.kwargs)

    return method


class ImageModel(keras.Model):
    """A model of images for `compile` and `fit`, whose loss comes from its own `loss_terms`.

    Images are an array, a `tf.data.Dataset`, a `PyDataset` or a generator: floats in `value_range`, or uint8, which is
    divided by 255. Targets beside the images are ignored. `predict` returns reconstructions at the posterior's mean.
    Under a `tf.distribute` strategy a step is that of the whole batch, however it is shared out.

    A subclass sets `image_shape`, `latent_dim`, `noise_dim`, `dimensions`, `objective`, `seed`, `value_range` and
    `log_gamma`.

    Raises:
      ConfigError: `compile` receives a loss or metrics; a method receives images that the model cannot take, or sample
        weights; `fit` or `evaluate` runs under another backend than TensorFlow, whose steps these are.
    """

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        self._trackers = [keras.metrics.Mean(name=name) for name in ("loss", "reconstruction_error", "kl", "gamma")]

    @property
    def full_dtype(self) -> str:
        """Return the type of the objective, whatever the networks compute in: float32, or float64 where they are."""
        return "float64" if self.variable_dtype == "float64" else "float32"

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        return self._trackers

    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        loss_weights: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        **options: Any,
    ) -> None:
        """Compile as Keras does. Raises ConfigError where a loss or metrics are given."""
        if optimizer is None:
            raise ConfigError("compile: expected an optimizer, such as 'adam', received None")
        for name, value in (("loss", loss), ("metrics", metrics or weighted_metrics), ("loss_weights", loss_weights)):
            if value is not None:
                raise ConfigError(
                    f"compile: expected an optimizer without {name}: the objective is the model's own, and its parts "
                    f"are logged, received {value!r}"
                )
        super().compile(optimizer, **options)

    def get_compile_config(self) -> dict[str, Any]:
        config = super().get_compile_config()
        return config and config | {"steps_were_made": self.optimizer.built}

    def compile_from_config(self, config: dict[str, Any]) -> None:
        arguments = keras.saving.deserialize_keras_object(config)
        trained = arguments.pop("steps_were_made", True)
        self.compile(**arguments)
        if trained:
            self.optimizer.build(self.trainable_variables)

    fit = _checking("fit", trains=True)
    evaluate = _checking("evaluate", trains=True)
    predict = _checking("predict")
    train_on_batch = _checking("train_on_batch", trains=True)
    test_on_batch = _checking("test_on_batch", trains=True)
    predict_on_batch = _checking("predict_on_batch")

    def train_step(self, data: Any) -> dict[str, Any]:
        """Make one update under `fit`, of the mean over the whole batch of which this replica has a share."""
        import tensorflow as tf

        from tfcollapse.models.replicas import WholeBatch, all_or_none

        batch, optimizer = WholeBatch(self._images_of(data)), self.optimizer
        noise = self._noise(batch.images)
        if batch.replicas > 1 and getattr(optimizer, "inner_optimizer", optimizer).gradient_accumulation_steps:
            raise ConfigError(
                "fit: expected no gradient_accumulation_steps over several replicas, where Keras has none"
            )
        with tf.GradientTape() as tape:
            terms = self.loss_terms(batch.images, noise, optimizer.iterations, batch_mean=batch.mean)
            loss = batch.part_of_mean(terms.loss)
            if self.losses:  # of regularisers, or added by layers
                loss += ops.sum(self.losses) / batch.replicas
            loss = optimizer.scale_loss(loss)
        variables = self.trainable_variables
        found = tape.gradient(loss, variables)
        # Heads that the objective does not use have none: an AE's log variance, an encoder's own sample.
        gradients = [ops.zeros_like(v) if g is None else g for v, g in zip(variables, found, strict=True)]
        scales = isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
        optimizer.apply(all_or_none(gradients) if scales else gradients, variables)
        if self.log_gamma is not None and self.objective.gamma == "optimal":
            self.log_gamma.assign(ops.log(terms.gamma))
        return self._track(terms, batch.weight)

    def test_step(self, data: Any) -> dict[str, Any]:
        """Measure the objective at the posterior's mean, as it is after warm-up; of several samples, eq. (4) there."""
        from tfcollapse.models.replicas import WholeBatch

        batch = WholeBatch(self._images_of(data))
        step = ops.convert_to_tensor(self.objective.settled_step)
        terms = self.loss_terms(batch.images, None, step, training=False, batch_mean=batch.mean)
        return self._track(terms, batch.weight)

    def _images_of(self, data: Any) -> Any:
        import tensorflow as tf

        images, _, weights = keras.utils.unpack_x_y_sample_weight(data)
        if weights is not None:
            raise ConfigError("images: expected no sample weights beside them, as every image counts once")
        return as_numbers(tf.ensure_shape(images, (None, *self.image_shape)), self.image_shape, self.full_dtype)

    def _noise(self, images: Any) -> Any:
        """Return standard normal draws, [batch, noise_dim]: they depend on seed, update and replica alone."""
        import tensorflow as tf

        # Not `iterations`, which stands still while gradients accumulate.
        updates = getattr(self.optimizer, "inner_optimizer", self.optimizer)._iterations
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        seed = tf.stack([self.seed % (1 << 31) + _REPLICA_SEED * replica, tf.cast(updates, tf.int32)])
        shape = (tf.shape(images)[0], self.noise_dim)
        return tf.random.stateless_normal(shape, seed, dtype=self.full_dtype, alg="philox")

    def _track(self, terms: Any, weight: Any) -> dict[str, Any]:
        values = (terms.loss, terms.squared_error / self.dimensions, terms.kl, terms.gamma)
        for tracker, value in zip(self._trackers, values, strict=True):
            # Numbers for each image count as the image does, and gamma once a step.
            tracker.update_state(value, ops.full_like(value, weight) if value.shape.rank else None)
        return {tracker.name: tracker.result() for tracker in self._trackers}
