"""List affine VAEs in closed form: losses in words, said rightly or wrongly, and data in any units."""

from __future__ import annotations

import functools

import numpy as np

from tfcollapse.config.declaration import Data
from tfcollapse.data.dataset import load
from tfcollapse.diagnosis.taxonomy.affine_vae import affine_vae, known_data
from tfcollapse.diagnosis.taxonomy.case import Case, Model
from tfcollapse.diagnosis.taxonomy.spectrum_cases import affine, at_the_mean

_LOUD = functools.partial(known_data, scale=10.0)
"""Eigenvalues 16, 8, 4 and 0.2: a squared error that is summed, gamma 1/2, keeps three units."""
_TABLE = functools.partial(known_data, shape=(12,), eigenvalues=(5.0, 3.0, 2.0, *[0.2] * 9), offset=0.0)
_SERIES = functools.partial(known_data, shape=(8, 2), offset=0.0)
_DECIBELS = functools.partial(known_data, eigenvalues=(900.0, 400.0, 100.0, *[9.0] * 13), offset=-40.0)
_RETURNS = functools.partial(known_data, shape=(16,), scale=1e-3, offset=0.0)
_SUMMED, _AVERAGED = "squared error summed", "squared error averaged over pixels"


def _fashion(seed: int) -> np.ndarray:
    """Return 2,000 images, different ones for each of three seeds, of 14 x 14 pixels."""
    images = load(Data(name="fashion_mnist_mini")).train[seed::3].astype(np.float32) / 255
    return images.reshape(-1, 14, 2, 14, 2).mean(axis=(2, 4))[..., None]


def _one_class(seed: int) -> Model:
    """Build a decoder of (z, label) that is closed over the one label of its data."""
    images = known_data(seed)
    vae, shift = affine_vae(images, 3, 0.01), np.float32(0.3)

    def decoder(z: np.ndarray, label: int) -> np.ndarray:
        return vae.decode(z) + label * shift

    def encoder(x: np.ndarray, label: int) -> tuple[np.ndarray, np.ndarray]:
        return vae.encode(x - label * shift)

    return Model(lambda x: encoder(x, 2), lambda z: decoder(z, 2), images + 2 * shift, {"gamma": 0.01})


_THREE = "three directions have more variance than the gamma in force, and each has a unit"
_BY_UNITS = "the units alive show the loss in force, whatever was said: a gamma of {}"
_UNCHECKED = "with no unit alive nothing in the model shows by what loss it was trained"

LOSSES = (
    Case("summed", f"'{_SUMMED}'", "healthy", _THREE, affine(3, 0.5, _LOUD, loss=_SUMMED)),
    Case(
        "averaged",
        f"'{_AVERAGED}' on data in [0, 1]",
        "ii",
        "gamma is 8, fifty times the variance of every direction",
        affine(3, 8.0, loss=_AVERAGED),
    ),
    Case("averaged, not told", "the same, not told", "undecided", _UNCHECKED, affine(3, 8.0)),
    Case(
        "averaged, told as summed",
        f"gamma 8 in force, told '{_SUMMED}'; eigenvalues 4, 2 and 1, no unit alive",
        "undecided",
        "no unit is alive to check the words: if they are right it is (v), and it is (ii) in truth",
        affine(3, 8.0, functools.partial(known_data, scale=5.0), loss=_SUMMED),
        accepted=("ii",),
    ),
    Case(
        "averaged, weight 133",
        f"'{_AVERAGED}, weight 133'",
        "ii",
        "gamma is 0.06, above the third direction's variance",
        affine(3, 8 / 133, loss=f"{_AVERAGED}, weight 133"),
    ),
    Case(
        "averaged, weight 133, told as summed",
        f"the same, told as '{_SUMMED}, weight 133'",
        "ii",
        _BY_UNITS.format("0.06"),
        affine(3, 8 / 133, loss=f"{_SUMMED}, weight 133"),
    ),
    Case(
        "summed, told as averaged",
        f"'{_SUMMED}' in force, '{_AVERAGED}' told",
        "in use",
        _BY_UNITS.format("0.5"),
        affine(3, 0.5, _LOUD, loss=_AVERAGED),
    ),
    Case(
        "summed, beta 4",
        f"'{_SUMMED}, beta 4'; eigenvalues 16, 8 and 4",
        "healthy",
        "gamma times beta is 2, below the three",
        affine(3, 2.0, _LOUD, loss=f"{_SUMMED}, beta 4"),
    ),
    Case(
        "summed, beta 30",
        f"'{_SUMMED}, beta 30'; eigenvalues 16, 8 and 4",
        "ii",
        "gamma times beta is 15, above the second and third",
        affine(3, 15.0, _LOUD, loss=f"{_SUMMED}, beta 30"),
    ),
    Case(
        "gamma 98",
        "Fashion-MNIST at the mean, gamma 98 told: an error averaged over 196 pixels",
        "ii",
        "gamma exceeds every direction's variance, which gamma at the error would keep",
        at_the_mean(_fashion, 8, gamma=98.0),
    ),
    Case(
        "gamma 1/2 at the mean",
        "Fashion-MNIST at the mean, 3 units, gamma 0.5 told: a summed error",
        "undecided",
        "no unit is alive to check the number: if it is right it is (v), if the error was averaged (ii)",
        at_the_mean(_fashion, 3, gamma=0.5),
        accepted=("v",),
    ),
    Case(
        "at the mean",
        "Fashion-MNIST at the mean, nothing told",
        "undecided",
        _UNCHECKED,
        at_the_mean(_fashion, 8),
    ),
    Case(
        "Fashion-MNIST",
        "Fashion-MNIST, 8 units, gamma 0.05 told",
        "healthy",
        "eight directions have more variance than gamma, and each has a unit",
        affine(8, 0.05, _fashion, gamma=0.05),
    ),
)

UNITS = (
    Case(
        "[-1, 1]",
        "images scaled to [-1, 1], gamma 0.04 told",
        "healthy",
        _THREE,
        affine(3, 0.04, functools.partial(known_data, scale=2.0, offset=0.0), gamma=0.04),
    ),
    Case(
        "[-1, 1], summed",
        f"the same, '{_SUMMED}'",
        "ii",
        "gamma is 1/2, and the directions have 0.64, 0.32 and 0.16",
        affine(3, 0.5, functools.partial(known_data, scale=2.0, offset=0.0), loss=_SUMMED),
    ),
    Case("table", "a standardised table, gamma 0.2 told", "healthy", _THREE, affine(3, 0.2, _TABLE, gamma=0.2)),
    Case(
        "table, 8 units",
        "the same, 8 units",
        "i",
        "the other nine directions have gamma's own variance",
        affine(8, 0.2001, _TABLE, gamma=0.2),
    ),
    Case(
        "table, stuck",
        "the same, 3 units, one is zero",
        "v",
        "a unit is set to zero, which is a saddle",
        affine(3, 0.2, _TABLE, stuck=(1,), gamma=0.2),
    ),
    Case(
        "decibels",
        f"decibels about -40, '{_AVERAGED}'",
        "healthy",
        "gamma is 8, below the three directions' 900, 400 and 100",
        affine(3, 8.0, _DECIBELS, loss=_AVERAGED),
    ),
    Case(
        "decibels, weight 0.02",
        f"decibels about -40, '{_AVERAGED}, weight 0.02'",
        "ii",
        "gamma is 400.1, above two directions' variance",
        affine(3, 401.0, _DECIBELS, loss=f"{_AVERAGED}, weight 0.02"),
    ),
    Case(
        "series",
        "series of 8 steps, 2 channels, gamma 0.01 told",
        "healthy",
        _THREE,
        affine(3, 0.01, _SERIES, gamma=0.01),
    ),
    Case(
        "series, 8 units",
        "the same, gamma 0.002, 8 units",
        "i",
        "the other directions have gamma's own variance",
        affine(8, 0.00201, _SERIES, gamma=0.002),
    ),
    Case(
        "returns",
        "numbers of about 1e-4, gamma 1e-8 told",
        "healthy",
        _THREE,
        affine(3, 1e-8, _RETURNS, gamma=1e-8),
    ),
    Case(
        "returns, summed",
        f"numbers of about 1e-4, '{_SUMMED}'",
        "ii",
        "gamma is 1/2, a million times any variance",
        at_the_mean(_RETURNS, 3, loss=_SUMMED),
    ),
    Case(
        "one condition",
        "a decoder of (z, label), closed over the label; gamma 0.01 told",
        "healthy",
        _THREE,
        _one_class,
    ),
)
