"""Test section 5.2: at full collapse, "varying gamma manually will not impact the gradient balance"."""

from __future__ import annotations

from typing import Any

import numpy as np

from tfcollapse.config.declaration import Data, Network, Objective, Run, Training
from tfcollapse.lab.collapsed_unit import UnitHessian, collapse, set_unit, unit_gradient
from tfcollapse.lab.float64 import in_float64
from tfcollapse.models.autoencoder import Autoencoder
from tfcollapse.theory import affine
from tfcollapse.theory.checks import Check, at_most, equal, true
from tfcollapse.training.in_memory import train_in_memory

_SHARES = np.geomspace(1e-3, 1e3, 13)
"""The values of gamma, in units of gamma-bar, which is the optimal one at full collapse."""
_IMAGES, _STEP = 1_000, 1e-3


def gamma_checks(data: str, images: np.ndarray, test: np.ndarray, seed: int, curves: dict[str, Any]) -> list[Check]:
    """Check what gamma changes where every unit of a trained network is collapsed, and beside that point.

    Args:
      data: the name of the dataset.
      images, test: its training images and its test images, uint8 [n, h, w, c].
      seed: the seed of the training and of the draws.
      curves: takes the numbers of the figure under "gamma".
    """
    model = in_float64(train_in_memory(_run(data, seed), images)[0])
    chosen = images[np.linspace(0, len(images) - 1, min(_IMAGES, len(images))).astype(int)] / 255.0
    unit, few = 0, chosen[:64]
    active = [unit_gradient(model, unit, few, gamma).largest for gamma in _SHARES]
    collapse_all(model, chosen)
    seen = UnitHessian(model, range(model.latent_dim), chosen)
    gammas = seen.gamma * _SHARES
    inside = [unit_gradient(model, unit, few, gamma).largest for gamma in gammas]
    whole = np.array([seen.product(row) for row in np.eye(seen.size)])
    critical, lowest = _critical_gamma(whole, seen), [_lowest(whole, seen, gamma) for gamma in gammas]
    around = [_lowest(whole, seen, share * critical) for share in (0.9, 1.1)]
    direction = np.linalg.eigh(_at(whole, seen, 0.9 * critical))[1][:, 0]
    unseen = UnitHessian(model, range(model.latent_dim), test[:_IMAGES] / 255.0, seen.gamma).along(direction)
    curves["gamma"] = {
        "share": _SHARES.tolist(),
        "lowest": lowest,
        "critical": critical / seen.gamma,
        "critical_unseen": unseen.critical_gamma / seen.gamma,
    }
    where = "every unit collapsed, gamma from gamma-bar / 1000 to 1000 gamma-bar"
    return [
        at_most(
            f"section 5.2, {where}: largest derivative by a unit's weights, against an active unit's",
            1e-12,
            max(np.array(inside) / active),
        ),
        equal(
            f"a step of {_STEP:g} beside it: the data term's pull over the KL term's, as a power of gamma "
            "(0 would be: gamma does not change the balance)",
            -1.0,
            _power_of_the_balance(model, unit, seen.sizes, direction, few, gammas),
            absolute=1e-6,
        ),
        true(
            "the unit's lowest eigenvalue at 0.9 and 1.1 of a critical gamma: a way out below it alone",
            "negative, none below 0",
            f"{around[0]:.3g}, {around[1]:.3g} at {critical / seen.gamma:.3g} gamma-bar "
            f"({unseen.critical_gamma / seen.gamma:.3g} on unseen images)",
            around[0] < 0 and around[1] > -1e-9,
        ),
        at_most(
            "that critical gamma: at most lambda_max of these images (an affine decoder's), both in gamma-bar",
            float(affine.spectrum(chosen.reshape(len(chosen), -1)).eigenvalues[0]) / seen.gamma,
            critical / seen.gamma,
        ),
    ]


def collapse_all(model: Autoencoder, images: np.ndarray) -> None:
    """Collapse every unit of a dense VAE, in place, and let its decoder give the mean of `images`, as (7) has it."""
    for unit in range(model.latent_dim):
        collapse(model, unit)
    pixels = model.decoder.get_layer("pixels")
    output = np.asarray(model.decode(np.zeros((1, model.latent_dim))))[0]
    pixels.bias.assign(pixels.bias + (images.mean(axis=0) - output).ravel())


def _run(data: str, seed: int) -> Run:
    return Run(
        data=Data(name=data),
        network=Network(depth=4, width=64, latent_dim=8),
        objective=Objective(gamma="optimal"),
        training=Training(steps=3_000, learning_rate=1e-3, halve_every=1_000),
        seed=seed,
    )


def _at(whole: np.ndarray, hessian: UnitHessian, gamma: float) -> np.ndarray:
    """Return the Hessian at `gamma`, from that at `hessian.gamma`; its blocks of the encoder are the KL term's."""
    size = hessian.sizes[0]
    prior = np.zeros_like(whole)
    prior[size:, size:] = whole[size:, size:]
    return prior + (whole - prior) * hessian.gamma / gamma


def _lowest(whole: np.ndarray, hessian: UnitHessian, gamma: float) -> float:
    return float(np.linalg.eigvalsh(_at(whole, hessian, gamma))[0])


def _critical_gamma(whole: np.ndarray, hessian: UnitHessian) -> float:
    """Return the largest gamma at which the Hessian has a negative eigenvalue.

    With P / gamma, Q / gamma and R its blocks by decoder and encoder weights, it has one where gamma is below the
    largest eigenvalue of P^-1 Q R^-1 Q^T (the Schur complement of R). For an affine decoder that is the largest
    eigenvalue of the covariance that the residual has and the encoder's features predict: section 4.
    """
    size = hessian.sizes[0]
    own, mixed, prior = whole[:size, :size], whole[:size, size:], whole[size:, size:]
    scaled = np.linalg.pinv(own, rcond=1e-10, hermitian=True) @ mixed
    scaled = scaled @ np.linalg.pinv(prior, rcond=1e-10, hermitian=True) @ mixed.T
    return float(hessian.gamma * np.linalg.eigvals(scaled).real.max())


def _power_of_the_balance(
    model: Autoencoder, unit: int, sizes: list[int], direction: np.ndarray, images: np.ndarray, gammas: np.ndarray
) -> float:
    """Return the slope, in log gamma, of the log of the data term's gradient over the KL term's.

    Both are by the weights of the unit after a step along `direction`, and are computed by automatic differentiation.
    The gradient at an infinite gamma is the KL term's.
    """
    weights = model.get_weights()
    set_unit(model, unit, *np.split(_STEP * direction, np.cumsum(sizes)[:-1]))
    prior = np.concatenate(unit_gradient(model, unit, images, np.inf))
    pulls = [np.linalg.norm(np.concatenate(unit_gradient(model, unit, images, gamma)) - prior) for gamma in gammas]
    model.set_weights(weights)
    return float(np.polyfit(np.log(gammas), np.log(np.array(pulls) / np.linalg.norm(prior)), 1)[0])
