"""List VAEs in closed form of which one part is bent: other heads, logits for means, decoders of two inputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tfcollapse.diagnosis.taxonomy.affine_vae import AffineVAE, affine_vae, collapsed, known_data
from tfcollapse.diagnosis.taxonomy.case import Case, Model

_GAMMA = 0.01


def _bent(
    encoder: Callable[[AffineVAE, np.ndarray], Any] = AffineVAE.encode,
    decoder: Callable[[AffineVAE, np.ndarray], Any] = AffineVAE.decode,
    data: Callable[[np.ndarray], np.ndarray] = lambda data: data,
    *,
    latent_dim: int = 3,
    gamma: float = _GAMMA,
    **declared: Any,
) -> Callable[[int], Model]:
    """Return the builder of an affine VAE at its minimum, of which one part is replaced."""

    def build(seed: int) -> Model:
        drawn = known_data(seed)
        vae = affine_vae(drawn, latent_dim, gamma)
        return Model(lambda x: encoder(vae, x), lambda z: decoder(vae, z), data(drawn), {"gamma": gamma} | declared)

    return build


def _spread(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[AffineVAE, np.ndarray], Any]:
    """Return an encoder whose second output is a function of the log variance."""

    def encode(vae: AffineVAE, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        mean, log_variance = vae.encode(x)
        return mean, change(log_variance)

    return encode


def _sigma(log_variance: np.ndarray) -> np.ndarray:
    return np.exp(0.5 * log_variance)


def _swapped(vae: AffineVAE, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    mean, log_variance = vae.encode(x)
    return log_variance, mean


def _joined(vae: AffineVAE, x: np.ndarray) -> np.ndarray:
    return np.concatenate(vae.encode(x), axis=1)


def _shrunk(vae: AffineVAE, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    mean, log_variance = vae.encode(x)
    return 0.3 * mean, log_variance


def _logits(vae: AffineVAE, z: np.ndarray) -> np.ndarray:
    p = np.clip(vae.decode(z), 0.01, 0.99)
    return np.log(p / (1 - p))


def _blind(vae: AffineVAE, z: np.ndarray) -> np.ndarray:
    return vae.decode(0 * z)


def _own_variance(vae: AffineVAE, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    mean = vae.decode(z)
    return mean, np.full_like(mean, np.log(_GAMMA))


def _own_variance_superfluous(vae: AffineVAE, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    mean = vae.decode(z)
    return mean, np.full_like(mean, np.log(0.00201))


def _after_the_last(correlation: float) -> Callable[[int], Model]:
    """Build a decoder that predicts every step of a series from the step before, and reads no z."""

    def build(seed: int) -> Model:
        random = np.random.default_rng(seed)
        series = np.zeros((2_048, 16, 1))
        series[:, 0, 0] = random.standard_normal(2_048)
        fresh = np.sqrt(1 - correlation**2)
        for step in range(1, 16):
            series[:, step, 0] = correlation * series[:, step - 1, 0] + fresh * random.standard_normal(2_048)
        vae = collapsed(series, 4)

        def decoder(z: np.ndarray, x: np.ndarray) -> np.ndarray:
            return correlation * np.pad(x[:, :-1], ((0, 0), (1, 0), (0, 0))) + 0 * z[:, :1, None]

        error = (fresh**2 * 15 + 1) / 16  # nothing predicts the first step
        return Model(vae.encode, decoder, series.astype(np.float32), {"gamma": error})

    return build


def _blind_to_data(seed: int) -> Model:
    data = known_data(seed)
    vae = affine_vae(data, 3, _GAMMA)

    def decoder(z: np.ndarray, x: np.ndarray) -> np.ndarray:
        return vae.decode(z) + 0 * x

    return Model(vae.encode, decoder, data, {"gamma": _GAMMA})


_HEADS_TRUTH = "three directions have more variance than gamma, and each has a unit"

HEADS = (
    Case(
        "ReLU on the log variance",
        "its negative values are cut off, so that no sigma_z is below 1",
        "inconsistent",
        "at no minimum has a unit that carries information a sigma_z of 1",
        _bent(_spread(lambda values: np.maximum(values, 0.0))),
    ),
    Case("sigma", "sigma in the place of its logarithm, not told", "healthy", _HEADS_TRUTH, _bent(_spread(_sigma))),
    Case("sigma, told", "the same, spread='sigma'", "healthy", _HEADS_TRUTH, _bent(_spread(_sigma), spread="sigma")),
    Case(
        "sigma, 8 units",
        "the same, not told, gamma 0.002, 8 units",
        "i",
        "five units have no direction of more variance than gamma",
        _bent(_spread(_sigma), latent_dim=8, gamma=0.00201),
    ),
    Case("variance", "the variance in that place, not told", "healthy", _HEADS_TRUTH, _bent(_spread(np.exp))),
    Case(
        "log sigma",
        "log sigma in that place, not told",
        "healthy",
        _HEADS_TRUTH + "; what is handed over is not a log variance",
        _bent(_spread(lambda values: 0.5 * values)),
        accepted=("inconsistent",),
    ),
    Case(
        "log sigma, told",
        "the same, spread='log_sigma'",
        "healthy",
        _HEADS_TRUTH,
        _bent(_spread(lambda values: 0.5 * values), spread="log_sigma"),
    ),
    Case("one output", "one output [n, 2 k], joined=True", "healthy", _HEADS_TRUTH, _bent(_joined, joined=True)),
    Case(
        "swapped",
        "log variance first, then the mean",
        "inconsistent",
        "the numbers contradict each other",
        _bent(_swapped),
        accepted=("not trained",),
    ),
    Case(
        "shrunken means",
        "the encoder's means are 0.3 times those of the minimum",
        "not trained",
        "one step of the encoder lowers the loss: no stationary point",
        _bent(_shrunk),
        accepted=("inconsistent",),
    ),
)

OUTPUTS = (
    Case(
        "logits as means",
        "the decoder's output is logits, data in [0, 1], not told",
        "inconsistent",
        "the output is far outside the range of the data",
        _bent(decoder=_logits),
    ),
    Case(
        "0 to 255",
        "data from 0 to 255 for a model of [0, 1]",
        "inconsistent",
        "the output is far inside the range of the data",
        _bent(data=lambda data: 255 * data),
        accepted=("not trained",),
    ),
    Case(
        "other scale",
        "data in [-1, 1] for a model of [0, 1]",
        "inconsistent",
        "the output is not at the data: it has another mean",
        _bent(data=lambda data: 2 * data - 1),
        accepted=("not trained",),
    ),
    Case(
        "blind decoder",
        "the encoder informs, the decoder gives the mean",
        "not trained",
        "the KL of units that nothing reads falls at once: no stationary point",
        _bent(decoder=_blind),
        accepted=("inconsistent",),
    ),
    Case(
        "own variances",
        "the decoder gives its variance, 0.01 for all",
        "healthy",
        _HEADS_TRUTH,
        _bent(decoder=_own_variance),
    ),
    Case(
        "own variances, 8 units",
        "the decoder gives its variance, 0.002 for all",
        "i",
        "five units have no direction of more variance than the decoder's",
        _bent(decoder=_own_variance_superfluous, latent_dim=8, gamma=0.00201),
    ),
    Case(
        "series from its past",
        "a decoder that takes 0.97 of the step before, z unused",
        "iv",
        "the decoder predicts the series without z",
        _after_the_last(0.97),
    ),
    Case(
        "series from little past",
        "the same with 0.3: the steps are nearly independent",
        "i",
        "what the step before does not tell is noise: nothing is left for z",
        _after_the_last(0.3),
        accepted=("iv",),
    ),
    Case(
        "blind to the data",
        "a decoder of (z, images) that ignores the images",
        "healthy",
        _HEADS_TRUTH,
        _blind_to_data,
    ),
)
