"""Judge each suspect of a collapse by the trainings ("arms") of `tfcollapse blame`."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from tfcollapse.diagnosis.categories import CATEGORIES

RESPONSIBLE, CLEARED, UNTESTED = "responsible", "cleared", "not tested"
SUSPECTS = BASE, KL_WEIGHT, GAMMA, DECODER = "autoencoder base", "KL weight", "gamma", "decoder"

WORSE = 1.1
"""An error is worse than another where it is more than 10% larger."""
SHARE = 0.5
"""An arm relieves a collapse where it leaves at most half of the wrongly dead units. The AE's error explains the VAE's
where it is more than half of it."""

VAE, AE, WARMUP, UNWEIGHTED, LEARNED, SHALLOW_AE, SHALLOW_VAE = ARMS = (
    "VAE",
    "AE twin",
    "VAE + KL warm-up",
    "VAE, beta 1",
    "VAE, gamma learned",
    "shallower AE twin",
    "shallower VAE",
)


@dataclasses.dataclass(frozen=True)
class Arm:
    """One training of the experiment.

    Attributes:
      name: one of `ARMS`.
      error: squared error per pixel over the training images, at a sample of z for a VAE.
      gamma: the decoder variance at the end, times beta; None for an AE.
      active_units, kl: of a VAE, the KL in nats; None for an AE.
      counts: units of each category, and the active ones; empty for an AE.
    """

    name: str
    error: float
    gamma: float | None = None
    active_units: int | None = None
    kl: float | None = None
    counts: dict[str, int] = dataclasses.field(default_factory=dict)

    @property
    def dead(self) -> str:
        """The dead units of each category, in words: "6 (v), 1 (i)"; empty where there are none."""
        return ", ".join(f"{count} ({name})" for name, count in self.counts.items() if name != "active")

    @property
    def wrongly_dead(self) -> int:
        """Units that are dead and should not be."""
        return sum(self.counts.get(name, 0) for name, category in CATEGORIES.items() if category.harmful)

    @property
    def dead_by_decoder(self) -> int:
        """Units that are dead because of the kind of decoder."""
        return sum(self.counts.get(name, 0) for name, category in CATEGORIES.items() if category.by_decoder)


@dataclasses.dataclass(frozen=True)
class Finding:
    """What the arms say of one suspect.

    Attributes:
      suspect: one of `SUSPECTS`.
      verdict: RESPONSIBLE, CLEARED or UNTESTED.
      evidence: the numbers that say so, in words.
    """

    suspect: str
    verdict: str
    evidence: str


def judge(arms: Sequence[Arm], pca_error: float, mean_predictor_error: float) -> list[Finding]:
    """Judge every suspect by the arms that were trained.

    Args:
      arms: among them the VAE and its AE twin.
      pca_error: of PCA with as many components as latents, the least error of a linear decoder.
      mean_predictor_error: of a decoder that ignores z.

    Returns:
      One finding for each of `SUSPECTS`.
    """
    by_name = {arm.name: arm for arm in arms}
    vae = by_name[VAE]
    if not vae.wrongly_dead:
        nothing = f"{vae.active_units} units are active, and no dead one is missed"
        return [Finding(suspect, CLEARED, nothing) for suspect in SUSPECTS]
    weights = {"warmed up": by_name.get(WARMUP), "at 1": by_name.get(UNWEIGHTED)}
    return [
        _judge_base(by_name, pca_error, mean_predictor_error),
        _judge_by_relief(KL_WEIGHT, vae, weights, "it was warmed up"),
        _judge_by_relief(GAMMA, vae, {"learned": by_name.get(LEARNED)}, "it was not fixed: it follows the error"),
        _judge_decoder(vae),
    ]


def _judge_base(by_name: dict[str, Arm], pca_error: float, mean_predictor_error: float) -> Finding:
    """Hold the base responsible where the AE alone is nearly as bad as the VAE, and worse than it need be.

    Worse than it need be: than a shallower AE whose VAE collapses at most half as much, or than PCA where no shallower
    one was trained.
    """
    vae, twin, shallow = by_name[VAE], by_name[AE], by_name.get(SHALLOW_AE)
    texts = [
        f"AE error {twin.error:.4g} without any KL term, VAE {vae.error:.4g}",
        f"PCA {pca_error:.4g}, mean predictor {mean_predictor_error:.4g}",
    ]
    worse = twin.error > WORSE * pca_error
    if shallow is not None:
        shallow_vae = by_name[SHALLOW_VAE]
        texts.append(f"a shallower AE {shallow.error:.4g}")
        texts.append(f"wrongly dead units {vae.wrongly_dead}, in the shallower VAE {shallow_vae.wrongly_dead}")
        worse = twin.error > WORSE * shallow.error and shallow_vae.wrongly_dead <= SHARE * vae.wrongly_dead
    explains = twin.error > SHARE * vae.error
    return Finding(BASE, RESPONSIBLE if worse and explains else CLEARED, "; ".join(texts))


def _judge_by_relief(suspect: str, vae: Arm, arms: dict[str, Arm | None], untested: str) -> Finding:
    """Hold a suspect responsible where an arm that changes it relieves the collapse.

    Args:
      arms: by what was done to the suspect; None where that was not trained.
      untested: why no arm was trained.
    """
    trained = {what: arm for what, arm in arms.items() if arm is not None}
    if not trained:
        return Finding(suspect, UNTESTED, untested)
    relieved = any(arm.wrongly_dead <= SHARE * vae.wrongly_dead for arm in trained.values())
    dead = [f"with it {what} {arm.wrongly_dead}" for what, arm in trained.items()]
    active = [str(arm.active_units) for arm in (vae, *trained.values())]
    text = f"wrongly dead units {vae.wrongly_dead}, {', '.join(dead)}; active {', '.join(active)}"
    return Finding(suspect, RESPONSIBLE if relieved else CLEARED, text)


def _judge_decoder(vae: Arm) -> Finding:
    """Hold the decoder responsible where any unit is dead because of its kind."""
    if vae.dead_by_decoder:
        text = "units are dead as the decoder models the images without them, or its covariance degenerated"
        return Finding(DECODER, RESPONSIBLE, f"{vae.dead_by_decoder} {text}")
    return Finding(DECODER, CLEARED, "it neither models the images without z nor has a covariance of its own")
