"""List VAEs by how far they were trained: not at all, hardly, with a gamma on its way, to the end."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from tfcollapse.diagnosis.taxonomy.affine_vae import known_data
from tfcollapse.diagnosis.taxonomy.case import Case, Model
from tfcollapse.diagnosis.taxonomy.small_vae import SmallVAE


def _initial(
    initializer: str,
    hidden: int = 64,
    *,
    link: str = "mean",
    biased: bool = False,
    offset: float = 0.5,
    **declared: Any,
) -> Callable[[int], Model]:
    """Return the builder of a VAE with initial weights.

    Args:
      biased: whether the biases are drawn as well.
      offset: the mean of the data.
    """

    def build(seed: int) -> Model:
        data = known_data(seed, offset=offset)
        vae = SmallVAE((4, 4, 1), 8, 64, link=link, initializer=initializer, seed=seed)
        if biased:
            for name, values in vae.weights.items():
                if name.endswith("_bias"):
                    values[:] = vae.random.uniform(-0.2, 0.2, values.shape)
        return Model(vae.encode, vae.decode, data, declared)

    return build


def _linear_initial(seed: int) -> Model:
    """Build the encoder and decoder of two random matrices without biases."""
    random = np.random.default_rng(seed)
    down, up = random.normal(size=(16, 8)) / 4, random.normal(size=(8, 16)) / 4
    data = known_data(seed)

    def encoder(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        flat = x.reshape(len(x), -1)
        return flat @ down, 0.1 * flat @ down

    return Model(encoder, lambda z: z @ up, data, {"gamma": 0.5})


def _gaussian(
    latent_dim: int = 3,
    steps: int = 8_000,
    *,
    draw: Callable[[int], np.ndarray] = known_data,
    learning_rate: float = 3e-3,
    declare_gamma: bool = False,
    gamma: float | str = 0.01,
    free_bits: float = 0.0,
    **declared: Any,
) -> Callable[[int], Model]:
    """Return the builder of a trained VAE of a Gaussian likelihood.

    Args:
      declare_gamma: whether gamma is told as training left it.
    """

    def build(seed: int) -> Model:
        data = draw(seed)
        vae = SmallVAE(data.shape[1:], latent_dim, 32, seed=seed)
        vae.train(data, steps, gamma=gamma, free_bits=free_bits, learning_rate=learning_rate)
        return Model(vae.encode, vae.decode, data, declared | ({"gamma": vae.gamma} if declare_gamma else {}))

    return build


_NOTHING = "no weight has been trained"
_Trained = functools.partial(Case, closed_form=False)

UNTRAINED = (
    Case("two random matrices", "no biases, gamma 0.5 told", "not trained", _NOTHING, _linear_initial),
    Case("Keras' start", "Glorot, biases 0, gamma 0.01 told", "not trained", _NOTHING, _initial("glorot", gamma=0.01)),
    Case("Keras' start, not told", "the same, nothing told", "not trained", _NOTHING, _initial("glorot")),
    Case("He's start", "He, gamma 0.01 told", "not trained", _NOTHING, _initial("he", gamma=0.01)),
    Case(
        "PyTorch's start",
        "PyTorch's, biases too, summed error told",
        "not trained",
        _NOTHING,
        _initial("torch", biased=True, loss="squared error summed"),
    ),
    Case(
        "small start",
        "N(0, 0.05), gamma 0.01 told",
        "not trained",
        _NOTHING,
        _initial("normal", gamma=0.01),
    ),
    Case(
        "small start on centred data",
        "the same, data with mean 0",
        "not trained",
        "no weight has been trained; a decoder of zeros is the mean predictor of such data",
        _initial("normal", offset=0.0, gamma=0.01),
        accepted=("v", "undecided"),
    ),
    Case(
        "start with a sigmoid",
        "Glorot, a sigmoid at the output, summed squared error told",
        "not trained",
        _NOTHING,
        _initial("glorot", link="logits", loss="squared error summed"),
    ),
)

BUDGETS = (
    _Trained(
        "trained",
        "8,000 steps of Adam at gamma 0.01, told",
        "healthy",
        "three directions have more variance than gamma, and training finds them",
        _gaussian(gamma=0.01, declare_gamma=True),
    ),
    _Trained(
        "trained, gamma not told",
        "the same, 8 units, gamma not told",
        "i",
        "the other directions have a fifth of gamma",
        _gaussian(8, gamma=0.01),
    ),
    _Trained(
        "hardly trained",
        "30 steps at gamma 0.01, told",
        "not trained",
        "30 steps of 0.003 move no weight by more than 0.09",
        _gaussian(steps=30, declare_gamma=True),
    ),
    _Trained(
        "learned gamma",
        "gamma learned in 8,000 steps, told as it ended",
        "healthy",
        "gamma has reached the noise, 0.002",
        _gaussian(gamma="learned", declare_gamma=True),
    ),
    _Trained(
        "learned gamma on the way",
        "gamma learned in 300 steps of 0.003, told as it ended",
        "not trained",
        "gamma began at 1 and has moved by at most a factor of 2.5: it is far above the error",
        _gaussian(steps=300, gamma="learned", declare_gamma=True),
        accepted=("ii",),
    ),
    _Trained(
        "free bits",
        "free bits of 0.5 nats a unit at gamma 0.01, told; 3 units",
        "healthy",
        "the units carry more than their free bits, which bind nothing",
        _gaussian(free_bits=0.5, declare_gamma=True),
    ),
    _Trained(
        "free bits, 8 units",
        "the same, 8 units",
        "healthy",
        "the free bits keep every unit alive, at no cost in their own loss; they raise that of a VAE",
        _gaussian(8, free_bits=0.5, declare_gamma=True),
        accepted=("i", "in use"),
    ),
)
