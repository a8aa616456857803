"""Test section 4: compare its closed forms with descents of the energy, and with affine VAEs that are trained here."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfcollapse.config.declaration import Data, Network, Run, Training
from tfcollapse.config.objective import Objective
from tfcollapse.data.dataset import load
from tfcollapse.lab.section import Section
from tfcollapse.metrics.posterior import active_units
from tfcollapse.models.autoencoder import Autoencoder
from tfcollapse.theory import affine, affine_energy
from tfcollapse.theory.affine import Spectrum
from tfcollapse.theory.bootstrap import late_gamma
from tfcollapse.theory.checks import Check, at_most, equal, true
from tfcollapse.theory.known_images import known_images
from tfcollapse.training.in_memory import train_at_gammas, train_in_memory

READING = (
    "With an affine decoder everything follows from the eigenvalues of the centred covariance: every descent ends "
    "at the same energy, every partially collapsed solution is a saddle with as many ways down as predicted, and a "
    "fixed gamma keeps the eigenvalues above it. What training by Adam leaves of a gap is stated."
)
# The eigenvalues of the synthetic data, in squared pixel units: three large ones, and equal small ones.
_KNOWN = np.array([0.16, 0.08, 0.04, *[0.002] * 13])
_LATENT = 3
_STARTS = 12


def affine_section(data: str, seed: int = 0, data_dir: str | None = None) -> Section:
    """Check section 4 on synthetic data and on the training images of the dataset `data`.

    Args:
      data: the name of a dataset, or a file of images.
      seed: the seed of the synthetic data, of the descents and of the trainings.
      data_dir: the directory of TFDS; None takes TFDS_DATA_DIR, or ~/tensorflow_datasets.

    Raises:
      DataError: the dataset cannot be loaded.
    """
    checks, curves = [], {}
    checks += _descents(seed)
    checks += _saddles(seed, curves)
    synthetic = known_images(_KNOWN, seed)
    on_known, run = _synthetic_run(seed), _real_run(data, seed)
    checks += _trained("known spectrum", synthetic, Spectrum.of(_KNOWN), on_known, curves)
    images = load(Data(name=data), data_dir=data_dir).train
    spectrum = affine.spectrum(images.reshape(len(images), -1) / 255.0)
    checks += _trained(data, images, spectrum, run, curves)
    checks += _staircase(synthetic, seed, curves)
    settings = {
        "images": f"{data}, all {len(images):,} training images",
        "steps": f"{run.training.steps:,} on them, {on_known.training.steps:,} on the known spectrum",
        "seed": seed,
    }
    return Section("affine", "The affine decoder (section 4)", READING, checks, curves, settings)


def _points(seed: int, n: int, scales: list[float]) -> np.ndarray:
    random = np.random.default_rng(seed)
    axes = np.linalg.qr(random.standard_normal((len(scales), len(scales))))[0]
    return random.standard_normal((n, len(scales))) * scales @ axes


def _descents(seed: int) -> list[Check]:
    """Check (a): every descent from a random start ends at the predicted energy."""
    points, latent = _points(seed, 40, [3, 2.2, 1.5, 1.1, 0.8, 0.6, 0.4, 0.3]), 3
    spectrum, random, checks = affine.spectrum(points), np.random.default_rng(seed), []
    for gamma, name in ((None, "gamma learned"), (1.0, "gamma fixed at 1"), (3.0, "gamma fixed at 3")):
        predicted = spectrum.energy(latent, gamma)
        reached = [
            affine_energy.minimise(points, affine_energy.random_start(random, points, latent), gamma)[0]
            for _ in range(_STARTS)
        ]
        worst = max(reached, key=lambda energy: abs(energy - predicted))
        claim = f"energy reached from each of {_STARTS} random starts, {name}: the worst"
        checks.append(equal(claim, predicted, worst, relative=1e-8))
    return checks


def _saddles(seed: int, curves: dict[str, Any]) -> list[Check]:
    """Check at every stationary point its energy, and its directions of descent: the Hessian's negative eigenvalues."""
    points, latent = _points(seed, 12, [3, 2.2, 1.5, 0.9, 0.5]), 3
    spectrum, places = affine.spectrum(points), range(points.shape[1])
    subsets = [active for size in range(latent + 1) for active in itertools.combinations(places, size)]
    rows = [
        _stationary(points, spectrum, active, latent)
        for active in subsets
        if (spectrum.eigenvalues[list(active)] > spectrum.stationary_gamma(active)).all()
    ]
    curves["stationary"] = rows
    wrong = [row for row in rows if row["directions"] != row["predicted_directions"]]
    minima = [row for row in rows if row["directions"] == 0]
    best = spectrum.energy(latent)
    return [
        at_most(f"largest derivative at {len(rows)} stationary points", 1e-12, max(row["slope"] for row in rows)),
        equal(
            "their energies: the largest difference",
            0.0,
            max(abs(row["energy"] - row["predicted_energy"]) for row in rows),
            absolute=1e-11,
        ),
        true(
            "ways down from each: negative eigenvalues of the Hessian",
            ", ".join(str(row["predicted_directions"]) for row in rows),
            ", ".join(str(row["directions"]) for row in rows),
            not wrong,
        ),
        true(
            "stationary points without a way down",
            "the global one alone",
            f"{len(minima)}, at energy {minima[0]['energy']:.6g}",
            len(minima) == 1 and abs(minima[0]["energy"] - best) < 1e-9,
        ),
    ]


def _stationary(points: np.ndarray, spectrum: Spectrum, active: tuple[int, ...], latent: int) -> dict[str, Any]:
    """Return what is predicted and what is measured where the units serve the directions in `active`."""
    gamma, place = spectrum.stationary_gamma(active), affine_energy.stationary_point(points, active, latent)
    energy, slope = affine_energy.energy_and_gradient(place, points)
    values = np.linalg.eigvalsh(affine_energy.hessian(place, points))
    return {
        "active": [index + 1 for index in active],
        "energy": energy,
        "predicted_energy": spectrum.stationary_energy(active, latent, gamma),
        "slope": float(np.abs(slope.flat()).max()),
        "directions": int((values < -1e-6).sum()),
        "predicted_directions": spectrum.saddle_directions(active, latent, gamma),
    }


def _synthetic_run(seed: int, **objective: Any) -> Run:
    return Run(
        network=Network(depth=0, latent_dim=_LATENT),
        objective=Objective(**({"gamma_start": 0.01} | objective)),
        training=Training(steps=40_000, learning_rate=1e-2, halve_every=8_000),
        seed=seed,
    )


def _real_run(data: str, seed: int) -> Run:
    return Run(
        data=Data(name=data),
        network=Network(depth=0, latent_dim=8),
        objective=Objective(gamma_start=0.1),
        # Units turn towards the principal directions last. After 16,000 steps sigma_z still misses by up to 0.22.
        training=Training(steps=24_000, learning_rate=1e-2, halve_every=2_700),
        seed=seed,
    )


@dataclass(frozen=True)
class _FittedVAE:
    """The parameters of a trained affine VAE, and its posterior over all images.

    Attributes:
      gamma: the decoder variance.
      weights: W, [d, latent_dim].
      sigma: sigma_z, [latent_dim], the geometric mean over images.
      active: the number of active units.
    """

    gamma: float
    weights: np.ndarray
    sigma: np.ndarray
    active: int


def _read(model: Autoencoder, images: np.ndarray) -> _FittedVAE:
    posterior = model.encode(np.asarray(images / 255.0, np.float32))
    mean, log_variance = (np.asarray(part, np.float64) for part in posterior)
    weights = np.asarray(model.decoder.body[0].kernel, np.float64).T
    # The geometric mean over images is taken, because the optimum is the same for all of them.
    return _FittedVAE(
        float(model.gamma), weights, np.exp(log_variance.mean(axis=0) / 2), int(active_units(mean.var(axis=0)).sum())
    )


def _trained(name: str, images: np.ndarray, spectrum: Spectrum, run: Run, curves: dict[str, Any]) -> list[Check]:
    """Check (b): gamma*, the subspace, sigma_z, the active units, and eqs. (8) and (10), after training by Adam."""
    latent = run.network.latent_dim
    model, metrics = train_in_memory(run, images)
    fitted = _read(model, images)
    twin = Run(data=run.data, network=run.network, objective=Objective(kind="ae"), training=run.training, seed=run.seed)
    ae_error = float(np.mean([row["reconstruction_error"] for row in train_in_memory(twin, images)[1][-10:]]))
    vae_error = float(np.mean([row["reconstruction_error"] for row in metrics[-10:]]))
    gamma = spectrum.optimal_gamma(latent)
    angles = affine.principal_angles(fitted.weights, images.reshape(len(images), -1) / 255.0)
    predicted = np.sqrt(spectrum.latent_variance(latent, gamma))
    late = late_gamma(metrics)
    curves[f"trained {name}"] = {
        "gamma": [row["gamma"] for row in metrics],
        "every": run.training.log_every,
        "optimal_gamma": gamma,
        "sigma": sorted(fitted.sigma.tolist()),
        "predicted_sigma": sorted(predicted.tolist()),
    }
    ratio = spectrum.dimensions / (spectrum.dimensions - latent)
    return [
        equal(f"{name}: gamma learned by Adam, gamma*", gamma, fitted.gamma, relative=0.01),
        equal(f"{name}: largest principal angle (radians)", 0.0, float(angles.max()), absolute=0.03),
        equal(f"{name}: active units", spectrum.active_units(latent, gamma), fitted.active),
        *_sigmas(name, fitted, predicted),
        equal(f"{name}: eq. (8), VAE error over AE error, d / (d - kappa)", ratio, vae_error / ae_error, relative=0.02),
        true(
            f"{name}: eq. (10), gamma over the last batches' mean error, minus 1",
            "0 within 0.01",
            f"{late.value:+.4f}, 95% from {late.low:+.4f} to {late.high:+.4f}",
            max(abs(late.low), abs(late.high)) < 0.01,
        ),
    ]


def _sigmas(name: str, fitted: _FittedVAE, predicted: np.ndarray) -> list[Check]:
    own = np.sqrt(fitted.gamma / (np.square(fitted.weights).sum(axis=0) + fitted.gamma))
    gaps = {
        "of each unit against its own column": (fitted.sigma / own, 0.1),
        "against that of the principal directions": (np.sort(fitted.sigma) / np.sort(predicted), 0.2),
    }
    return [
        equal(f"{name}: sigma_z {what}, largest relative gap", 0.0, float(np.abs(ratio - 1).max()), absolute=allowed)
        for what, (ratio, allowed) in gaps.items()
    ]


def _staircase(images: np.ndarray, seed: int, curves: dict[str, Any]) -> list[Check]:
    """Check (c): how many units a fixed gamma keeps.

    The units are counted after training, after descents of the energy, and from the eigenvalues.
    """
    spectrum, latent = Spectrum.of(_KNOWN), _LATENT
    gammas = _between(_KNOWN, latent)
    run = _synthetic_run(seed, gamma="fixed")
    run = Run(
        network=run.network,
        objective=run.objective,
        training=Training(steps=20_000, learning_rate=1e-2, halve_every=3_500),
        seed=seed,
    )
    trained = train_at_gammas(run, images, gammas, lambda model: _read(model, images).active)
    counted = [spectrum.active_units(latent, gamma) for gamma in gammas]
    curves["staircase"] = {
        "gamma": gammas,
        "trained": trained,
        "predicted": counted,
        "eigenvalues": _KNOWN[:latent].tolist(),
    }
    return [
        true(
            "active units at fixed gamma, trained: eigenvalues above gamma",
            _listed(counted),
            _listed(trained),
            trained == counted,
        ),
        *_descended_staircase(images[:24].reshape(24, -1) / 255.0, latent, seed),
    ]


def _descended_staircase(points: np.ndarray, latent: int, seed: int) -> list[Check]:
    spectrum, descended, off = affine.spectrum(points), [], 0.0
    gammas = _between(spectrum.eigenvalues, latent)
    for gamma in gammas:
        start = affine_energy.random_start(np.random.default_rng(seed), points, latent, 0.1)
        _, vae = affine_energy.minimise(points, start, gamma)
        live = np.square(vae.weights).sum(axis=0) > 1e-8
        descended.append(int(live.sum()))
        off = max([off, *np.abs(vae.mean[:, ~live]).ravel(), *np.abs(vae.log_variance[:, ~live] / 2).ravel()])
    counted = [spectrum.active_units(latent, gamma) for gamma in gammas]
    return [
        true(
            f"the same by descent on {len(points)} of the points, which have their own spectrum",
            _listed(counted),
            _listed(descended),
            descended == counted,
        ),
        equal("collapsed units there: largest |mu_z| and |log sigma_z|", 0.0, off, absolute=1e-6),
    ]


def _between(eigenvalues: np.ndarray, latent: int) -> list[float]:
    """Return values of gamma that keep each number of units, from `latent` down to none.

    They are geometric means of neighbouring eigenvalues. The last one lies above the largest eigenvalue.
    """
    ends = np.concatenate([[2 * eigenvalues[0]], eigenvalues[: latent + 1]])
    return np.sqrt(ends[:-1] * ends[1:])[::-1].tolist()


def _listed(values: list[int]) -> str:
    return ", ".join(map(str, values))
