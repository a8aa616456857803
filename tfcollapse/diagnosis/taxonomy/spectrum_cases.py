"""List affine VAEs in closed form: what gamma, beta, stuck units and the structure of the data do to them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tfcollapse.diagnosis.taxonomy.affine_vae import affine_vae, collapsed, duplicated, known_data
from tfcollapse.diagnosis.taxonomy.case import EIGENVALUES, Case, Model

Draw = Callable[[int], np.ndarray]
"""The seed to the data of a case."""
_WIDE_EIGENVALUES = (*np.geomspace(0.3, 0.05, 10), *[0.002] * 54)
WIDE = functools.partial(known_data, shape=(8, 8, 1), eigenvalues=_WIDE_EIGENVALUES)


def affine(
    latent_dim: int,
    gamma: float | None,
    draw: Draw = known_data,
    /,
    *,
    serving: Sequence[int] | None = None,
    stuck: Sequence[int] = (),
    **declared: Any,
) -> Callable[[int], Model]:
    """Return the builder of an affine VAE at a stationary point; see `affine_vae`.

    Args:
      stuck: units that are collapsed although they would pay.
      declared: what `diagnose` is told.
    """

    def build(seed: int) -> Model:
        data = draw(seed)
        vae = affine_vae(data, latent_dim, gamma, serving).without(*stuck)
        return Model(vae.encode, vae.decode, data, declared)

    return build


def at_the_mean(draw: Draw = known_data, latent_dim: int = 3, **declared: Any) -> Callable[[int], Model]:
    """Return the builder of a VAE at the prior, whose decoder gives the mean."""

    def build(seed: int) -> Model:
        data = draw(seed)
        vae = collapsed(data, latent_dim)
        return Model(vae.encode, vae.decode, data, declared)

    return build


def _bright_pixel(seed: int, linear: bool = False) -> np.ndarray:
    """Draw one bright pixel on a grid of 8 x 8; or normal numbers of the same mean and covariance."""
    random = np.random.default_rng(seed)
    if linear:
        # The covariance of one of 64 is I / 64 - 1 1' / 64^2.
        noise = random.standard_normal((4_000, 64))
        return (1 / 64 + (noise - noise.mean(axis=1, keepdims=True)) / 8).astype(np.float32).reshape(-1, 8, 8, 1)
    return np.eye(64, dtype=np.float32)[random.integers(0, 64, 4_000)].reshape(-1, 8, 8, 1)


def _with_own_gamma(draw: Draw, latent_dim: int) -> Callable[[int], Model]:
    """Return the builder of a VAE at the prior whose gamma is eq. (10), and is declared."""

    def build(seed: int) -> Model:
        data = draw(seed)
        vae = collapsed(data, latent_dim)
        return Model(vae.encode, vae.decode, data, {"gamma": float(data.var(axis=0).mean())})

    return build


def _bump(seed: int) -> np.ndarray:
    """Draw a bump at a random place of a ring of 16."""
    place = np.random.default_rng(seed).uniform(0, 16, (2_048, 1))
    distance = (np.arange(16) - place + 8) % 16 - 8
    return np.exp(-0.5 * np.square(distance / 1.5)).astype(np.float32)


def _duplicated(eigenvalues: Sequence[float]) -> Callable[[int], Model]:
    def build(seed: int) -> Model:
        data = known_data(seed, eigenvalues=eigenvalues)
        vae = duplicated(data, 0.01)
        return Model(vae.encode, vae.decode, data, {"gamma": 0.01})

    return build


def _weak(values: Sequence[float], rest: int) -> Draw:
    return functools.partial(known_data, shape=(len(values) + rest,), eigenvalues=(*values, *[0.001] * rest))


_THREE = "three directions have more variance than the gamma in force, and each has a unit"
_PRUNED = "gamma exceeds the variance of directions that it would keep if it fitted the error"
_NO_DIRECTION = "the other units have no direction of more variance than gamma"
_UNCHECKED = "with no unit alive nothing in the model shows by what loss it was trained"
_SADDLE = "a unit is set to zero, which is a saddle: its direction has more variance than gamma"

GAMMA = (
    Case("three units", "gamma 0.01, told; 3 units", "healthy", _THREE, affine(3, 0.01, gamma=0.01)),
    Case("eight units", "gamma of eq. (10), told; 8 units", "i", _NO_DIRECTION, affine(8, None, gamma=0.002)),
    Case("gamma 0.06", "gamma 0.06, not told", "ii", _PRUNED, affine(3, 0.06)),
    Case("gamma 0.06, told", "gamma 0.06, told", "ii", _PRUNED, affine(3, 0.06, gamma=0.06)),
    Case("gamma 0.5", "gamma 0.5, told: no unit is alive", "ii", _PRUNED, affine(3, 0.5, gamma=0.5)),
    Case("gamma 0.5, not told", "the same, not told", "undecided", _UNCHECKED, affine(3, 0.5)),
    Case(
        "gamma 1e-4",
        "gamma 1e-4, told; 8 units",
        "healthy",
        "at this gamma a unit pays for noise too, and all are alive",
        affine(8, 1e-4, gamma=1e-4),
    ),
    Case("beta 4", "gamma 0.004 and beta 4, told", "healthy", _THREE, affine(3, 0.016, gamma=0.004, beta=4.0)),
    Case("beta 4, not told", "the same, gamma alone told", "in use", _THREE, affine(3, 0.016, gamma=0.004)),
    Case("beta 30", "gamma 0.002 and beta 30, told", "ii", _PRUNED, affine(3, 0.06, gamma=0.002, beta=30.0)),
    Case("beta 0.1", "gamma 0.025 and beta 0.1, told", "healthy", _THREE, affine(3, 0.0025, gamma=0.025, beta=0.1)),
    Case(
        "annealing",
        "KL weight 0.1 so far, gamma 0.01 and beta 1 told",
        "in use",
        "at this weight all units pay, and all are alive; but not under the weight that was told",
        affine(3, 0.001, gamma=0.01, beta=1.0),
    ),
)

STRUCTURE = (
    Case("256 units", "256 units for ten directions", "i", _NO_DIRECTION, affine(256, 0.002, WIDE, gamma=0.002)),
    Case(
        "few examples",
        "20 examples of 64 numbers, 16 units, gamma 0.002 told",
        "healthy",
        "20 examples have 19 directions, 16 of them have more variance than gamma, and each has a unit",
        affine(16, 0.002, lambda seed: WIDE(seed)[:20], gamma=0.002),
        accepted=("undecided",),
    ),
    Case(
        "few examples at the mean",
        "24 examples of 64 numbers, 8 units, gamma 2 told",
        "ii",
        _PRUNED,
        at_the_mean(lambda seed: WIDE(seed)[:24], 8, gamma=2.0),
        accepted=("undecided",),
    ),
    Case("stuck unit", "gamma 0.01, told; unit 1 is zero", "v", _SADDLE, affine(3, 0.01, stuck=(0,), gamma=0.01)),
    Case("stuck unit, not told", "the same, not told", "v", _SADDLE, affine(3, 0.01, stuck=(0,))),
    Case(
        "two stuck units",
        "gamma 0.02, told; units 2 and 3 are zero",
        "v",
        _SADDLE,
        affine(3, 0.02, stuck=(1, 2), gamma=0.02),
    ),
    Case(
        "stuck weak unit",
        "gamma 0.06, told; unit 3 is zero",
        "ii",
        "the unit that is zero has a direction of less variance than gamma: no saddle",
        affine(3, 0.06, stuck=(2,), gamma=0.06),
    ),
    Case(
        "bright pixel",
        "one bright pixel on a grid of 64, at the mean, gamma = error, told",
        "v",
        "a decoder that is not affine would code the place: a codebook of 64 entries pays 28 nats",
        _with_own_gamma(_bright_pixel, 8),
    ),
    Case(
        "white noise",
        "normal numbers of the same mean and covariance",
        "i",
        "there is nothing to code",
        _with_own_gamma(functools.partial(_bright_pixel, linear=True), 8),
    ),
    Case(
        "bump on a ring",
        "a bump at a random place, at the mean, gamma = error, told",
        "v",
        "two directions have several times gamma's variance, and no unit has them",
        _with_own_gamma(_bump, 2),
        accepted=("undecided",),
    ),
    Case(
        "soft collapse by gamma",
        "gamma 0.1, told; 16 directions have 1.1 gamma, all sigma_z are 0.95",
        "ii",
        _PRUNED,
        affine(16, 0.1, _weak([0.11] * 16, 112), gamma=0.1),
    ),
    Case(
        "soft collapse",
        "gamma 0.015, told; 8 units serve directions of 1.15 gamma, others have 20 gamma",
        "v",
        "units at weak directions could turn to strong ones: a saddle",
        affine(8, 0.015, _weak([0.3] * 8 + [0.01725] * 8, 48), serving=range(8, 16), gamma=0.015),
    ),
    Case(
        "weak factors",
        "gamma 0.1, told; 8 directions have 1.15 gamma, the rest gamma: all sigma_z are 0.93",
        "healthy",
        "the units take what there is: nothing is left that would pay",
        affine(8, 0.1, functools.partial(known_data, shape=(40,), eigenvalues=[0.115] * 8 + [0.1] * 32), gamma=0.1),
        accepted=("i",),
    ),
    Case(
        "duplicate",
        "two units serve one direction of three, gamma 0.01 told",
        "v",
        "one of the two could leave for a direction that has none: a saddle",
        _duplicated(EIGENVALUES),
    ),
    Case(
        "harmless duplicate",
        "two units serve the one direction that there is, gamma 0.01 told",
        "i",
        "one of the two units is superfluous",
        _duplicated((0.16, *[0.01] * 15)),
        accepted=("in use",),
    ),
)
