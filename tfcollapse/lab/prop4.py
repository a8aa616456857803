"""Test Proposition 4 and its open question: what kind of stationary point a collapsed unit is, by depth."""

from __future__ import annotations

import collections
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np

from tfcollapse.config.declaration import Data, Network, Run, Training
from tfcollapse.config.objective import Objective
from tfcollapse.data.dataset import load
from tfcollapse.errors import ConfigError
from tfcollapse.lab import gamma_balance
from tfcollapse.lab.collapsed_unit import UnitHessian, collapse, unit_gradient
from tfcollapse.lab.containment import containment_checks
from tfcollapse.lab.float64 import in_float64
from tfcollapse.lab.killed_units import KILLED, START, UNDECIDED, USED, kinds
from tfcollapse.lab.section import Section
from tfcollapse.models.autoencoder import Autoencoder, load_model
from tfcollapse.models.build import build
from tfcollapse.records.run_directory import read_config
from tfcollapse.theory.checks import Check, at_least, at_most, equal, measured, not_applicable, true
from tfcollapse.theory.stationary import SADDLE, curvature
from tfcollapse.training.in_memory import train_in_memory

READING = (
    "Where a unit's weights are zero, the energy is stationary in them, in each of the paper's three architectures, "
    "if its heads' biases are zero too, which the paper does not say. Whether the point is a saddle or a minimum in "
    "the unit's weights the paper leaves open for deep networks. Here every unit that training killed is tested: its "
    "posterior is the prior but for 0.01 nats, and its z changes the reconstruction by at most 1% of what the most "
    "active unit's does. Its weights are set to zero; the other weights are as training left them. One direction is "
    "found for each network, on training images, with the killed unit of the smallest KL collapsed. It is then tried "
    "on each killed unit, collapsed alone, on images of the test split. A unit counts as a saddle where the energy of "
    "these falls along it by more than two standard errors, and is undecided within two of them. The images and the "
    "direction are the same for all units of a network, so the number of units is not one of independent cases. Where "
    "the energy rises along it, nothing is proved, as another direction may lead down. All killed units collapsed at "
    "once, and the direction that is found so, have a line of their own; so have units of untrained networks, and "
    "units in use that are collapsed by hand. Gamma does not move a collapsed unit (section 5.2), as all its "
    "derivatives are zero at any gamma; but it decides whether the point is a saddle. A deeper network contains the "
    "shallower one exactly (section 6)."
)
DEPTHS = (2, 6, 10)
"""The depths of the short trainings."""
_ARCHITECTURES = (
    Network(depth=2, width=24, latent_dim=6),
    Network(depth=6, width=24, latent_dim=6),
    Network(architecture="convolutional", depth=2, base_channels=2, latent_dim=6),
    Network(architecture="residual", depth=1, base_channels=2, latent_dim=6),
    Network(architecture="residual", depth=1, base_channels=2, latent_dim=6, shortcut="projection", batch_norm=True),
)
_OPEN = "open; the eigenvalue known to 10%"


def prop4_section(
    data: str, runs: str | None = None, images: int = 512, seed: int = 0, data_dir: str | None = None
) -> Section:
    """Check Proposition 4, and find which units that training killed are saddles, by depth.

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
    dataset = load(Data(name=data), data_dir=data_dir)
    checks = [
        *_gradients(seed),
        *_lanczos(seed),
        *gamma_balance.gamma_checks(data, dataset.train, dataset.test, seed, curves),
    ]
    models = _short(data, dataset.train, seed) if runs is None else trained_models(runs)
    chosen = dataset.train[np.linspace(0, len(dataset.train) - 1, min(images, len(dataset.train))).astype(int)] / 255.0
    unseen = dataset.test[: len(chosen)] / 255.0
    for run, model in models:
        curves["kinds"] += kinds(run, model, chosen, unseen)
    checks += [*_answers(curves["kinds"]), *containment_checks(seed)]
    trained = {row["depth"] for row in curves["kinds"] if row["when"] != START}
    untrained = [str(run.network.depth) for run, _ in models if run.network.depth not in trained]
    settings = {
        "models": _described([run for run, _ in models]),
        "images": f"{len(chosen):,} training images of {data} in each Hessian, {len(unseen):,} test images beside it",
        "the lines before 'Hessian of a small unit'": "untrained networks, 6 latents, 4 random images",
        "the lines of section 5.2 and of a critical gamma": gamma_balance.described(data),
        "seed": seed,
    }
    if untrained:
        settings["left out as not trained"] = f"depth {', '.join(untrained)}"
    return Section("prop4", "Collapsed units as stationary points (Proposition 4)", READING, checks, curves, settings)


def _described(runs: list[Run]) -> str:
    depths = ", ".join(str(run.network.depth) for run in runs)
    sizes = {f"width {run.network.width}, {run.network.latent_dim} latents" for run in runs}
    trainings = {f"{run.training.steps:,} steps on {run.data.name}" for run in runs}
    return f"dense VAEs, depths {depths}: {'; '.join(sorted(sizes))}; {'; '.join(sorted(trainings))}"


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
    model = in_float64(build(Run(network=Network(depth=3, width=16, latent_dim=4), seed=seed), (6, 6, 1)))
    images = np.random.default_rng(seed).uniform(size=(20, 6, 6, 1))
    hessian = UnitHessian(model, 1, images)
    whole = np.array([hessian.product(row) for row in np.eye(hessian.size)])
    values, extremes = np.linalg.eigvalsh((whole + whole.T) / 2), curvature(hessian.product, hessian.size, steps=120)
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
            network=Network(depth=depth, width=128),
            objective=Objective(gamma="optimal"),
            training=Training(steps=3_000, learning_rate=1e-3),
            seed=seed,
        )
        trained.append((run, train_in_memory(run, images)[0]))
    return trained


def trained_models(runs: str) -> list[tuple[Run, Autoencoder]]:
    """Return the finished dense VAEs under the directory `runs`, one for each depth, in ascending order of depth.

    VAEs with a warm-up, a constraint on the KL or several samples are left out, and so are those with layer
    normalisation, which `UnitHessian` refuses.

    Raises:
      ConfigError: there is no such VAE.
    """
    by_depth = {}
    for path in sorted(pathlib.Path(runs).glob("*/model.keras")):
        run = read_config(path.parent)
        objective, network = run.objective, run.network
        plain = objective.kind == "vae" and objective.warmup == "none" and objective.kl_constraint == "none"
        if plain and objective.importance_samples == 1 and network.architecture == "dense" and network.norm == "none":
            by_depth.setdefault(run.network.depth, (run, load_model(path)))
    if not by_depth:
        raise ConfigError(f"--runs '{runs}': expected run directories of finished dense VAEs, found none")
    return [by_depth[depth] for depth in sorted(by_depth)]


def _answers(rows: list[dict[str, Any]]) -> list[Check]:
    """Return the headline, over the units that training killed alone, and a line for each other group of units."""
    checks = _of_killed([row for row in rows if row["when"] == KILLED])
    for when in (START, USED):
        chosen = [row for row in rows if row["when"] == when]
        if chosen:
            summary = "; ".join(
                f"{row['depth']}: {row['kind']}, {row['lowest']:.3g} ({row['unseen']:.3g} +- {row['unseen_error']:.2g})"
                for row in chosen
            )
            claim = f"not killed: {when}, collapsed: lowest eigenvalue (along it, on unseen images), by depth"
            checks.append(measured(claim, _OPEN, summary, all(map(_decided, chosen))))
    return checks


def _of_killed(killed: list[dict[str, Any]]) -> list[Check]:
    name = "units that training killed which are saddles on unseen images, by depth (one direction per network)"
    if not killed:
        return [not_applicable(name, "units that training killed", "none in the trained networks at hand")]
    groups = {depth: [row for row in killed if row["depth"] == depth] for depth in _depths(killed)}
    decided = all(map(_decided, killed))

    def by_depth(of: Callable[[list[dict[str, Any]]], str]) -> str:
        return "; ".join(f"{depth}: {of(group)}" for depth, group in groups.items())

    of_each = {
        "on the training images that chose it, the one of least KL collapsed alone: lowest eigenvalue, by depth": (
            lambda group: f"{group[0]['lowest']:.3g}"
        ),
        "on unseen images, each collapsed alone: curvature along it over its standard error, by depth": (
            lambda group: f"{min(map(_score, group)):.2g} to {max(map(_score, group)):.2g}"
        ),
        "the gamma below which that is a way out, over the gamma in use: the smallest of these units, by depth": (
            lambda group: f"{min(map(_room, group)):.3g}"
        ),
    }
    return [
        measured(name, _OPEN, f"{_count(killed)} ({by_depth(_count)}); networks: {len(groups)}", decided),
        *(measured(claim, _OPEN, by_depth(of), decided) for claim, of in of_each.items()),
        true(
            "their decoder columns before they are set to zero, over the most active unit's: largest, by depth",
            "below 1",
            by_depth(lambda group: f"{max(row['column'] for row in group):.2g}"),
            max(row["column"] for row in killed) < 1,
        ),
        measured(
            "all of them collapsed at once: lowest eigenvalue, and the curvature along it on unseen images, by depth",
            _OPEN,
            by_depth(
                lambda group: "{together_lowest:.3g}, {together:.3g} +- {together_error:.2g}".format(**group[0]),
            ),
            all(_known(row["together_lowest"], row["together_lowest_error"]) for row in killed),
        ),
    ]


def _depths(rows: list[dict[str, Any]]) -> list[int]:
    return sorted({row["depth"] for row in rows})


def _score(row: dict[str, Any]) -> float:
    return row["unseen"] / row["unseen_error"]


def _room(row: dict[str, Any]) -> float:
    return row["critical_gamma"] / row["gamma"]


def _count(rows: list[dict[str, Any]]) -> str:
    """Return how many units are saddles, of how many, and how many are undecided."""
    kinds = collections.Counter(row["kind"] for row in rows)
    undecided = f", {kinds[UNDECIDED]} undecided" if kinds[UNDECIDED] else ""
    return f"{kinds[SADDLE]} of {len(rows)}{undecided}"


def _decided(row: dict[str, Any]) -> bool:
    return _known(row["lowest"], row["error"])


def _known(lowest: float, error: float) -> bool:
    """Return whether Lanczos' method has found the lowest eigenvalue to 10%, or none below 0."""
    return error < 0.1 * abs(lowest) or lowest >= 0
