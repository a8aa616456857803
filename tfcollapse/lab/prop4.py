"""Test Proposition 4 and its open question: what kind of stationary point a collapsed unit is, by depth."""

from __future__ import annotations

import pathlib
from typing import Any

import numpy as np

from tfcollapse.config.declaration import Data, Network, Objective, Run, Training
from tfcollapse.data.dataset import load
from tfcollapse.errors import ConfigError
from tfcollapse.lab.collapsed_unit import UnitHessian, collapse, unit_gradient
from tfcollapse.lab.float64 import in_float64
from tfcollapse.lab.section import Section
from tfcollapse.models.autoencoder import Autoencoder, load_model
from tfcollapse.models.build import build
from tfcollapse.records.run_directory import read_config
from tfcollapse.theory.checks import Check, at_least, at_most, equal, true
from tfcollapse.theory.stationary import SADDLE, curvature
from tfcollapse.training.in_memory import train_in_memory

READING = (
    "A unit whose weights are zero is a stationary point in every architecture, if its heads' biases are zero too, "
    "which the paper does not say. Whether it is a saddle or a minimum the paper leaves open for deep networks. The "
    "extreme eigenvalues of the Hessian restricted to the unit answer it for the models at hand: a negative one is "
    "a way out, if it is one on images too that the Hessian has not seen."
)
DEPTHS = (1, 2, 4, 6, 8, 10)
_ARCHITECTURES = (
    Network(depth=2, width=24, latent_dim=6),
    Network(depth=6, width=24, latent_dim=6),
    Network(architecture="convolutional", depth=2, base_channels=2, latent_dim=6),
    Network(architecture="residual", depth=1, base_channels=2, latent_dim=6),
    Network(architecture="residual", depth=1, base_channels=2, latent_dim=6, shortcut="projection", batch_norm=True),
)
_STEPS = 120
_NO_WAY_OUT = "saddle of these images alone"


def prop4_section(
    data: str, runs: str | None = None, images: int = 64, seed: int = 0, data_dir: str | None = None
) -> Section:
    """Check Proposition 4, and find the kind of stationary point that a collapsed unit is at depths 1 to 10.

    Args:
      data: the dataset of the short trainings and of the Hessians.
      runs: a directory of run directories; where it is given, their finished dense VAEs replace the short trainings.
      images: the number of images that each Hessian is averaged over.
      seed: the seed of the initial weights, of the trainings and of the random images.
      data_dir: the directory of TFDS; None takes TFDS_DATA_DIR, or ~/tensorflow_datasets.

    Raises:
      DataError: the dataset cannot be loaded.
      ConfigError: `runs` holds no finished dense VAE.
    """
    curves: dict[str, Any] = {"kinds": []}
    checks = [*_gradients(seed), *_lanczos(seed)]
    whole = load(Data(name=data), data_dir=data_dir).train
    models = _short(data, whole, seed) if runs is None else trained_models(runs)
    chosen = whole[np.linspace(0, len(whole) - 1, min(images, len(whole))).astype(int)] / 255.0
    unseen = load(Data(name=data), data_dir=data_dir).test[: len(chosen)] / 255.0
    for run, model in models:
        curves["kinds"] += _kinds(run, model, chosen, unseen)
    checks += _answers(curves["kinds"])
    depths = ", ".join(str(run.network.depth) for run, _ in models)
    trainings = sorted({f"{run.training.steps:,} steps on {run.data.name}" for run, _ in models})
    settings = {
        "models": f"dense VAEs, width 512, 64 latents, depths {depths}: {', '.join(trainings)}",
        "images": f"{len(chosen):,} training images of {data} in each Hessian, {len(unseen):,} test images beside it",
        "seed": seed,
    }
    return Section("prop4", "Collapsed units as stationary points (Proposition 4)", READING, checks, curves, settings)


def _gradients(seed: int) -> list[Check]:
    """Check the exact gradients by the weights that the proposition names, for every architecture and every unit."""
    checks, random = [], np.random.default_rng(seed)
    for network in _ARCHITECTURES:
        shape = (12, 12, 1) if network.spec.fully_connected else (32, 32, 3)
        images = random.uniform(size=(4, *shape))
        kind = f"{network.architecture}, depth {network.depth}{', batch norm' if network.batch_norm else ''}"
        zero, mean_bias, variance_bias, alive = [], [], [], []
        model = in_float64(build(Run(network=network, seed=seed), shape))
        start = model.get_weights()
        for unit in range(network.latent_dim):
            model.set_weights(start)
            alive.append(unit_gradient(model, unit, images, 0.1).largest)
            collapse(model, unit)
            zero.append(unit_gradient(model, unit, images, 0.1).largest)
            collapse(model, unit, mean_bias=0.1)
            gradient = unit_gradient(model, unit, images, 0.1)
            mean_bias.append(min(np.abs(gradient.decoder).max(), np.abs(gradient.mean).max()))
            collapse(model, unit, log_variance_bias=0.1)
            variance_bias.append(np.abs(unit_gradient(model, unit, images, 0.1).log_variance).max())
        checks += [
            at_most(
                f"{kind}: largest derivative by a collapsed unit, against an active one's, all units",
                1e-12,
                max(zero) / min(alive),
            ),
            at_least(
                f"{kind}: the same with a mean bias of 0.1 (decoder and mean head), the smallest",
                1e-6,
                float(min(mean_bias)) / max(alive),
            ),
            at_least(
                f"{kind}: with a log-variance bias of 0.1 (its head), the smallest",
                1e-6,
                float(min(variance_bias)) / max(alive),
            ),
        ]
    return checks


def _lanczos(seed: int) -> list[Check]:
    """Check the extreme eigenvalues that Lanczos' method finds against all eigenvalues of a small Hessian."""
    model = build(Run(network=Network(depth=3, width=16, latent_dim=4), seed=seed), (6, 6, 1))
    images = np.random.default_rng(seed).uniform(size=(20, 6, 6, 1))
    hessian = UnitHessian(model, 1, images)
    whole = np.array([hessian.product(row) for row in np.eye(hessian.size)])
    values, extremes = np.linalg.eigvalsh((whole + whole.T) / 2), curvature(hessian.product, hessian.size, steps=_STEPS)
    return [
        equal("Hessian of a small unit: asymmetry", 0.0, float(np.abs(whole - whole.T).max()), absolute=1e-9),
        equal("its lowest eigenvalue by Lanczos", float(values[0]), extremes.lowest, relative=1e-6),
        equal("its highest", float(values[-1]), extremes.highest, relative=1e-6),
    ]


def _short(data: str, images: np.ndarray, seed: int) -> list[tuple[Run, Autoencoder]]:
    trained = []
    for depth in DEPTHS:
        run = Run(
            data=Data(name=data),
            network=Network(depth=depth),
            objective=Objective(gamma="optimal"),
            training=Training(steps=250),
            seed=seed,
        )
        trained.append((run, train_in_memory(run, images)[0]))
    return trained


def trained_models(runs: str) -> list[tuple[Run, Autoencoder]]:
    """Return the finished dense VAEs under the directory `runs`, one for each depth, in ascending order of depth.

    VAEs with KL warm-up are left out.

    Raises:
      ConfigError: there is no such VAE.
    """
    by_depth = {}
    for path in sorted(pathlib.Path(runs).glob("*/model.keras")):
        run = read_config(path.parent)
        plain = run.objective.kind == "vae" and run.objective.warmup == "none"
        if run.network.architecture == "dense" and plain:
            by_depth.setdefault(run.network.depth, (run, load_model(path)))
    if not by_depth:
        raise ConfigError(f"--runs '{runs}': expected run directories of finished dense VAEs, found none")
    return [by_depth[depth] for depth in sorted(by_depth)]


def _kinds(run: Run, model: Autoencoder, images: np.ndarray, unseen: np.ndarray) -> list[dict[str, Any]]:
    """Return the kinds of three collapsed units: one of the untrained network, and two of the trained one.

    The two are the unit whose mean varies least over images, and the unit whose mean varies most.
    """
    variance = np.asarray(model.encode(images.astype(np.float32)).mean).var(axis=0)
    untrained = build(run, images.shape[1:])
    rows = []
    for when, vae, unit in (
        ("before training", untrained, 0),
        ("after, least active unit", model, int(variance.argmin())),
        ("after, most active unit", model, int(variance.argmax())),
    ):
        hessian = UnitHessian(vae, unit, images)
        extremes = curvature(hessian.product, hessian.size, steps=_STEPS, tolerance=0.02)
        beyond = float(extremes.direction @ UnitHessian(vae, unit, unseen, hessian.gamma).product(extremes.direction))
        rows.append(
            {
                "depth": run.network.depth,
                "when": when,
                "gamma": hessian.gamma,
                "variance of its mean": None if vae is untrained else float(variance[unit]),
                "unseen": beyond,
                **{name: value for name, value in extremes._asdict().items() if name != "direction"},
                "kind": _NO_WAY_OUT if extremes.kind == SADDLE and beyond >= 0 else extremes.kind,
            }
        )
    return rows


def _answers(rows: list[dict[str, Any]]) -> list[Check]:
    checks = []
    for when in dict.fromkeys(row["when"] for row in rows):
        chosen = [row for row in rows if row["when"] == when]
        summary = "; ".join(
            f"{row['depth']}: {row['kind']}, {row['lowest']:.3g} ({row['unseen']:.3g})" for row in chosen
        )
        decided = all(row["error"] < 0.1 * abs(row["lowest"]) or row["lowest"] >= 0 for row in chosen)
        name = f"kind of the collapsed unit {when}, and lowest eigenvalue (along it, on unseen images), by depth"
        checks.append(true(name, "open; the eigenvalue known to 10%", summary, decided))
    return checks
