"""List VAEs that are trained in Keras: the paper's categories, deep networks, decoders of other kinds, convolutions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from tfcollapse.config.declaration import Data, Network, Run, Training
from tfcollapse.config.objective import Objective
from tfcollapse.data.dataset import load
from tfcollapse.diagnosis.taxonomy.case import EIGENVALUES, Case, Model
from tfcollapse.diagnosis.taxonomy.example_vaes import (
    CausalDecoder,
    ExampleVAE,
    OwnVarianceDecoder,
    SoftThresholdDecoder,
    convolutional_parts,
    encoder,
)
from tfcollapse.models.autoencoder import Autoencoder
from tfcollapse.theory.known_images import known_images
from tfcollapse.training.in_memory import train_in_memory, train_model


def _of_known_spectrum(latent_dim: int, **objective: Any) -> Callable[[int], Model]:
    """Return the builder of a VAE of ours on images whose covariance has EIGENVALUES; gamma is eq. (10)."""

    def build(seed: int) -> Model:
        run = Run(
            network=Network(depth=1, width=64, latent_dim=latent_dim),
            objective=Objective(gamma="optimal", **objective),
            # With half as many steps a unit has not come alive yet at some seeds, and is called stuck.
            training=Training(steps=6_000, learning_rate=5e-3, halve_every=1_600),
            seed=seed,
        )
        images = known_images(EIGENVALUES, seed)
        model, rows = train_in_memory(run, images)
        return Model(model.encoder, model.decoder, images, {"gamma": rows[-1]["gamma"], "beta": run.objective.beta})

    return build


def _own_covariance(floor: float) -> Callable[[int], Model]:
    def build(seed: int) -> Model:
        random = np.random.default_rng(seed)
        images = np.clip(random.normal(0.5, 0.15, (2_048, 4, 4, 1)), 0, 1).astype(np.float32)
        images[::16] = 1.0
        return _of_example(lambda: (encoder((4, 4, 1), 4, 32), OwnVarianceDecoder((4, 4, 1), floor)), images, seed)

    return build


def _autoregressive(blind: bool) -> Callable[[int], Model]:
    def build(seed: int) -> Model:
        random = np.random.default_rng(seed)
        field = np.zeros((2_048, 9, 9))
        for row in range(1, 9):
            for column in range(1, 9):
                around = 0.95 * (field[:, row - 1, column] + field[:, row, column - 1])
                field[:, row, column] = around - 0.95**2 * field[:, row - 1, column - 1] + random.normal(0, 0.02, 2_048)
        images = np.clip(0.5 + field[:, 1:, 1:, None], 0, 1).astype(np.float32)
        return _of_example(lambda: (encoder((8, 8, 1), 4, 32), CausalDecoder((8, 8, 1), blind)), images, seed)

    return build


def _basin(alpha: float) -> Callable[[int], Model]:
    """Train on Appendix B's two points, (1, 1) and (-1, -1), as white and black: all lengths are halved, alpha too."""

    def build(seed: int) -> Model:
        images = np.repeat(np.array([[0, 0], [255, 255]], np.uint8), 64, axis=0).reshape(-1, 2, 1, 1)
        keras.utils.set_random_seed(seed)
        run = Run(
            network=Network(latent_dim=1),
            objective=Objective(gamma_start=0.25),
            training=Training(steps=1_500, learning_rate=5e-3, halve_every=500),
            seed=seed,
        )
        decoder = SoftThresholdDecoder((2, 1, 1), alpha=alpha, start=0.1)
        model = Autoencoder(encoder((2, 1, 1), 1, 0), decoder, run.objective, image_shape=(2, 1, 1), latent_dim=1)
        rows = train_model(model, run, images)
        return Model(model.encoder, model.decoder, images.astype(np.float32) / 255, {"gamma": rows[-1]["gamma"]})

    return build


def _of_depth(depth: int) -> Callable[[int], Model]:
    def build(seed: int) -> Model:
        run = Run(
            data=Data(name="fashion_mnist_mini"),
            network=Network(depth=depth, width=64, latent_dim=16),
            objective=Objective(gamma="optimal"),
            training=Training(steps=1_500, learning_rate=5e-4, halve_every=600),
            seed=seed,
        )
        images = load(run.data).train
        model, rows = train_in_memory(run, images)
        return Model(model.encoder, model.decoder, images, {"gamma": rows[-1]["gamma"]})

    return build


def _convolutional(gamma: float | None, epochs: int, loss: str | None) -> Callable[[int], Model]:
    def build(seed: int) -> Model:
        eigenvalues = (0.6, 0.4, 0.2, *[0.004] * 61)
        images = known_images(eigenvalues, seed, 2_048).astype(np.float32) / 255
        return _of_example(lambda: convolutional_parts((8, 8, 1), 3), images, seed, gamma, epochs, loss)

    return build


def _of_example(
    parts: Callable[[], tuple[Any, Any]],
    images: np.ndarray,
    seed: int,
    gamma: float | None = None,
    epochs: int = 100,
    loss: str | None = None,
) -> Model:
    """Train an `ExampleVAE` with the encoder and decoder that `parts` builds.

    Args:
      gamma: the decoder variance; None for eq. (10).
      loss: what is told in gamma's place.
    """
    keras.utils.set_random_seed(seed)
    vae, batch = ExampleVAE(*parts(), gamma), 128
    rate = keras.optimizers.schedules.ExponentialDecay(1e-2, epochs * len(images) // batch, 0.1)
    vae.compile(keras.optimizers.Adam(rate), steps_per_execution=len(images) // batch)
    vae.fit(images, batch_size=batch, epochs=epochs, verbose=0)
    if loss is not None:
        return Model(vae.encoder, vae.decoder, images, {"loss": loss})
    own = isinstance(vae.decoder, OwnVarianceDecoder)
    return Model(vae.encoder, vae.decoder, images, {} if own else {"gamma": float(ops.exp(vae.log_gamma))})


_THREE = "three directions matter, and training finds them"

_CASES = (
    (
        "three latents",
        "three directions, three latents; gamma told",
        "healthy",
        _THREE,
        _of_known_spectrum(3),
    ),
    ("eight latents", "the same, eight latents", "i", "five latents have no direction", _of_known_spectrum(8)),
    (
        "beta 30, trained",
        "the same, three latents, beta 30 told",
        "ii",
        "gamma times beta exceeds what gamma alone would keep",
        _of_known_spectrum(3, beta=30.0),
    ),
    (
        "own covariance",
        "one image repeated in noise; a variance for each image",
        "iii",
        "nothing bounds the variance of the repeated image",
        _own_covariance(0.0),
    ),
    (
        "own covariance, floor",
        "the same with a least variance",
        "i",
        "the noise has no direction, and the variance is bounded",
        _own_covariance(5e-3),
    ),
    (
        "autoregressive",
        "a causal convolution beside z",
        "iv",
        "pixels follow from those above and to the left",
        _autoregressive(False),
    ),
    (
        "autoregressive, blind",
        "the same, but it sees no pixel",
        "healthy",
        "z alone tells the image, whose four main directions matter",
        _autoregressive(True),
    ),
    (
        "Prop. 1's basin",
        "soft threshold, started near (7)",
        "v",
        "Prop. 1 proves that this start ends in a bad local minimum",
        _basin(0.5),
    ),
    (
        "no threshold",
        "the same with alpha = 0",
        "healthy",
        "a linear decoder has no bad local minimum; after 1,500 steps its loss may be above the least one",
        _basin(0.0),
        ("in use",),
    ),
    (
        "too deep",
        "20 hidden layers each way on Fashion-MNIST, 1,500 steps",
        "v",
        "no gradient that matters passes 20 layers of this start, and gamma fits the error",
        _of_depth(20),
        ("not trained",),
    ),
    (
        "two layers",
        "the same with 2 hidden layers",
        "healthy",
        "16 directions of Fashion-MNIST matter, and two layers train; 1,500 steps do not reach a linear VAE's loss",
        _of_depth(2),
        ("in use",),
    ),
    (
        "convolutional",
        "convolutions, 60 epochs, gamma of eq. (10) told",
        "healthy",
        _THREE,
        _convolutional(None, 60, None),
    ),
    (
        "convolutional, averaged",
        "the same, 'squared error averaged over pixels'",
        "ii",
        "gamma is 32, fifty times any direction's variance",
        _convolutional(32.0, 20, "squared error averaged over pixels"),
    ),
)
TRAINED = tuple(Case(*fields[:5], *fields[5:], closed_form=False) for fields in _CASES)
