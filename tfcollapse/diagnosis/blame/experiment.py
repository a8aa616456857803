"""Find out who is to blame for a collapse (section 5): train variants of a VAE, and compare them."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from tfcollapse.config.annotations import arguments_checked
from tfcollapse.config.declaration import Network, Run, Training
from tfcollapse.config.objective import Objective
from tfcollapse.config.overrides import replace
from tfcollapse.diagnosis.blame import advice as blame_advice
from tfcollapse.diagnosis.blame import arms as blame_arms
from tfcollapse.diagnosis.blame import verdict as blame_verdict
from tfcollapse.diagnosis.blame.arms import SHALLOW_AE, SHALLOW_VAE, VAE, Arm
from tfcollapse.diagnosis.blame.layer_gains import LayerGain, layer_gains
from tfcollapse.diagnosis.blame.progress_lines import ProgressLines, Say
from tfcollapse.diagnosis.blame.training import ArmTrainer, BuildArms, RunArms
from tfcollapse.diagnosis.blame.user_model import Build, draw_he_start, user_latent_dim
from tfcollapse.diagnosis.blame.verdict import Finding
from tfcollapse.diagnosis.diagnose import Diagnosis
from tfcollapse.diagnosis.examples import read_examples
from tfcollapse.metrics.spectrum import spectrum
from tfcollapse.records.files import replacing
from tfcollapse.records.provenance import environment

BLAME = "blame.json"
"""The file that `blame` leaves in the VAE's directory, and the pages of reports and diagnoses read."""
_START_IMAGES = 256
"""Images on which the signal before training is measured."""


@dataclasses.dataclass(frozen=True)
class Blame:
    """The experiment's arms, and a finding for each suspect.

    Attributes:
      arms: one for each training.
      diagnoses: of the arms that are VAEs, by name.
      starts: signal and gradient at every layer before training, of the VAE, the shallower one and the one of a He
        start, by name.
      findings: of each suspect, in this order: "autoencoder base", "KL weight", "gamma", "decoder", "start", "budget",
        "Adam's epsilon".
      pca_error: squared error per pixel of PCA with as many components as latents.
      mean_predictor_error: of a decoder that ignores z.
      next_step: what to do next, with the command or the change in the code.

    Example:
      >>> arms = [tc.Arm("VAE", error=0.02, counts={"active": 2}), tc.Arm("AE twin", error=0.019)]
      >>> findings = [tc.Finding("gamma", "cleared", "gamma in closed form leaves as many dead units")]
      >>> found = tc.Blame(arms, {}, {}, findings, pca_error=0.021, mean_predictor_error=0.085, next_step="nothing")
      >>> found.responsible, found.trained(arms[0])
      ([], True)
    """

    arms: list[Arm]
    diagnoses: dict[str, Diagnosis]
    starts: dict[str, list[LayerGain]]
    findings: list[Finding]
    pca_error: float
    mean_predictor_error: float
    next_step: str

    @property
    def responsible(self) -> list[str]:
        """Return the suspects that are responsible."""
        return [finding.suspect for finding in self.findings if finding.verdict == blame_verdict.RESPONSIBLE]

    @property
    def headline(self) -> str:
        """Say who is responsible, in one plain sentence."""
        return blame_advice.headline(self.findings, self._compared)

    def trained(self, arm: Arm) -> bool:
        """Return whether the network of an arm was trained, so that the arm counts."""
        return self._compared.shows_training(arm)

    @property
    def _compared(self) -> blame_verdict.Arms:
        return blame_verdict.Arms(self.arms, self.pca_error, self.mean_predictor_error)

    def as_json(self) -> dict[str, Any]:
        """Return plain numbers, lists and text, for JSON. The error of an arm that diverged is None."""
        arms = [dataclasses.asdict(arm) | {"trained": self.trained(arm)} for arm in self.arms]
        return {
            "headline": self.headline,
            "next_step": self.next_step,
            "responsible": self.responsible,
            "arms": [arm | {"error": arm["error"] if np.isfinite(arm["error"]) else None} for arm in arms],
            "pca_error": self.pca_error,
            "mean_predictor_error": self.mean_predictor_error,
            "findings": [dataclasses.asdict(finding) for finding in self.findings],
            "diagnoses": {name: diagnosis.as_json() for name, diagnosis in self.diagnoses.items()},
            "starts": {name: [gain._asdict() for gain in gains] for name, gains in self.starts.items()},
        }

    def lines(self) -> list[str]:
        """Write who is responsible, what to do next, and then the findings and the arms within 100 columns."""
        text = [self.headline, f"Next: {self.next_step}."]
        text += ["", *blame_advice.finding_lines(self.findings)]
        text += ["", *blame_advice.arm_lines(self._compared)]
        if self.starts:
            text += ["", "signal at the output before training, over that of the first layer"]
        for name, gains in self.starts.items():
            text.append(f"  {name:<24} {gains[-1].signal / max(gains[0].signal, 1e-300):.3g}")
        return text

    def __str__(self) -> str:
        return "\n".join(self.lines())


@arguments_checked
def blame(
    run: Run,
    out: str | os.PathLike[str],
    *,
    shallower: int | None = None,
    data_dir: str | os.PathLike[str] | None = None,
    command: str = "",
    say: Say = lambda line: None,
) -> Blame:
    """Train a VAE of ours and variants of it, and judge who is to blame for its collapse.

    Every training is called an arm: the VAE; its AE twin; a shallower AE and VAE; the VAE with KL warm-up, with beta 1
    where it was another, and with gamma in closed form where it was not; VAE and AE with He's initial weights, and with
    twice the steps; the AE with a smaller epsilon of Adam. Where no unit of the VAE is wrongly idle there is nothing to
    explain, and it stays the only arm. An arm is an ordinary run in `out`. It is resumed where it stopped, and not
    trained again where it has finished. The diagnosis of each VAE is left in its directory, and who is to blame in
    blame.json in the directory of the first.

    Args:
      run: the VAE. `Objective(gamma="optimal")` is the best choice for short trainings: a learned gamma moves slowly.
      out: directory of the arms' runs.
      shallower: depth of the shallower networks; by default 2, or one layer less.
      data_dir: where TensorFlow Datasets keeps its data.
      command: the command line, for the provenance of the diagnoses.
      say: is called with lines about the time that is left and the progress.

    Raises:
      UserError: an AE, bad data, a directory that cannot be written, a VAE that diverges.

    Example:
      >>> run = tc.Run(
      ...     data=tc.Data(name="fashion_mnist_mini", train=256, test=64, resize=(7, 7)),
      ...     network=tc.Network(depth=0, latent_dim=2),
      ...     objective=tc.Objective(gamma="optimal"),
      ...     training=tc.Training(steps=100, learning_rate=5e-3, log_every=50, evaluate_every=100, jit="off"),
      ... )
      >>> found = tc.blame(run, "out/blame")  # this VAE has no idle unit, so that no other arm is trained
      >>> print(found.headline)
      Nobody is to blame: 2 units are in use, and no idle one is missed.
      >>> [arm.name for arm in found.arms]
      ['VAE']
    """
    runs = blame_arms.arms_of(run, shallower)
    trainer = RunArms(runs, pathlib.Path(out), data_dir, command)
    remedies = {name: f"`{blame_arms.command(arm)}`" for name, arm in runs.items()}
    found = _experiment(trainer, blame_arms.untested(run), remedies, say)
    keep(found, pathlib.Path(trainer.where(VAE)) / BLAME, command)
    return found


@arguments_checked
def blame_build(
    build: Build,
    data: Any,
    *,
    objective: Objective | None = None,
    training: Training | None = None,
    shallower: Build | None = None,
    seed: int = 0,
    out: str | os.PathLike[str] | None = None,
    say: Say = lambda line: None,
) -> Blame:
    """Do the same as `blame` for an architecture of one's own, trained here by eq. (4) with the squared error.

    Args:
      build: seed to a fresh (encoder, decoder), Keras models; the encoder gives (mean, log_variance), a third output is
        ignored.
      data: what it is trained on, [n, ...], in any units, or anything that `tfcollapse.diagnose` takes.
      objective: of the VAE; by default gamma in closed form, eq. (10), on each batch.
      training: the budget of every arm; by default 5,000 steps.
      shallower: builds a shallower architecture, where there is one.
      seed: of the initial weights and of every draw.
      out: a directory that keeps every arm that was trained, so that a second call goes on with the next one.
      say: is called with lines about the time that is left and the progress.

    Raises:
      ConfigError: a function that does not build two Keras models; data or parts that do not fit; a decoder that reads
        the data, or has variances of its own.

    Example:
      >>> import keras
      >>> def build(seed):  # fresh models at every call
      ...     keras.utils.set_random_seed(seed)
      ...     x, z = keras.Input((25,)), keras.Input((2,))
      ...     encoder = keras.Model(x, [keras.layers.Dense(2)(x), keras.layers.Dense(2)(x)])  # mean, log variance
      ...     return encoder, keras.Model(z, keras.layers.Dense(25)(z))
      >>> images = tc.load(tc.Data(name="fashion_mnist_mini", train=500)).train
      >>> x = images[:, 4:24:4, 4:24:4].reshape(-1, 25) / 255
      >>> training = tc.Training(steps=300, learning_rate=1e-2, log_every=100)
      >>> print(tc.blame_build(build, x, training=training).headline)
      Nobody is to blame: 2 units are in use, and no idle one is missed.
    """
    images = _as_trained(data)
    latent_dim = user_latent_dim(build, images, seed)
    run = _user_run(latent_dim, objective or Objective(gamma="optimal"), training or Training(steps=5_000), seed)
    starts = blame_arms.other_starts(run) if draw_he_start(*build(seed), seed) else {}
    runs = {VAE: run, blame_arms.AE: blame_arms.twin_of(run)}
    if shallower is not None:
        user_latent_dim(shallower, images, seed, "shallower")
        runs |= {SHALLOW_AE: runs[blame_arms.AE], SHALLOW_VAE: run}
    runs |= blame_arms.other_objectives(run) | starts | blame_arms.other_lengths(run)
    builds = {name: shallower if shallower and name in (SHALLOW_AE, SHALLOW_VAE) else build for name in runs}
    untested = blame_arms.untested(run)
    untested[blame_arms.START] = "no dense or convolutional layer whose initial weights could be drawn anew"
    trainer = BuildArms(runs, builds, images, None if out is None else pathlib.Path(out))
    return _experiment(trainer, untested, blame_advice.BUILD_REMEDIES, say)


def _experiment(trainer: ArmTrainer, untested: Mapping[str, str], remedies: Mapping[str, str], say: Say) -> Blame:
    """Train the VAE, and every other arm where one of its units is wrongly idle; measure the starts, and judge.

    Args:
      trainer: trains the arms.
      untested: why no arm tries a suspect, by the suspect.
      remedies: how a user obtains what an arm has, by the name of the arm.
      say: is called with lines about the progress.
    """
    runs, images, vae = trainer.runs, trainer.images, trainer.runs[VAE]
    progress = ProgressLines(trainer, say)
    progress.announce()
    data = spectrum(images, vae.network.latent_dim, scale=255.0 if images.dtype == np.uint8 else 1.0)
    pca_error = data.pca(min(vae.network.latent_dim, data.dimensions))
    arms: list[Arm] = []
    diagnoses: dict[str, Diagnosis] = {}
    for name in runs:
        progress.begin(name)
        arm, diagnosis = trainer.train(name, progress.update)
        progress.end(arm)
        arms.append(arm)
        if diagnosis is not None:
            diagnoses[name] = diagnosis
        if name == VAE and not (arm.wrongly_idle or blame_verdict.late_gamma(arm, vae.objective)):
            say(
                "no unit that should be in use is dead or weak: no collapse is to be explained, nothing else is trained"
            )
            break
    starts = {
        name: layer_gains(*trainer.untrained(name), images[:_START_IMAGES])
        for name in (VAE, SHALLOW_VAE, blame_arms.HE_VAE)
        if name in diagnoses
    }
    findings = blame_verdict.judge(arms, pca_error, data.mean_predictor, objective=vae.objective, untested=untested)
    compared = blame_verdict.Arms(arms, pca_error, data.mean_predictor)
    verdicts = {name: diagnosis.verdict for name, diagnosis in diagnoses.items()}
    next_step = blame_advice.next_step(findings, compared, vae, remedies, verdicts)
    return Blame(arms, diagnoses, starts, findings, pca_error, data.mean_predictor, next_step)


def keep(found: Blame, path: pathlib.Path, command: str) -> None:
    """Write who is to blame beside the diagnosis of the VAE that it is about. Raises RunError."""
    kept = {name: value for name, value in found.as_json().items() if name != "diagnoses"}
    with replacing(path) as partial:
        partial.write_text(json.dumps(kept | {"made": environment(command=command)}, indent=1) + "\n")


def _as_trained(data: Any) -> np.ndarray:
    """Return data as the training takes them: uint8, which stands for [0, 1], or float32 as they are."""
    examples = read_examples(data)
    return examples.array if examples.scale == 255 else examples.as_float(examples.array)


def _user_run(latent_dim: int, objective: Objective, training: Training, seed: int) -> Run:
    """Declare the training of a user's own architecture. The run's network stands for its latents alone."""
    # The engine asks the architecture only whether XLA suits it. A user's may hold convolutions, which XLA slows down.
    jit = "off" if training.jit == "auto" else training.jit
    run = Run(network=Network(latent_dim=latent_dim), objective=objective, training=training)
    return replace(run, {"seed": seed, "training.jit": jit})
