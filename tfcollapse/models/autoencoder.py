"""The autoencoder, one class for AE and VAE: an encoder, a decoder and the objective that trains them."""

import dataclasses
import math
import os
from collections.abc import Callable
from typing import Any, NamedTuple

import keras
from keras import ops

from tfcollapse.config.annotations import arguments_checked
from tfcollapse.config.objective import Objective
from tfcollapse.errors import RunError
from tfcollapse.models import contract, keras_file, networks, objectives  # noqa: F401 - registers the classes that a saved model names
from tfcollapse.models.fit import ImageModel
from tfcollapse.models.fit_inputs import Range, as_numbers


class Posterior(NamedTuple):
    """The posterior q(z | x), a diagonal Gaussian. That of an AE is a point, and its log variance is None.

    Attributes:
      mean: mu_z, [batch, latent].
      log_variance: log sigma_z^2, [batch, latent], or None.

    Example:
      >>> posterior = tc.Posterior(mean=np.zeros((3, 2)), log_variance=np.log(4 * np.ones((3, 2))))
      >>> np.asarray(posterior.sample(noise=np.ones((3, 2))))[0]
      array([2., 2.])
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
      kl_weight: scalar, the weight on the KL in the loss; 1 for an AE.

    Example:
      >>> model = tc.build(tc.Run(network=tc.Network(width=16, latent_dim=4)), (28, 28, 1))
      >>> terms = model.loss_terms(np.zeros((3, 28, 28, 1)), noise=np.zeros((3, 4)), step=0)
      >>> tuple(terms.kl.shape), float(terms.gamma), float(terms.kl_weight)
      ((3,), 1.0, 1.0)
    """

    loss: Any
    squared_error: Any
    kl: Any
    gamma: Any
    kl_weight: Any


@arguments_checked
@keras.saving.register_keras_serializable("tfcollapse")
class Autoencoder(ImageModel):
    """An AE or a VAE, as its objective says: a Keras model of an encoder and a decoder.

    `tfcollapse.train` trains it from a declaration. As any Keras model it trains by `model.compile(optimizer)` and
    `model.fit(images)`, alone or under a tf.distribute strategy, where a step is that of the whole batch. Images are an
    array, a dataset or a generator, of floats in `value_range` or of uint8, which is divided by 255. Targets beside the
    images are ignored. Keras' predict returns reconstructions at the posterior's mean.

    Args:
      encoder: images [batch, h, w, c], or other data [batch, ...], to mean [batch, latent], or to (mean, log_variance)
        for a VAE. A third output, such as the encoder's own sample, is ignored. A dictionary with names of both is
        taken too.
      decoder: [batch, latent] to [batch, h, w, c].
      objective: the declaration; a plain dict of its fields is taken too; None is a VAE with a learned gamma.
      image_shape, latent_dim: needed where neither the networks' attributes of those names nor their inputs say.
      seed: of the noise that Keras' fit draws.
      value_range: the least and the largest value of float images in Keras' fit, evaluate and predict, which refuse
        others; None takes any finite ones, such as standardised data.

    Raises:
      ConfigError: networks or shapes that do not fit together; later, a loss or metrics in compile, or images that the
        model cannot take.

    Example:
      >>> from keras import Input, Model, layers
      >>> image, z = Input((28, 28, 1)), Input((4,))
      >>> flat = layers.Flatten()(image)
      >>> encoder = Model(image, [layers.Dense(4)(flat), layers.Dense(4)(flat)])  # mean, log variance
      >>> decoder = Model(z, layers.Reshape((28, 28, 1))(layers.Dense(784)(z)))
      >>> model = tc.Autoencoder(encoder, decoder, tc.Objective(gamma="optimal"))
      >>> images = tc.load(tc.Data(name="fashion_mnist_mini", train=64)).train
      >>> model.compile("adam")
      >>> sorted(model.fit(images, verbose=0).history)
      ['gamma', 'kl', 'loss', 'reconstruction_error']
      >>> tuple(model.encode(images).mean.shape), tuple(model.sample(2).shape)
      ((64, 4), (2, 28, 28, 1))
    """

    def __init__(
        self,
        encoder: keras.Layer,
        decoder: keras.Layer,
        objective: Objective | dict[str, Any] | None = None,
        *,
        image_shape: tuple[int, ...] | None = None,
        latent_dim: int | None = None,
        seed: int = 0,
        value_range: Range | None = (0.0, 1.0),
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.encoder, self.decoder, self.seed = encoder, decoder, seed
        self.objective = objective if isinstance(objective, Objective) else Objective(**(objective or {}))
        self.image_shape = contract.image_shape_of(encoder, decoder, image_shape)
        self.latent_dim = contract.latent_dim_of(encoder, decoder, latent_dim)
        self.value_range = contract.checked_range(value_range)
        self.noise_dim = self.latent_dim * self.objective.importance_samples
        self.dimensions = math.prod(self.image_shape)
        contract.check_floor(encoder, self.objective.kl_floor)
        self.log_gamma = None
        if self.variational:
            self.log_gamma = self.add_weight(
                name="log_gamma",
                shape=(),
                dtype=self.full_dtype,
                initializer=keras.initializers.Constant(math.log(self.objective.gamma_start)),
                trainable=self.objective.gamma == "learned",
            )
        self(keras.KerasTensor((None, *self.image_shape)))  # builds the model; Keras' `export` wants it called
        for layer in list(self._flatten_layers()):
            if not layer.trainable:  # as its configuration says; what is inside was made afterwards, and does not know
                layer.trainable = True  # an assignment of the value that is there already would do nothing
                layer.trainable = False

    def build(self, input_shape: Any) -> None:
        """Build both networks, and check the shapes of what they return. Keras calls it. Raises ConfigError."""
        # A symbolic call builds any layer, and gives the shapes of what it returns.
        outputs = self.encoder(keras.KerasTensor((None, *self.image_shape)))
        contract.moments(outputs, self.variational, self.latent_dim)
        contract.image(self.decoder(keras.KerasTensor((None, self.latent_dim))), self.image_shape)

    @property
    def variational(self) -> bool:
        """Say whether this is a VAE."""
        return self.objective.kind == "vae"

    @property
    def gamma(self) -> Any:
        """Return the decoder variance, a scalar tensor; None for an AE.

        Under "optimal" it is the last batch's in Keras' fit, and the whole training set's after `tfcollapse.train`.
        """
        return None if self.log_gamma is None else ops.exp(self.log_gamma)

    def encode(self, images: Any, training: bool = False) -> Posterior:
        """Return q(z | x) of images [batch, h, w, c]: floats in [0, 1], or uint8, which is divided by 255."""
        images = as_numbers(images, self.image_shape, self.full_dtype)
        encoded = self.encoder(images, training=training)
        mean, log_variance = contract.moments(encoded, self.variational, self.latent_dim)
        # In full, whatever the networks compute in: the KL, the errors and gamma need the digits.
        return Posterior(*(v if v is None else ops.cast(v, self.full_dtype) for v in (mean, log_variance)))

    def decode(self, latents: Any, training: bool = False) -> Any:
        """Return mu_x(z), [batch, h, w, c], of latents [batch, latent]."""
        decoded = self.decoder(latents, training=training)
        return ops.cast(contract.image(decoded, self.image_shape), self.full_dtype)

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
        """Return the reconstructions of images at the posterior's mean, [batch, h, w, c]."""
        return self.reconstruct(images)

    def compute_output_spec(self, images: Any) -> keras.KerasTensor:
        """Return the shape and the type of the reconstructions. Keras calls it."""
        return keras.KerasTensor(images.shape, dtype=self.full_dtype)

    def loss_terms(
        self,
        images: Any,
        noise: Any,
        step: Any,
        training: bool = True,
        batch_mean: Callable[[Any], Any] = objectives.mean_over_batch,
    ) -> LossTerms:
        """Compute the objective on one batch, or on one replica's share of it.

        Args:
          images: float [batch, h, w, c] in [0, 1].
          noise: standard normal [batch, latent times importance_samples]; None takes the posterior's mean.
          step: updates done so far, an integer scalar; warm-up depends on it.
          training: whether batch normalisation, where a network has it, takes the statistics of this batch.
          batch_mean: takes values of these images, [batch, ...], and returns their mean over the whole batch, of which
            these images may be a share; eq. (10), and a constraint on the KL, need it.
        """
        posterior = self.encode(images, training)
        if noise is not None and self.objective.importance_samples > 1:
            return self._importance_weighted(images, posterior, noise, step, training)
        error = objectives.squared_error(images, self.decode(posterior.sample(noise), training))
        one = ops.ones((), error.dtype)
        if not self.variational:
            return LossTerms(error / self.dimensions, error, ops.zeros_like(error), one, one)
        units = objectives.kl_per_dimension(*posterior)
        kl = ops.sum(units, axis=-1)
        share = objectives.schedule(self.objective, step, error.dtype)
        kl_weight = self.objective.beta * (share if self.objective.warmup in ("kl", "cyclical") else one)
        gamma = self._gamma_for(error, step, batch_mean) * (share if self.objective.warmup == "gamma" else one)
        charged = objectives.charged_kl(self.objective, units, step, batch_mean)
        loss = objectives.vae_energy(error, charged, gamma, self.dimensions, self.latent_dim, kl_weight)
        return LossTerms(loss, error, kl, gamma, kl_weight)

    def _importance_weighted(
        self, images: Any, posterior: Posterior, noise: Any, step: Any, training: bool
    ) -> LossTerms:
        samples = self.objective.importance_samples
        noise = ops.reshape(noise, (-1, self.latent_dim))
        mean, log_variance = (ops.repeat(value, samples, axis=0) for value in posterior)
        latents = Posterior(mean, log_variance).sample(noise)
        error = objectives.squared_error(ops.repeat(images, samples, axis=0), self.decode(latents, training))
        ratio = objectives.log_ratio(latents, noise, log_variance)
        error, ratio = (ops.reshape(value, (-1, samples)) for value in (error, ratio))
        gamma = self._gamma_for(error, step, objectives.mean_over_batch)
        loss = objectives.importance_weighted(error, ratio, gamma, self.dimensions, self.latent_dim)
        kl = ops.sum(objectives.kl_per_dimension(*posterior), axis=-1)
        return LossTerms(loss, ops.mean(error, axis=1), kl, gamma, ops.ones((), error.dtype))

    def _gamma_for(self, squared_error: Any, step: Any, batch_mean: Callable[[Any], Any]) -> Any:
        if self.objective.gamma != "optimal":
            gamma = ops.exp(self.log_gamma)
        else:  # At the minimum over gamma the gradient through it vanishes, so it may be taken as a constant.
            gamma = objectives.optimal_gamma(ops.stop_gradient(squared_error), self.dimensions, batch_mean)
        if self.objective.warmup != "hold_gamma":
            return gamma
        return ops.where(step < self.objective.warmup_steps, ops.full_like(gamma, self.objective.gamma_start), gamma)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor, as Keras saves them."""
        return {
            **super().get_config(),
            "encoder": keras.saving.serialize_keras_object(self.encoder),
            "decoder": keras.saving.serialize_keras_object(self.decoder),
            "objective": dataclasses.asdict(self.objective),
            "image_shape": self.image_shape,
            "latent_dim": self.latent_dim,
            "seed": self.seed,
            "value_range": self.value_range,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Autoencoder":
        """Make the model that `get_config` described."""
        parts = {name: keras.saving.deserialize_keras_object(config[name]) for name in ("encoder", "decoder")}
        return cls(**{**config, **parts})


@arguments_checked
def load_model(path: str | os.PathLike[str]) -> Autoencoder:
    """Load the autoencoder of a .keras file. Nothing in the file is executed, and the model is not compiled.

    Args:
      path: what a run left as `model.keras`, or what `export` or Keras' `model.save` wrote.

    Raises:
      RunError: the file is missing, damaged, or holds something else.

    Example:
      >>> run = tc.Run(network=tc.Network(depth=1, width=16, latent_dim=4))
      >>> tc.build(run, (28, 28, 1)).save("model.keras")
      >>> tc.load_model("model.keras").latent_dim
      4
    """
    model = keras_file.read(path)
    if not isinstance(model, Autoencoder):
        raise RunError(f"model '{path}': expected an Autoencoder, received {type(model).__name__}")
    return model
