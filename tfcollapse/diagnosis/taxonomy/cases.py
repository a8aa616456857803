"""Train a small VAE for every category of verdict, and for each a near miss that another category must name."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from tfcollapse.config.declaration import Data, Network, Objective, Run, Training
from tfcollapse.data.dataset import load
from tfcollapse.diagnosis.taxonomy.example_vaes import (
    CausalDecoder,
    ExampleVAE,
    OwnVarianceDecoder,
    SoftThresholdDecoder,
    encoder,
)
from tfcollapse.models.autoencoder import Autoencoder
from tfcollapse.theory.affine import known_images
from tfcollapse.training.in_memory import train_in_memory, train_model

EIGENVALUES = (0.16, 0.08, 0.04, *[0.002] * 13)
"""Of the covariance of images of 4 x 4 pixels: three directions that matter."""


@dataclasses.dataclass(frozen=True)
class Trained:
    """What a case gives to `diagnose`.

    Attributes:
      encoder, decoder: Keras models.
      images: what they were trained on.
      gamma: the decoder variance as a user would declare it, times beta; None where it is not declared.
    """

    encoder: Any
    decoder: Any
    images: np.ndarray
    gamma: float | None


@dataclasses.dataclass(frozen=True)
class Case:
    """A VAE that must get one verdict, and its near miss: the same VAE changed a little, which must get another.

    Attributes:
      name: a short name.
      about: what was done, and after "; near: " what was done to the near miss.
      category: that the verdict must name, alone.
      near: the category that the verdict must name for the near miss, alone.
      train: trains the VAE, or its near miss: (seed, near) to the model.
    """

    name: str
    about: str
    category: str
    near: str
    train: Callable[[int, bool], Trained]


def _of_known_spectrum(seed: int, latent_dim: int, **objective: Any) -> Trained:
    """Train a VAE of ours on images whose covariance has EIGENVALUES; gamma is eq. (10) unless stated."""
    run = Run(
        network=Network(depth=1, width=64, latent_dim=latent_dim),
        objective=Objective(**({"gamma": "optimal"} | objective)),
        # With half as many steps and gamma 0.02 a unit has not come alive yet at some seeds, and is called stuck.
        training=Training(steps=6_000, learning_rate=5e-3, halve_every=1_600),
        seed=seed,
    )
    images = known_images(EIGENVALUES, seed)
    model, rows = train_in_memory(run, images)
    return Trained(model.encoder, model.decoder, images, rows[-1]["gamma"] * run.objective.beta)


def _healthy(seed: int, near: bool) -> Trained:
    return _of_known_spectrum(seed, 4 if near else 3)


def _superfluous(seed: int, near: bool) -> Trained:
    return _of_known_spectrum(seed, 3 if near else 8)


def _large_gamma(seed: int, near: bool) -> Trained:
    return _of_known_spectrum(seed, 3, gamma="fixed", gamma_start=0.02 if near else 0.5)


def _undeclared_gamma(seed: int, near: bool) -> Trained:
    trained = _of_known_spectrum(seed, 3, gamma="fixed", gamma_start=0.02 if near else 0.06)
    return dataclasses.replace(trained, gamma=None)


def _nothing_shows_gamma(seed: int, near: bool) -> Trained:
    trained = _large_gamma(seed, near=False)
    return trained if near else dataclasses.replace(trained, gamma=None)


def _large_beta(seed: int, near: bool) -> Trained:
    return _of_known_spectrum(seed, 3, beta=1.0 if near else 30.0)


def _own_covariance(seed: int, near: bool) -> Trained:
    random = np.random.default_rng(seed)
    images = np.clip(random.normal(0.5, 0.15, (2_048, 4, 4, 1)), 0, 1).astype(np.float32)
    images[::16] = 1.0
    floor = 5e-3 if near else 0.0
    return _of_example(lambda: (encoder((4, 4, 1), 4, 32), OwnVarianceDecoder((4, 4, 1), floor)), images, seed)


def _autoregressive(seed: int, near: bool) -> Trained:
    random = np.random.default_rng(seed)
    field = np.zeros((2_048, 9, 9))
    for row in range(1, 9):
        for column in range(1, 9):
            around = 0.95 * (field[:, row - 1, column] + field[:, row, column - 1])
            field[:, row, column] = around - 0.95**2 * field[:, row - 1, column - 1] + random.normal(0, 0.02, 2_048)
    images = np.clip(0.5 + field[:, 1:, 1:, None], 0, 1).astype(np.float32)
    return _of_example(lambda: (encoder((8, 8, 1), 4, 32), CausalDecoder((8, 8, 1), near)), images, seed)


def _basin(seed: int, near: bool) -> Trained:
    """Train on Appendix B's two points, (1, 1) and (-1, -1), as white and black: all lengths are halved, alpha too."""
    images = np.repeat(np.array([[0, 0], [255, 255]], np.uint8), 64, axis=0).reshape(-1, 2, 1, 1)
    keras.utils.set_random_seed(seed)
    run = Run(
        network=Network(latent_dim=1),
        objective=Objective(gamma_start=0.25),
        training=Training(steps=1_500, learning_rate=5e-3, halve_every=500),
        seed=seed,
    )
    decoder = SoftThresholdDecoder((2, 1, 1), alpha=0.0 if near else 0.5, start=0.1)
    model = Autoencoder(encoder((2, 1, 1), 1, 0), decoder, run.objective, image_shape=(2, 1, 1), latent_dim=1)
    rows = train_model(model, run, images)
    return Trained(model.encoder, model.decoder, images, rows[-1]["gamma"])


def _too_deep(seed: int, near: bool) -> Trained:
    run = Run(
        data=Data(name="fashion_mnist_mini"),
        network=Network(depth=2 if near else 20, width=64, latent_dim=16),
        objective=Objective(gamma="optimal"),
        training=Training(steps=1_500, learning_rate=5e-4, halve_every=600),
        seed=seed,
    )
    images = load(run.data).train
    model, rows = train_in_memory(run, images)
    return Trained(model.encoder, model.decoder, images, rows[-1]["gamma"])


def _of_example(parts: Callable[[], tuple[Any, Any]], images: np.ndarray, seed: int) -> Trained:
    """Train an `ExampleVAE` with the encoder and decoder that `parts` builds."""
    keras.utils.set_random_seed(seed)
    vae = ExampleVAE(*parts())
    epochs, batch = 100, 128
    rate = keras.optimizers.schedules.ExponentialDecay(1e-2, epochs * len(images) // batch, 0.1)
    vae.compile(keras.optimizers.Adam(rate))
    vae.fit(images, batch_size=batch, epochs=epochs, verbose=0)
    own = isinstance(vae.decoder, OwnVarianceDecoder)
    return Trained(vae.encoder, vae.decoder, images, None if own else float(ops.exp(vae.log_gamma)))


CASES = (
    Case("healthy", "three directions and three latents; near: a fourth latent", "healthy", "i", _healthy),
    Case("low rank", "three directions and eight latents; near: three latents", "i", "healthy", _superfluous),
    Case("large gamma", "gamma fixed above every eigenvalue; near: below", "ii", "healthy", _large_gamma),
    Case(
        "undeclared gamma", "gamma 0.06, between eigenvalues, not told; near: below", "ii", "healthy", _undeclared_gamma
    ),
    Case(
        "nothing shows gamma",
        "gamma not told, and no unit active; near: gamma told",
        "undecided",
        "ii",
        _nothing_shows_gamma,
    ),
    Case("large beta", "beta 30; near: beta 1", "ii", "healthy", _large_beta),
    Case(
        "own covariance", "one image repeated in noise; near: a floor under the variance", "iii", "i", _own_covariance
    ),
    Case("autoregressive", "a causal convolution beside z; near: it sees no pixel", "iv", "healthy", _autoregressive),
    Case("Prop. 1's basin", "soft threshold, started near (7); near: alpha = 0", "v", "healthy", _basin),
    Case("too deep", "20 hidden layers each way; near: 2", "v", "healthy", _too_deep),
)
