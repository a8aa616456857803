"""Find out who is to blame for a collapse (section 5): train variants of a VAE, and compare them."""

from __future__ import annotations

import dataclasses
import math
import os
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np

from tfcollapse.config.declaration import Network, Objective, Run, Training
from tfcollapse.config.overrides import replace
from tfcollapse.data.dataset import load
from tfcollapse.diagnosis import blame_verdict
from tfcollapse.diagnosis.blame_verdict import (
    AE,
    LEARNED,
    SHALLOW_AE,
    SHALLOW_VAE,
    UNWEIGHTED,
    VAE,
    WARMUP,
    Arm,
    Finding,
)
from tfcollapse.diagnosis.diagnose import Diagnosis, diagnose
from tfcollapse.diagnosis.examples import read_examples
from tfcollapse.diagnosis.layer_gains import LayerGain, layer_gains
from tfcollapse.diagnosis.run_diagnosis import diagnose_run
from tfcollapse.diagnosis.user_model import Build, reconstruction_error, user_autoencoder, user_latent_dim
from tfcollapse.errors import ConfigError, RunError
from tfcollapse.metrics.spectrum import spectrum
from tfcollapse.models.build import build as build_model
from tfcollapse.training.in_memory import train_model
from tfcollapse.training.trainer import train

Say = Callable[[str], None]
Trained = tuple[Arm, Diagnosis | None]
"""An arm after its training, and its diagnosis where it is a VAE."""
_WARMUP_SHARE = 0.4
"""Of the steps: 100K of 250K, as in Appendix A."""
_SHALLOW = {SHALLOW_AE: AE, SHALLOW_VAE: VAE}
"""The arms of less depth, and those that they are compared with."""
_START_IMAGES = 256
"""Images on which the signal before training is measured."""


@dataclasses.dataclass(frozen=True)
class Blame:
    """The experiment's arms, and a finding for each suspect.

    Attributes:
      arms: one for each training.
      diagnoses: of the arms that are VAEs, by name.
      starts: signal and gradient at every layer before training, of the VAE and of the shallower one, by name.
      findings: of the autoencoder base, the KL weight, gamma, and the decoder.
    """

    arms: list[Arm]
    diagnoses: dict[str, Diagnosis]
    starts: dict[str, list[LayerGain]]
    findings: list[Finding]

    @property
    def responsible(self) -> list[str]:
        """The suspects that are responsible."""
        return [finding.suspect for finding in self.findings if finding.verdict == blame_verdict.RESPONSIBLE]

    @property
    def responsible_text(self) -> str:
        """Who is responsible, in words."""
        return " and ".join(self.responsible) or "none of the suspects"

    def as_json(self) -> dict[str, Any]:
        """Return plain numbers, lists and text."""
        return {
            "arms": [dataclasses.asdict(arm) for arm in self.arms],
            "findings": [dataclasses.asdict(finding) for finding in self.findings],
            "diagnoses": {name: diagnosis.as_json() for name, diagnosis in self.diagnoses.items()},
            "starts": {name: [gain._asdict() for gain in gains] for name, gains in self.starts.items()},
        }

    def lines(self) -> list[str]:
        """Write the findings, the arms and the starts as lines for a terminal."""
        text = [f"responsible: {self.responsible_text}", ""]
        for finding in self.findings:
            text += [f"{finding.suspect}: {finding.verdict}", f"  {finding.evidence}"]
        text += ["", "trained", *(f"  {arm.name:<20} {_arm_numbers(arm)}" for arm in self.arms)]
        text += ["", "signal at the output before training, over that of the first layer"]
        for name, gains in self.starts.items():
            text.append(f"  {name:<20} {gains[-1].signal / max(gains[0].signal, 1e-300):.3g}")
        return text

    def __str__(self) -> str:
        return "\n".join(self.lines())


def blame(
    run: Run,
    out: str | os.PathLike[str],
    *,
    data_dir: str | os.PathLike[str] | None = None,
    command: str = "",
    say: Say = lambda line: None,
) -> Blame:
    """Train a VAE of ours and variants of it with the same budget, and judge who is to blame for its collapse.

    Every training is called an arm: the VAE; its AE twin; the VAE with KL warm-up, with beta 1 where it was another,
    and with gamma learned where it was fixed; a shallower AE and VAE where the depth is more than 1. An arm is an
    ordinary run in `out`. It is resumed where it stopped, and not trained again where it has finished. The diagnosis of
    each VAE is left in its directory.

    Args:
      run: the VAE.
      out: directory of the arms' runs.
      data_dir: where TensorFlow Datasets keeps its data.
      command: the command line, for the provenance of the diagnoses.
      say: is called with lines about the progress.

    Raises:
      UserError: an AE, bad data, a directory that cannot be written, an arm that diverges.
    """
    runs = arms_of(run)
    images = load(run.data, data_dir=data_dir).train

    def train_arm(name: str) -> Trained:
        say(f"{'':4}{pathlib.Path(out) / runs[name].run_id}")
        return _train_run(name, runs[name], pathlib.Path(out), data_dir, command)

    def untrained_arm(name: str) -> tuple[keras.Model, keras.Model]:
        model = build_model(runs[name], images.shape[1:])
        return model.encoder, model.decoder

    return _experiment(runs, images, train_arm, untrained_arm, say)


def blame_build(
    build: Build,
    images: np.ndarray,
    *,
    objective: Objective | None = None,
    training: Training | None = None,
    shallower: Build | None = None,
    seed: int = 0,
    say: Say = lambda line: None,
) -> Blame:
    """Do the same as `blame` for an architecture of one's own, trained here by eq. (4) with the squared error.

    Args:
      build: seed to a fresh (encoder, decoder), Keras models; the encoder gives (mean, log_variance), a third output is
        ignored.
      images: [n, h, w, c], uint8 or in [0, 1].
      objective: of the VAE; by default gamma in closed form, eq. (10), on each batch.
      training: the budget of every arm; by default 5,000 steps.
      shallower: builds a shallower architecture, where there is one.
      seed: of the initial weights and of every draw.
      say: is called with lines about the progress.

    Raises:
      ConfigError: images or parts that do not fit; a decoder that reads the images, or has variances of its own.
    """
    images = read_examples(images).array
    if images.min() < 0 or (images.dtype != np.uint8 and images.max() > 1):
        raise ConfigError(f"data: expected uint8, or numbers in [0, 1], received {images.min():g} to {images.max():g}")
    if images.dtype != np.uint8:
        images = np.round(images * 255).astype(np.uint8)
    latent_dim = user_latent_dim(*build(seed), images)
    run = _user_run(latent_dim, objective or Objective(gamma="optimal"), training or Training(steps=5_000), seed)
    runs = {VAE: run} | _other_objectives(run)
    builds = dict.fromkeys(runs, build)
    if shallower is not None:
        runs |= {SHALLOW_AE: runs[AE], SHALLOW_VAE: run}
        builds |= {SHALLOW_AE: shallower, SHALLOW_VAE: shallower}

    def train_arm(name: str) -> Trained:
        return _train_in_memory(name, builds[name], runs[name], images)

    return _experiment(runs, images, train_arm, lambda name: builds[name](seed), say)


def arms_of(run: Run) -> dict[str, Run]:
    """List the trainings that the experiment needs for a VAE of ours, by the name of the arm.

    Raises:
      ConfigError: the run is an AE's.
    """
    if run.objective.kind != "vae":
        raise ConfigError("blame: expected a VAE, received an AE, which has no latent distribution to collapse")
    runs = {VAE: run} | _other_objectives(run)
    depth = min(2, run.network.depth - 1)
    if depth >= 1:
        runs |= {arm: replace(runs[deep], {"network.depth": depth}) for arm, deep in _SHALLOW.items()}
    return runs


def _other_objectives(run: Run) -> dict[str, Run]:
    """List the arms that have the VAE's network and another objective."""
    runs = {AE: dataclasses.replace(run, objective=Objective(kind="ae"))}
    if run.objective.warmup == "none":
        steps = max(1, math.ceil(_WARMUP_SHARE * run.training.steps))
        runs[WARMUP] = replace(run, {"objective.warmup": "kl", "objective.warmup_steps": steps})
    if run.objective.beta != 1:
        runs[UNWEIGHTED] = replace(run, {"objective.beta": 1.0})
    if run.objective.gamma == "fixed":
        runs[LEARNED] = dataclasses.replace(run, objective=Objective(gamma="optimal", beta=run.objective.beta))
    return runs


def _experiment(
    runs: Mapping[str, Run],
    images: np.ndarray,
    train_arm: Callable[[str], Trained],
    untrained_arm: Callable[[str], tuple[keras.Model, keras.Model]],
    say: Say,
) -> Blame:
    """Train every arm, measure the signal before training, and judge.

    Args:
      runs: by the name of the arm.
      images: that the arms are trained on.
      train_arm: trains the arm of a name, and diagnoses it where it is a VAE.
      untrained_arm: builds the encoder and the decoder of the arm of a name, before training.
      say: is called with lines about the progress.
    """
    arms: list[Arm] = []
    diagnoses: dict[str, Diagnosis] = {}
    for name, run in runs.items():
        say(f"{name}: {run.training.steps:,} steps")
        arm, diagnosis = train_arm(name)
        say(f"{'':4}{_arm_numbers(arm)}")
        arms.append(arm)
        if diagnosis is not None:
            diagnoses[name] = diagnosis
    starts = {
        name: layer_gains(*untrained_arm(name), images[:_START_IMAGES]) for name in (VAE, SHALLOW_VAE) if name in runs
    }
    latent_dim = runs[VAE].network.latent_dim
    data = spectrum(images, latent_dim, scale=255.0)
    pca_error = data.pca(min(latent_dim, data.dimensions))
    return Blame(arms, diagnoses, starts, blame_verdict.judge(arms, pca_error, data.mean_predictor))


def _train_run(name: str, run: Run, out: pathlib.Path, data_dir: Any, command: str) -> Trained:
    """Train an arm as a run of ours, and keep its diagnosis in its directory. Raises UserError."""
    result = train(run, out, data_dir=data_dir)
    if result["status"] != "finished":
        raise RunError(f"blame: the arm '{name}' did not finish: {result.get('reason')}")
    if run.objective.kind == "ae":
        return Arm(name, result["train"]["reconstruction_error"]), None
    return _diagnosed(name, diagnose_run(out / run.run_id, data_dir, command=command))


def _train_in_memory(name: str, build: Build, run: Run, images: np.ndarray) -> Trained:
    """Train an arm of a user's own architecture on images, uint8, and diagnose it."""
    model = user_autoencoder(build, run, images.shape[1:])
    gamma = train_model(model, run, images)[-1]["gamma"]
    if run.objective.kind == "ae":
        return Arm(name, reconstruction_error(model, images)), None
    beta = run.objective.beta
    return _diagnosed(name, diagnose(model.encoder, model.decoder, images, gamma, beta=beta, seed=run.seed))


def _diagnosed(name: str, diagnosis: Diagnosis) -> Trained:
    """Return the arm that a diagnosed VAE is, with the diagnosis."""
    measured, counts = diagnosis.measurements, diagnosis.verdict.counts
    return Arm(name, measured.error, measured.gamma, counts["active"], measured.kl, counts), diagnosis


def _user_run(latent_dim: int, objective: Objective, training: Training, seed: int) -> Run:
    """Declare the training of a user's own architecture. The run's network stands for its latents alone."""
    # The engine asks the architecture only whether XLA suits it. A user's may hold convolutions, which XLA slows down.
    jit = "off" if training.jit == "auto" else training.jit
    run = Run(network=Network(latent_dim=latent_dim), objective=objective, training=training)
    return replace(run, {"seed": seed, "training.jit": jit})


def _arm_numbers(arm: Arm) -> str:
    """Write an arm's numbers on one line."""
    if arm.active_units is None:
        return f"error {arm.error:.4g}"
    return (
        f"error {arm.error:.4g}, gamma {arm.gamma:.4g}, KL {arm.kl:.4g} nats, active units {arm.active_units}, dead "
        f"units (category) {arm.dead or 'none'}"
    )
