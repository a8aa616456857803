"""List small VAEs of cross-entropy and of counts, trained in NumPy."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tfcollapse.diagnosis.likelihoods import negative_binomial
from tfcollapse.diagnosis.taxonomy.affine_vae import known_data
from tfcollapse.diagnosis.taxonomy.case import Case, Model
from tfcollapse.diagnosis.taxonomy.small_vae import LINKS, SmallVAE
from tfcollapse.diagnosis.taxonomy.spectrum_cases import at_the_mean

_THETA = 4.0
_STEPS = {"logits": 4_000, "log_mean": 8_000}


def _by_factors(
    link: str,
    draw: Callable[[np.random.Generator, np.ndarray], np.ndarray],
    seed: int,
    lengths: Sequence[float] = (16.0, 12.0, 10.0),
) -> np.ndarray:
    """Draw examples of 8 x 8 numbers whose means follow from three normal factors by a link.

    Args:
      lengths: of the three factors' directions, in logits.
    """
    random = np.random.default_rng(seed)
    axes = np.linalg.qr(random.standard_normal((64, 3)))[0] * np.array(lengths)
    natural = random.standard_normal((2_048, 3)) @ axes.T
    return draw(random, LINKS[link](natural if link == "logits" else 0.3 * natural)).reshape(-1, 8, 8, 1)


binary = functools.partial(
    _by_factors, "logits", lambda random, mean: (random.random(mean.shape) < mean).astype(np.uint8)
)
"""The seed to pixels of 0 and 1."""
_grey_of_contrast = functools.partial(
    _by_factors,
    "logits",
    lambda random, mean: np.clip(mean + random.normal(0, 0.02, mean.shape), 0, 1).astype(np.float32),
)
"""Grey pixels, most of them nearly black or white."""
counts = functools.partial(
    _by_factors, "log_mean", lambda random, mean: random.poisson(np.minimum(mean, 300.0)).astype(np.int64)
)
"""The seed to Poisson counts."""
_overdispersed = functools.partial(
    _by_factors,
    "log_mean",
    lambda random, mean: random.negative_binomial(_THETA, _THETA / (_THETA + np.minimum(mean, 300.0))),
)


def _trained(
    draw: Callable[[int], np.ndarray],
    link: str,
    latent_dim: int = 3,
    *,
    beta: float = 1.0,
    theta: float = math.inf,
    stuck: int = 0,
    raw: bool = False,
    **declared: Any,
) -> Callable[[int], Model]:
    """Return the builder of a trained VAE of a likelihood that is not Gaussian.

    Args:
      beta: the weight on the KL in training.
      stuck: units that are added after training, at the prior.
      raw: whether the decoder that is diagnosed gives its last layer, and not the mean.
    """

    def build(seed: int) -> Model:
        data = draw(seed)
        vae = SmallVAE((8, 8, 1), latent_dim, 32, link=link, seed=seed)
        vae.train(data, _STEPS[link], beta=beta, theta=theta, learning_rate=5e-3)
        if stuck:
            vae = vae.padded(stuck)
        return Model(vae.encode, vae.output if raw else vae.decode, data, declared)

    return build


def _grey(seed: int) -> np.ndarray:
    """Draw grey images of three factors, about 0.5: the variance of a pixel is a tenth of that of a coin."""
    return np.clip(known_data(seed), 0, 1)


_Trained = functools.partial(Case, closed_form=False)
_FACTORS = "three factors move many pixels, and three units have them"
_OTHERS = "the data have three factors, and the other units nothing to code"
_PADDED = "units are added at the prior after training, while a factor has none: a saddle"

CROSS_ENTROPY = (
    _Trained(
        "probabilities",
        "cross-entropy summed on 0/1 pixels in uint8; probabilities, told",
        "healthy",
        _FACTORS,
        _trained(binary, "logits", likelihood="bernoulli", output="mean"),
    ),
    _Trained(
        "probabilities, loss told",
        "the same, 'cross-entropy summed' told",
        "healthy",
        _FACTORS,
        _trained(binary, "logits", loss="cross-entropy summed"),
    ),
    _Trained(
        "logits, told",
        "cross-entropy summed; logits, told",
        "healthy",
        _FACTORS,
        _trained(binary, "logits", raw=True, likelihood="bernoulli", output="logits"),
    ),
    _Trained(
        "logits, not told",
        "the same, the likelihood alone told",
        "healthy",
        _FACTORS,
        _trained(binary, "logits", raw=True, likelihood="bernoulli"),
    ),
    _Trained(
        "logits, nothing told",
        "the same, nothing told",
        "inconsistent",
        "as means the output is far outside the range of the data",
        _trained(binary, "logits", raw=True),
    ),
    _Trained(
        "eight units",
        "8 units, 'cross-entropy summed' told",
        "i",
        _OTHERS,
        _trained(binary, "logits", 8, loss="cross-entropy summed"),
    ),
    _Trained(
        "stuck units",
        "one trained unit, two more at the prior; 'cross-entropy summed' told",
        "v",
        _PADDED,
        _trained(binary, "logits", 1, stuck=2, loss="cross-entropy summed"),
    ),
    Case(
        "averaged",
        "'cross-entropy averaged over pixels', at the mean, told",
        "ii",
        "beta is 64, above what any direction of 64 pixels has over its coin's variance",
        at_the_mean(binary, 3, loss="cross-entropy averaged over pixels"),
    ),
    Case(
        "averaged, not told",
        "the same, the likelihood alone told",
        "undecided",
        "with no unit alive nothing in the model shows whether the loss was averaged",
        at_the_mean(binary, 3, likelihood="bernoulli"),
        accepted=("ii",),
    ),
    _Trained(
        "weight 1/4, told as 1",
        "cross-entropy of weight 1/4, 'cross-entropy summed' told; one factor is strong, two are weak",
        "ii",
        "the strong unit shows the beta in force, 4, which exceeds the weak factors' variance over a coin's",
        _trained(functools.partial(binary, lengths=(24.0, 6.0, 5.0)), "logits", beta=4.0, loss="cross-entropy summed"),
    ),
    Case(
        "grey",
        "'cross-entropy summed' on grey images, at the mean, told",
        "ii",
        "the pixels vary less than coins, so beta 1 prunes what the data's own dispersion would keep",
        at_the_mean(_grey, 3, loss="cross-entropy summed"),
    ),
    _Trained(
        "grey, contrast",
        "'cross-entropy summed' on grey images of strong contrast, told",
        "healthy",
        _FACTORS,
        _trained(_grey_of_contrast, "logits", loss="cross-entropy summed"),
    ),
)

COUNTS = (
    _Trained("Poisson", "counts, told", "healthy", _FACTORS, _trained(counts, "log_mean", likelihood="poisson")),
    _Trained(
        "Poisson, log means",
        "the decoder gives logarithms, told",
        "healthy",
        _FACTORS,
        _trained(counts, "log_mean", raw=True, likelihood="poisson", output="log_mean"),
    ),
    _Trained(
        "Poisson, 8 units", "the same, 8 units", "i", _OTHERS, _trained(counts, "log_mean", 8, likelihood="poisson")
    ),
    _Trained(
        "Poisson, stuck",
        "one trained unit, two more at the prior",
        "v",
        _PADDED,
        _trained(counts, "log_mean", 1, stuck=2, likelihood="poisson"),
    ),
    Case(
        "Poisson, beta 1000",
        "at the mean, beta 1000 told",
        "ii",
        "beta exceeds what any direction has over a Poisson variance",
        at_the_mean(counts, 3, likelihood="poisson", beta=1_000.0),
    ),
    _Trained(
        "negative binomial",
        "overdispersed counts, theta 4 told",
        "healthy",
        _FACTORS,
        _trained(_overdispersed, "log_mean", theta=_THETA, likelihood=negative_binomial(_THETA)),
    ),
    _Trained(
        "negative binomial, 8 units",
        "the same, 8 units",
        "i",
        _OTHERS,
        _trained(_overdispersed, "log_mean", 8, theta=_THETA, likelihood=negative_binomial(_THETA)),
    ),
)
