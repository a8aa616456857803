"""Find the units of a trained VAE that training killed, and what kind of stationary point each of them is."""

from __future__ import annotations

from typing import Any

import numpy as np

from tfcollapse.config.declaration import Run
from tfcollapse.lab.collapsed_unit import UnitHessian
from tfcollapse.lab.float64 import in_float64
from tfcollapse.metrics.posterior import ACTIVE_KL, kl_per_dimension
from tfcollapse.models.autoencoder import Autoencoder
from tfcollapse.models.build import build
from tfcollapse.records.trained import TRAINED
from tfcollapse.theory.stationary import SADDLE, Curvature, curvature

KILLED, START, USED = "killed by training", "before training", "most active unit"
"""The groups of units: those that training killed, one at the initial weights, and one that is collapsed by hand."""
NO_WAY_OUT, UNDECIDED = "no way out found", "undecided"
"""The kinds of a collapsed unit that is not shown to be a saddle: see `kind`."""
REACH = 0.01
"""The largest share, of what the most active unit sends, that a killed unit may send."""
_PROBED = 128
"""The number of images on which it is measured how much of a unit's z reaches the output."""
_STEPS = 120


def error_ratio(model: Autoencoder, images: np.ndarray, seed: int = 0) -> float:
    """Return the squared error of a VAE on `images`, z sampled, over that of the mean of these images.

    Args:
      model: a VAE in float64.
      images: [n, h, w, c] in [0, 1].
      seed: the seed of the draws of z.
    """
    noise = np.random.default_rng(seed).standard_normal((len(images), model.latent_dim))
    error = np.square(images - np.asarray(model.reconstruct(images, noise))).mean()
    return float(error / np.square(images - images.mean(axis=0)).mean())


def killed_units(model: Autoencoder, images: np.ndarray, seed: int = 0) -> tuple[list[int], np.ndarray]:
    """Return the units that are inactive and near the collapsed point of Proposition 4, by what they send.

    The posterior of such a unit is the prior but for 0.01 nats, the field's measure (`metrics.posterior.ACTIVE_KL`).
    What its z changes in the reconstruction is at most REACH of what the z of the unit with the largest KL changes.

    Args:
      model: a VAE in float64.
      images: [n, h, w, c] in [0, 1].
      seed: the seed of the draws of z.

    Returns:
      The indices of the units, and the KL of every unit in nats, [latent_dim].
    """
    posterior = model.encode(images)
    kl = kl_per_dimension(*(np.asarray(part) for part in posterior))
    noise = np.random.default_rng(seed).standard_normal((len(images), model.latent_dim))
    latents = np.asarray(posterior.sample(noise))[:_PROBED]
    outputs = np.asarray(model.decode(latents))

    def reach(unit: int) -> float:
        """Return the mean squared change of the reconstruction where z_j is set to 0."""
        without = latents.copy()
        without[:, unit] = 0.0
        return float(np.square(outputs - np.asarray(model.decode(without))).mean())

    most = reach(int(kl.argmax()))
    return [int(unit) for unit in np.flatnonzero(kl <= ACTIVE_KL) if reach(unit) <= REACH * most], kl


def kinds(run: Run, model: Autoencoder, images: np.ndarray, unseen: np.ndarray) -> list[dict[str, Any]]:
    """Return one row for every unit that training killed, one for the most active unit, one for an untrained network.

    A network that was not trained gives the last of these alone. The other units of a killed one stay as training left
    them. Its lowest eigenvalue, gamma and direction are those of the killed unit with the smallest KL, and so the same
    for all killed units of a network: each sends so little that their Hessians are nearly equal. Its curvature along
    the direction, on unseen images, is its own. `together_lowest`, `together` and its error are of all killed units
    collapsed at once, along a direction that is found so.

    Args:
      run: the declaration of the network.
      model: the trained VAE.
      images: [n, h, w, c] in [0, 1], on which directions are found.
      unseen: other images, on which the curvature along these directions decides.
    """
    rows = [_lone(run, build(run, images.shape[1:]), 0, START, images, unseen)]
    model = in_float64(model)
    if error_ratio(model, images) >= TRAINED:
        return rows
    killed, kl = killed_units(model, images)
    rows.append(_lone(run, model, int(kl.argmax()), USED, images, unseen))
    if killed:
        rows += _killed(run, model, killed, kl, images, unseen)
    return rows


def _killed(
    run: Run, model: Autoencoder, killed: list[int], kl: np.ndarray, images: np.ndarray, unseen: np.ndarray
) -> list[dict[str, Any]]:
    """Return the rows of the units that training killed."""
    columns = np.linalg.norm(np.asarray(model.decoder.latent_layers()[0].kernel), axis=1)
    columns /= columns[kl.argmax()]
    all_of_them, extremes = _search(model, killed, images)
    found = UnitHessian(model, killed, unseen, all_of_them.gamma).along(extremes.direction)
    ends = {"together_lowest": extremes.lowest, "together_lowest_error": extremes.error}
    together = ends | {"together": found.mean, "together_error": found.error}
    seen, extremes = _search(model, min(killed, key=kl.__getitem__), images)
    rows = []
    for unit in killed:
        row = _row(run, seen, extremes, KILLED, UnitHessian(model, unit, unseen, seen.gamma))
        rows.append(row | together | {"unit": unit, "kl": float(kl[unit]), "column": float(columns[unit])})
    return rows


def _search(model: Autoencoder, units: int | list[int], images: np.ndarray) -> tuple[UnitHessian, Curvature]:
    """Return the Hessian of one unit, or of several that are collapsed together, and the ends of its spectrum."""
    hessian = UnitHessian(model, units, images)
    return hessian, curvature(hessian.product, hessian.size, steps=_STEPS, tolerance=0.02)


def _lone(run: Run, model: Autoencoder, unit: int, when: str, images: np.ndarray, unseen: np.ndarray) -> dict[str, Any]:
    model = in_float64(model)
    seen, extremes = _search(model, unit, images)
    return _row(run, seen, extremes, when, UnitHessian(model, unit, unseen, seen.gamma))


def _row(run: Run, seen: UnitHessian, extremes: Curvature, when: str, beyond: UnitHessian) -> dict[str, Any]:
    """Return what is known of a unit along the direction of `extremes`: a saddle if it falls on unseen images."""
    unseen = beyond.along(extremes.direction)
    return {
        "depth": run.network.depth,
        "when": when,
        "gamma": seen.gamma,
        "lowest": extremes.lowest,
        "error": extremes.error,
        "highest": extremes.highest,
        "unseen": unseen.mean,
        "unseen_error": unseen.error,
        "critical_gamma": unseen.critical_gamma,
        "kind": kind(unseen.mean, unseen.error),
    }


def kind(mean: float, error: float) -> str:
    """Return what the curvature along one direction, on unseen images, says of a collapsed unit.

    SADDLE: the energy falls along it by more than two standard errors. NO_WAY_OUT: it rises by more than two, so this
    direction leads nowhere, and others are not excluded. UNDECIDED: it is within two of 0, or no error is known.
    """
    if mean < -2 * error:
        return SADDLE
    return NO_WAY_OUT if mean > 2 * error else UNDECIDED
