"""`tfcollapse blame`: the experiment that tells who is to blame for a collapse (section 5)."""

from __future__ import annotations

import dataclasses
import math
import os
import pathlib
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from tfcollapse.config.declaration import Network, Objective, Run, Training
from tfcollapse.config.overrides import replace
from tfcollapse.data.dataset import load
from tfcollapse.data.memory_mapped import blocks
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
from tfcollapse.diagnosis.layer_gains import LayerGain, layer_gains
from tfcollapse.diagnosis.model_adapter import ModelAdapter, as_float, check_images
from tfcollapse.diagnosis.run_diagnosis import diagnose_run
from tfcollapse.errors import ConfigError, RunError
from tfcollapse.metrics.spectrum import spectrum
from tfcollapse.models.autoencoder import Autoencoder
from tfcollapse.models.build import build as untrained
from tfcollapse.theory.affine import Spectrum
from tfcollapse.training.in_memory import train_model
from tfcollapse.training.trainer import train

Say = Callable[[str], None]
_WARMUP_SHARE = 0.4
"""100K of 250K steps, as Appendix A has it."""
_PROBE = 256
Build = Callable[[int], tuple[keras.Model, keras.Model]]


@dataclasses.dataclass(frozen=True)
class Blame:
    """The experiment's arms, and a finding for each suspect.

    Attributes:
      arms: one training each.
      diagnoses: of the arms that are VAEs, by name.
      starts: signal and gradient at every layer before training, of the VAE and of the shallower one.
      findings: of the autoencoder base, the KL weight, gamma, and the decoder.
    """

    arms: list[Arm]
    diagnoses: dict[str, Diagnosis]
    starts: dict[str, list[LayerGain]]
    findings: list[Finding]

    @property
    def responsible(self) -> list[str]:
        """The suspects that are."""
        return [each.suspect for each in self.findings if each.verdict == blame_verdict.RESPONSIBLE]

    def as_json(self) -> dict[str, Any]:
        """Plain numbers, lists and text."""
        plain = {name: [dataclasses.asdict(each) for each in getattr(self, name)] for name in ("arms", "findings")}
        starts = {name: [each._asdict() for each in gains] for name, gains in self.starts.items()}
        return plain | {"diagnoses": {name: each.as_json() for name, each in self.diagnoses.items()}, "starts": starts}


def arms_of(run: Run) -> dict[str, Run]:
    """The trainings that settle the matter for a VAE of ours.

    Raises:
      ConfigError: the run is an AE's.
    """
    if run.objective.kind != "vae":
        raise ConfigError("blame: expected a VAE, received an AE, which has no latent distribution to collapse")
    found = {VAE: run} | _objectives(run)
    shallow = min(2, run.network.depth - 1)
    if shallow >= 1:
        for name, deep in ((SHALLOW_AE, found[AE]), (SHALLOW_VAE, run)):
            found[name] = replace(deep, {"network.depth": shallow})
    return found


def blame(
    run: Run,
    out: str | os.PathLike[str],
    *,
    data_dir: str | os.PathLike[str] | None = None,
    command: str = "",
    say: Say = lambda line: None,
) -> Blame:
    """Train the arms that a VAE of ours needs, all with its budget, and judge.

    The AE twin; the VAE; with KL warm-up; with beta 1 where it was another; with gamma learned where it was fixed; and
    a shallower AE and VAE where depth is more than 1. Every arm is an ordinary run in `out`: it resumes, and is not
    trained again. The VAEs' diagnoses are left there too.

    Raises:
      UserError: an AE, bad data, a directory that cannot be written, an arm that diverges.
    """
    arms: list[Arm] = []
    diagnoses: dict[str, Diagnosis] = {}
    found = arms_of(run)
    images = load(run.data, data_dir=data_dir).train
    for name, each in found.items():
        say(f"{name}: {each.run_id}, {each.training.steps:,} steps")
        result = train(each, out, data_dir=data_dir)
        if result["status"] != "finished":
            raise RunError(f"blame: the arm '{name}' did not finish: {result.get('reason')}")
        if each.objective.kind == "ae":
            arms.append(Arm(name, result["train"]["reconstruction_error"]))
        else:
            diagnoses[name] = diagnose_run(pathlib.Path(out) / each.run_id, data_dir, command=command)
            arms.append(_arm(name, diagnoses[name]))
        say(f"{'':4}error {arms[-1].error:.4g}, active units {arms[-1].active_units}, {arms[-1].counts}")
    starts = {}
    for name in (VAE, SHALLOW_VAE):
        if name in found:
            fresh = untrained(found[name], images.shape[1:])
            starts[name] = layer_gains(fresh.encoder, fresh.decoder, images[:_PROBE])
    return _judged(arms, diagnoses, starts, spectrum(images, run.network.latent_dim), run.network.latent_dim)


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
    """The same for an architecture of one's own, trained here by eq. (4) with the squared error.

    Args:
      build: seed to a fresh (encoder, decoder), Keras models; the encoder gives (mean, log_variance), a third output
        is left alone.
      images: [n, h, w, c], uint8 or in [0, 1].
      objective: of the VAE; by default gamma in closed form, eq. (10), on each batch.
      training: the budget of every arm; by default 5,000 steps.
      shallower: builds a shallower architecture, where there is one.

    Raises:
      ConfigError: images or parts that do not fit; a decoder that reads the images, or has variances of its own.
    """
    objective, training = objective or Objective(gamma="optimal"), training or Training(steps=5_000)
    images = check_images(images)
    if images.dtype != np.uint8:
        images = np.round(images * 255).astype(np.uint8)
    # The engine asks the architecture only whether XLA suits it; a stranger's may hold convolutions, which it does not.
    base = Run(network=Network(latent_dim=_latent_dim(build(seed), images)), objective=objective, training=training)
    base = replace(base, {"seed": seed, "training.jit": "off" if training.jit == "auto" else training.jit})
    wanted = _own_arms(build, shallower, base)
    arms: list[Arm] = []
    diagnoses: dict[str, Diagnosis] = {}
    for name, (make, each) in wanted.items():
        say(f"{name}: {each.training.steps:,} steps")
        arm, found = _trained(name, _own(make, each, images.shape[1:]), each, images)
        arms.append(arm)
        diagnoses |= {} if found is None else {name: found}
    starts = {
        name: layer_gains(*wanted[name][0](seed), images[:_PROBE]) for name in (VAE, SHALLOW_VAE) if name in wanted
    }
    return _judged(arms, diagnoses, starts, spectrum(images, base.network.latent_dim), base.network.latent_dim)


def _own_arms(build: Build, shallower: Build | None, base: Run) -> dict[str, tuple[Build, Run]]:
    found = {name: (build, each) for name, each in ({VAE: base} | _objectives(base)).items()}
    if shallower is not None:
        found |= {SHALLOW_AE: (shallower, found[AE][1]), SHALLOW_VAE: (shallower, base)}
    return found


def _trained(name: str, model: Autoencoder, run: Run, images: np.ndarray) -> tuple[Arm, Diagnosis | None]:
    gamma = train_model(model, run, images)[-1]["gamma"]
    if run.objective.kind == "ae":
        return Arm(name, _error(model, images)), None
    found = diagnose(model.encoder, model.decoder, images, gamma, beta=run.objective.beta, seed=run.seed)
    return _arm(name, found), found


def _objectives(run: Run) -> dict[str, Run]:
    found = {AE: dataclasses.replace(run, objective=Objective(kind="ae"))}
    if run.objective.warmup == "none":
        steps = max(1, math.ceil(_WARMUP_SHARE * run.training.steps))
        found[WARMUP] = replace(run, {"objective.warmup": "kl", "objective.warmup_steps": steps})
    if run.objective.beta != 1:
        found[UNWEIGHTED] = replace(run, {"objective.beta": 1.0})
    if run.objective.gamma == "fixed":
        found[LEARNED] = dataclasses.replace(run, objective=Objective(gamma="optimal", beta=run.objective.beta))
    return found


def _arm(name: str, found: Diagnosis) -> Arm:
    m, counts = found.measurements, found.verdict.counts
    return Arm(name, m.error, m.gamma, counts["active"], m.kl, counts)


def _error(model: Autoencoder, images: np.ndarray) -> float:
    total = 0.0
    for block in blocks(images, 256):
        batch = as_float(block)
        total += float(np.square(batch - np.asarray(model.reconstruct(batch)), dtype=np.float64).sum())
    return total / images.size


def _judged(
    arms: list[Arm],
    diagnoses: dict[str, Diagnosis],
    starts: dict[str, list[LayerGain]],
    known: Spectrum,
    latent_dim: int,
) -> Blame:
    floor = known.pca(min(latent_dim, known.dimensions))
    return Blame(arms, diagnoses, starts, blame_verdict.judge(arms, floor, known.mean_predictor))


class _Parts(keras.Model):
    """A stranger's encoder with the outputs that `Autoencoder` takes: the mean alone for an AE."""

    def __init__(self, encoder: keras.Model, variational: bool):
        super().__init__(name="moments")
        self.encoder, self.variational = encoder, variational

    def call(self, images: Any) -> Any:
        mean, log_variance = self.encoder(images)[:2]
        # An AE has no use for the log variance; times 0, its weights have the gradient that an optimiser expects.
        return (mean, log_variance) if self.variational else mean + 0.0 * log_variance


def _own(make: Build, run: Run, shape: tuple[int, ...]) -> Autoencoder:
    encoder, decoder = make(run.seed)
    parts = _Parts(encoder, run.objective.kind == "vae")
    return Autoencoder(
        parts, decoder, run.objective, image_shape=shape, latent_dim=run.network.latent_dim, seed=run.seed
    )


def _latent_dim(parts: tuple[keras.Model, keras.Model], images: np.ndarray) -> int:
    adapter = ModelAdapter(*parts, as_float(images[:2]))
    if adapter.autoregressive or adapter.own_variance:
        what = "reads the images too" if adapter.autoregressive else "has variances of its own"
        raise ConfigError(
            f"build: expected a decoder from z to images, received one that {what}, which eq. (4) does not train: "
            "judge the model as you train it with 'tfcollapse diagnose'"
        )
    return adapter.latent_dim
