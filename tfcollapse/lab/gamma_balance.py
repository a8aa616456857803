"""Test section 5.2: at full collapse, "varying gamma manually will not impact the gradient balance"."""

from __future__ import annotations

from typing import Any

import numpy as np

from tfcollapse.config.declaration import Data, Network, Run, Training
from tfcollapse.config.objective import Objective
from tfcollapse.lab.collapsed_unit import UnitHessian, collapse, set_unit, unit_gradient
from tfcollapse.lab.float64 import in_float64
from tfcollapse.metrics.posterior import kl_per_dimension
from tfcollapse.models.autoencoder import Autoencoder
from tfcollapse.theory import affine
from tfcollapse.theory.checks import Check, at_most, true
from tfcollapse.training.in_memory import train_in_memory

_SHARES = np.geomspace(1e-3, 1e3, 13)
"""The values of gamma, in units of gamma-bar, which is the optimal one at full collapse."""
_IMAGES, _FEW, _STEP = 1_000, 64, 1e-3
_AROUND = (0.9, 1.1)
"""The values of gamma at which the way out is tested, in units of the critical gamma."""


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
    return [*_derivatives(model, chosen), *_way_out(model, chosen, test[:_IMAGES] / 255.0, curves)]


def described(data: str) -> str:
    """Return what the network of these checks is, and on which images they are made."""
    run = _run(data, 0)
    network, steps = run.network, run.training.steps
    return (
        f"a dense VAE of depth {network.depth}, width {network.width}, {network.latent_dim} latents, {steps:,} steps; "
        f"up to {_IMAGES:,} images of {data}, {_FEW} for the derivatives"
    )


def _derivatives(model: Autoencoder, images: np.ndarray) -> list[Check]:
    """Check that no gamma gives a derivative by a unit's weights at full collapse, to which `model` is brought."""
    few, gammas = images[:_FEW], images.var(axis=0).mean() * _SHARES
    active = int(kl_per_dimension(*(np.asarray(part) for part in model.encode(images))).argmax())
    before = np.array([unit_gradient(model, active, few, gamma).largest for gamma in gammas])
    collapse_all(model, images)
    after = np.array([unit_gradient(model, active, few, gamma).largest for gamma in gammas])
    return [
        at_most(
            "section 5.2, every unit collapsed, gamma from gamma-bar / 1000 to 1000 gamma-bar: largest derivative by a "
            "unit's weights, against that of the most active unit at the same gamma",
            1e-12,
            float((after / before).max()),
        )
    ]


def _way_out(model: Autoencoder, images: np.ndarray, test: np.ndarray, curves: dict[str, Any]) -> list[Check]:
    """Check that full collapse, where `model` is, has a way out below a critical gamma alone."""
    units = range(model.latent_dim)
    seen = UnitHessian(model, units, images)
    whole = np.array([seen.product(row) for row in np.eye(seen.size)])
    critical = _critical_gamma(whole, seen)
    around = [_lowest(whole, seen, share * critical) for share in _AROUND]
    direction = np.linalg.eigh(_at(whole, seen, _AROUND[0] * critical))[1][:, 0]
    pulls = [_pull(model, seen.sizes, direction, images, share * critical) for share in _AROUND]
    unseen = UnitHessian(model, units, test, seen.gamma).along(direction).critical_gamma
    curves["gamma"] = {
        "share": _SHARES.tolist(),
        "lowest": [_lowest(whole, seen, share * seen.gamma) for share in _SHARES],
        "critical": critical / seen.gamma,
        "critical_unseen": unseen / seen.gamma,
    }
    return [
        true(
            "the unit's lowest eigenvalue at 0.9 and 1.1 of a critical gamma: a way out below it alone",
            "negative, none below 0",
            f"{around[0]:.3g}, {around[1]:.3g} at {critical / seen.gamma:.3g} gamma-bar "
            f"({unseen / seen.gamma:.3g} on unseen images)",
            around[0] < 0 and around[1] > -1e-9,
        ),
        true(
            f"the derivative along that way out after a step of {_STEP:g}, over the step, at the same two gammas: "
            "gamma decides where it leads",
            "negative (out), positive (back)",
            f"{pulls[0]:.3g}, {pulls[1]:.3g}",
            pulls[0] < 0 < pulls[1],
        ),
        at_most(
            "that critical gamma: at most lambda_max of these images (an affine decoder's), both in gamma-bar",
            float(affine.spectrum(images.reshape(len(images), -1)).eigenvalues[0]) / seen.gamma,
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


def _pull(
    model: Autoencoder, sizes: list[int], direction: np.ndarray, images: np.ndarray, gamma: float, unit: int = 0
) -> float:
    """Return the derivative of eq. (4) along `direction` after a step of _STEP along it, over the step.

    It is computed by automatic differentiation through the whole model, which ends as it was. For a small step it is
    the curvature along the direction.
    """
    weights = model.get_weights()
    set_unit(model, unit, *np.split(_STEP * direction, np.cumsum(sizes)[:-1]))
    pull = np.concatenate(unit_gradient(model, unit, images, gamma)) @ direction / _STEP
    model.set_weights(weights)
    return float(pull)
