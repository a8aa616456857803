"""The autoencoder, one class for AE and VAE: an encoder, a decoder and the objective that trains them."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Callable
from typing import Any, NamedTuple

import keras
from keras import ops

from tfcollapse.config.declaration import Objective
from tfcollapse.errors import ConfigError, RunError
from tfcollapse.models import keras_file, networks, objectives  # noqa: F401 - registers the classes that a saved model names


class Posterior(NamedTuple):
    """The posterior q(z | x), a diagonal Gaussian. That of an AE is a point, and its log variance is None.

    Attributes:
      mean: [batch, latent].
      log_variance: [batch, latent] or None.
    """

    mean: Any
    log_variance: Any = None

    def sample(self, noise: Any) -> Any:
        """Return mean + sigma * noise, [batch, latent]; the mean itself where there is no variance or no noise."""
        if self.log_variance is None or noise is None:
            return self.mean
        return self.mean + ops.exp(0.5 * self.log_variance) * noise


class LossTerms(NamedTuple):
    """The objective on one batch, and the terms that it is made of.

    Attributes:
      loss: [batch], what is minimised: eq. (4) with the KL weighted, or the AE's squared error over d.
      squared_error: [batch], summed over pixels, at the sampled z.
      kl: [batch], nats, summed over latent dimensions; zero for an AE.
      gamma: scalar, the decoder variance that the loss used; 1 for an AE.
      kl_weight: scalar.
    """

    loss: Any
    squared_error: Any
    kl: Any
    gamma: Any
    kl_weight: Any


@keras.saving.register_keras_serializable("tfcollapse")
class Autoencoder(keras.Model):
    """An AE or a VAE, as `objective` says.

    It trains through `tfcollapse.train`, or as any Keras model through `compile(optimizer)` and
    `fit(images)`, alone or under a `tf.distribute` strategy.

    Args:
      encoder: images [batch, h, w, c] to mean [batch, latent], or to (mean, log_variance) for a VAE.
      decoder: [batch, latent] to [batch, h, w, c].
      objective: the declaration; a plain dict of its fields is taken too.
      image_shape, latent_dim: taken from the encoder where it has attributes of those names.
      seed: of the noise that `fit` draws.

    Example:
      >>> model = Autoencoder(*networks.build(Network(), (28, 28, 1), variational=True, seed=0))
      >>> model.encode(images).mean.shape
    """

    def __init__(
        self,
        encoder: keras.Model,
        decoder: keras.Model,
        objective: Objective | dict[str, Any] | None = None,
        *,
        image_shape: tuple[int, int, int] | None = None,
        latent_dim: int | None = None,
        seed: int = 0,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.encoder, self.decoder, self.seed = encoder, decoder, seed
        self.objective = Objective(**objective) if isinstance(objective, dict) else objective or Objective()
        self.image_shape = tuple(image_shape or encoder.image_shape)
        self.latent_dim = latent_dim or encoder.latent_dim
        self.dimensions = math.prod(self.image_shape)
        self.log_gamma = None
        if self.variational:
            self.log_gamma = self.add_weight(
                name="log_gamma",
                shape=(),
                initializer=keras.initializers.Constant(math.log(self.objective.gamma_start)),
                trainable=self.objective.gamma == "learned",
            )
        self._trackers = [keras.metrics.Mean(name=name) for name in ("loss", "reconstruction_error", "kl", "gamma")]
        self.built = True

    @property
    def variational(self) -> bool:
        """Say whether this is a VAE."""
        return self.objective.kind == "vae"

    @property
    def gamma(self) -> Any:
        """Return the decoder variance, a scalar tensor; None for an AE.

        Under "optimal" it is the last batch's in `fit`, and the whole training set's after `tfcollapse.train`.
        """
        return None if self.log_gamma is None else ops.exp(self.log_gamma)

    def encode(self, images: Any, training: bool = False) -> Posterior:
        """Return q(z | x) of float images [batch, h, w, c] in [0, 1]."""
        encoded = self.encoder(images, training=training)
        # In full, whatever the networks compute in: the KL, the errors and gamma need the digits.
        values = encoded if self.variational else (encoded,)
        return Posterior(*(ops.cast(value, self.variable_dtype) for value in values))

    def decode(self, latents: Any, training: bool = False) -> Any:
        """Return mu_x(z), [batch, h, w, c], of latents [batch, latent]."""
        return ops.cast(self.decoder(latents, training=training), self.variable_dtype)

    def reconstruct(self, images: Any, noise: Any = None) -> Any:
        """Return mu_x(z) at the posterior's mean, or at its sample where standard normal `noise` is given."""
        return self.decode(self.encode(images).sample(noise))

    def sample(self, count: int, seed: int = 0) -> Any:
        """Return mu_x(z) for `count` draws of z from the prior, [count, h, w, c], without pixel noise.

        Raises:
          ValueError: for an AE, which has no prior to draw from.
        """
        if not self.variational:
            raise ValueError("sample: expected a VAE, received an AE, which has no prior to draw latents from")
        return self.decode(keras.random.normal((count, self.latent_dim), seed=seed))

    def call(self, images: Any) -> Any:
        return self.reconstruct(images)

    def loss_terms(
        self,
        images: Any,
        noise: Any,
        step: Any,
        training: bool = True,
        batch_mean: Callable[[Any], Any] = ops.mean,
    ) -> LossTerms:
        """Compute the objective on one batch, or on one replica's share of it.

        Args:
          images: float [batch, h, w, c] in [0, 1].
          noise: standard normal [batch, latent].
          step: updates done so far, an integer scalar; warm-up depends on it.
          training: whether batch normalisation, where a network has it, takes the statistics of this batch.
          batch_mean: takes values of these images, [batch], and returns their mean over the whole batch, of which these
            images may be a share; eq. (10) needs it.
        """
        posterior = self.encode(images, training)
        error = objectives.squared_error(images, self.decode(posterior.sample(noise), training))
        one = ops.ones((), error.dtype)
        if not self.variational:
            return LossTerms(error / self.dimensions, error, ops.zeros_like(error), one, one)
        kl = ops.sum(objectives.kl_per_dimension(*posterior), axis=-1)
        share = one if self.objective.warmup == "none" else objectives.warmup(step, self.objective.warmup_steps)
        kl_weight = self.objective.beta * (share if self.objective.warmup == "kl" else one)
        gamma = self._gamma_for(error, batch_mean) * (share if self.objective.warmup == "gamma" else one)
        loss = objectives.vae_energy(error, kl, gamma, self.dimensions, self.latent_dim, kl_weight)
        return LossTerms(loss, error, kl, gamma, kl_weight)

    def _gamma_for(self, squared_error: Any, batch_mean: Callable[[Any], Any]) -> Any:
        if self.objective.gamma != "optimal":
            return ops.exp(self.log_gamma)
        # At the minimum over gamma the gradient through it vanishes, so it may be taken as a constant.
        return objectives.optimal_gamma(ops.stop_gradient(squared_error), self.dimensions, batch_mean)

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        return self._trackers

    def compile(self, *arguments: Any, **options: Any) -> None:
        """Compile as Keras does. Raises ConfigError under another backend than TensorFlow, which `train_step` needs."""
        if keras.config.backend() != "tensorflow":
            raise ConfigError("fit: this model's is TensorFlow's: under another backend train it with tfcollapse.train")
        super().compile(*arguments, **options)

    def train_step(self, data: Any) -> dict[str, Any]:
        """Make one update under `fit`. Losses are divided by the number of replicas, which then sum their gradients."""
        import tensorflow as tf

        images, step = _images_of(data), self.optimizer.iterations
        context = tf.distribute.get_replica_context()
        seed = tf.stack([self.seed + 1_000_003 * context.replica_id_in_sync_group, tf.cast(step, tf.int32)])
        noise = tf.random.stateless_normal((tf.shape(images)[0], self.latent_dim), seed, alg="philox")
        with tf.GradientTape() as tape:
            terms = self.loss_terms(
                images, noise, step, batch_mean=lambda values: context.all_reduce("mean", ops.mean(values))
            )
            loss = ops.mean(terms.loss) / context.num_replicas_in_sync
        variables = self.trainable_variables
        self.optimizer.apply(tape.gradient(loss, variables), variables)
        if self.variational and self.objective.gamma == "optimal":
            self.log_gamma.assign(ops.log(terms.gamma))
        return self._track(terms)

    def test_step(self, data: Any) -> dict[str, Any]:
        """Measure the objective at the posterior's mean, as it is after warm-up."""
        images = _images_of(data)
        step = ops.convert_to_tensor(self.objective.warmup_steps)
        noise = ops.zeros((ops.shape(images)[0], self.latent_dim))
        return self._track(self.loss_terms(images, noise, step, training=False))

    def _track(self, terms: LossTerms) -> dict[str, Any]:
        values = (terms.loss, terms.squared_error / self.dimensions, terms.kl, terms.gamma)
        for tracker, value in zip(self._trackers, values, strict=True):
            tracker.update_state(value)
        return {tracker.name: tracker.result() for tracker in self._trackers}

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "encoder": keras.saving.serialize_keras_object(self.encoder),
            "decoder": keras.saving.serialize_keras_object(self.decoder),
            "objective": dataclasses.asdict(self.objective),
            "image_shape": self.image_shape,
            "latent_dim": self.latent_dim,
            "seed": self.seed,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Autoencoder:
        parts = {name: keras.saving.deserialize_keras_object(config.pop(name)) for name in ("encoder", "decoder")}
        for part, shape in (("encoder", config["image_shape"]), ("decoder", (config["latent_dim"],))):
            if not parts[part].built:
                parts[part].build((None, *shape))
        return cls(**parts, **config)


def load_model(path: str | os.PathLike[str]) -> Autoencoder:
    """Load the autoencoder that a run or `model.save` left at `path`, a .keras file. Nothing in it is executed.

    Raises:
      RunError: the file is missing, damaged, or holds something else.
    """
    model = keras_file.read(path)
    if not isinstance(model, Autoencoder):
        raise RunError(f"model '{path}': expected an Autoencoder, received {type(model).__name__}")
    return model


def _images_of(data: Any) -> Any:
    return data[0] if isinstance(data, (tuple, list)) else data
