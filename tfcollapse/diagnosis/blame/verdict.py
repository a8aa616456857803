"""Judge each suspect of a collapse by the trainings ("arms") of `tfcollapse blame`.

A suspect is responsible where an arm that changes it alone relieves the collapse, and cleared where such an arm does
not. It is not tested where there is no such arm, or where the arm's network was not trained: an untrained network has
no active unit either, and says nothing. The decoder needs no arm: what it takes and returns is known.
"""

from __future__ import annotations

import dataclasses
import math
import operator
from collections.abc import Mapping, Sequence

from tfcollapse.config.objective import Objective
from tfcollapse.diagnosis.blame.arms import (
    AE,
    BASE,
    BUDGET,
    CLOSED_GAMMA,
    DECODER,
    EPSILON,
    EPSILON_AE,
    GAMMA,
    HE_AE,
    HE_VAE,
    KL_WEIGHT,
    LONG_AE,
    LONG_VAE,
    SHALLOW_AE,
    SHALLOW_VAE,
    START,
    SUSPECTS,
    TWINS,
    UNWEIGHTED,
    VAE,
    WARMUP,
    Arm,
    nothing_missed,
)
from tfcollapse.records.trained import TRAINED

RESPONSIBLE, CLEARED, UNTESTED, UNTRAINED = "responsible", "cleared", "not tested", "not tested (not trained)"

WORSE = 1.1
"""An error is worse than another where it is more than 10% larger.

Two seeds of an AE of depth 10 differ by that much in 5% of cases, and shallower ones by less (`records.seed_noise`).
"""
SHARE = 0.5
"""An arm relieves a collapse where it leaves at most half of the wrongly idle units; or, with more units in use, at
most half of the error above PCA's. The AE's error explains the VAE's where it is more than half of it."""
LATE = "the learned gamma has not arrived"
ARRIVED = 2.0
"""A learned gamma has not arrived where it is more than twice the error, to which eq. (10) sets it."""


@dataclasses.dataclass(frozen=True)
class Finding:
    """What the arms say of one suspect.

    Attributes:
      suspect: who is judged, such as "KL weight"; see `Blame.findings`.
      verdict: "responsible", "cleared", "not tested" or "not tested (not trained)".
      evidence: the numbers that say so, in words.
      remedy: the arm that relieved the collapse, where the suspect is responsible and an arm did.

    Example:
      >>> tc.Finding("start", "responsible", "6 dead units, 1 from He's start", "VAE, He start").remedy
      'VAE, He start'
    """

    suspect: str
    verdict: str
    evidence: str
    remedy: str | None = None


@dataclasses.dataclass(frozen=True)
class Arms:
    """The arms after their training, and the errors that they are held against.

    Attributes:
      trainings: among them the VAE.
      pca_error: of PCA with as many components as latents, the least error of a linear decoder.
      mean_predictor_error: of a decoder that ignores z.
    """

    trainings: Sequence[Arm]
    pca_error: float
    mean_predictor_error: float

    def get(self, name: str) -> Arm | None:
        """Return the arm of a name, or None where it was not trained."""
        return next((arm for arm in self.trainings if arm.name == name), None)

    def __getitem__(self, name: str) -> Arm:
        arm = self.get(name)
        if arm is None:
            raise KeyError(name)
        return arm

    def shows_training(self, arm: Arm) -> bool:
        """Return whether the network of an arm was trained, so that the arm counts.

        It was where its error is below 0.95 of the mean predictor's. A VAE all of whose units are dead stands at the
        mean predictor's error. It counts where an AE of the same network, start and number of steps was trained.
        """
        if arm.error < TRAINED * self.mean_predictor_error:
            return True
        twin = self.get(TWINS.get(arm.name, ""))
        found_the_mean = arm.error <= (2 - TRAINED) * self.mean_predictor_error
        return twin is not None and found_the_mean and self.shows_training(twin)

    def relieves(self, arm: Arm) -> bool:
        """Return whether an arm relieves the collapse of the VAE, as `SHARE` says."""
        vae = self[VAE]
        if not vae.wrongly_idle:
            return False
        above_pca = vae.error - self.pca_error
        better = above_pca > 0 and arm.error - self.pca_error <= SHARE * above_pca
        return arm.wrongly_idle <= SHARE * vae.wrongly_idle or (better and _in_use(arm) > _in_use(vae))


def _in_use(arm: Arm) -> int:
    return arm.active_units or 0


def judge(
    arms: Sequence[Arm],
    pca_error: float,
    mean_predictor_error: float,
    *,
    objective: Objective | None = None,
    untested: Mapping[str, str] | None = None,
) -> list[Finding]:
    """Judge every suspect by the arms that were trained.

    Args:
      arms: among them the VAE and, where a unit of it is wrongly idle, its AE twin.
      pca_error: of PCA with as many components as latents, the least error of a linear decoder.
      mean_predictor_error: of a decoder that ignores z.
      objective: of the VAE; by default gamma in closed form.
      untested: why no arm tries a suspect, by the suspect.

    Returns:
      One finding for each of `SUSPECTS`.
    """
    compared = Arms(arms, pca_error, mean_predictor_error)
    reasons = dict.fromkeys(SUSPECTS, "no arm was trained that changes it") | dict(untested or {})
    late = late_gamma(compared[VAE], objective or Objective(gamma="optimal"))
    if not compared[VAE].wrongly_idle and not late:
        reason = f"there is no collapse to explain: {nothing_missed(compared[VAE])}"
        return [Finding(suspect, UNTESTED, reason) for suspect in SUSPECTS]
    return [
        _judge_base(compared, reasons[BASE]),
        _judge_by_relief(KL_WEIGHT, compared, {WARMUP: "warmed up", UNWEIGHTED: "at 1"}, reasons[KL_WEIGHT]),
        _judge_by_relief(GAMMA, compared, {CLOSED_GAMMA: "in closed form"}, reasons[GAMMA]),
        _judge_decoder(compared[VAE]),
        _judge_by_relief(START, compared, {HE_VAE: "He's"}, reasons[START], of_twin=HE_AE),
        _judge_budget(compared, late, reasons[BUDGET]),
        _judge_epsilon(compared, reasons[EPSILON]),
    ]


def late_gamma(vae: Arm, objective: Objective) -> str:
    """Say that a learned gamma has not arrived at the error, eq. (10).

    Args:
      vae: the arm.
      objective: of it.

    Returns:
      A sentence; an empty text where gamma has arrived, is smaller than the error, or was not learned.
    """
    if objective.gamma != "learned" or objective.kl_weight is None or vae.gamma is None:
        return ""
    gamma = vae.gamma / objective.beta
    if gamma <= ARRIVED * vae.error:
        return ""
    return (
        f"{LATE}: it is {gamma:.3g}, {gamma / vae.error:.3g} times the error "
        f"{vae.error:.3g} that it moves towards (eq. (10))"
    )


def _judge_base(arms: Arms, untested: str) -> Finding:
    """Hold the base responsible where the AE alone is nearly as bad as the VAE, and worse than it need be.

    Worse than it need be: than a shallower AE whose VAE collapses at most half as much, or than PCA where no shallower
    one was trained. The AE of the smaller epsilon stands for its twin where it is better.
    """
    vae, shallow, shallow_vae = arms[VAE], arms.get(SHALLOW_AE), arms.get(SHALLOW_VAE)
    twin = min(
        (arm for arm in (arms.get(AE), arms.get(EPSILON_AE)) if arm is not None),
        key=operator.attrgetter("error"),
        default=None,
    )
    if twin is None:
        return Finding(BASE, UNTESTED, untested)
    which = "" if twin.name == AE else f" ({twin.name})"
    texts = [
        f"AE error {twin.error:.4g} without any KL term{which}, VAE {vae.error:.4g}",
        f"PCA {arms.pca_error:.4g}, mean predictor {arms.mean_predictor_error:.4g}",
    ]
    if shallow is not None and shallow_vae is not None:
        texts.append(f"a shallower AE {shallow.error:.4g}")
        texts.append(f"wrongly idle units {vae.wrongly_idle}, in the shallower VAE {shallow_vae.wrongly_idle}")
    texts += _with_more_steps(arms)
    if not arms.shows_training(twin):
        return Finding(BASE, UNTRAINED, "; ".join(["the AE itself was not trained", *texts]))
    if twin.error <= SHARE * vae.error:
        return Finding(BASE, CLEARED, "; ".join(texts))
    if shallow is None or shallow_vae is None:
        worse = twin.error > WORSE * arms.pca_error
        return Finding(BASE, RESPONSIBLE if worse else CLEARED, "; ".join(texts))
    if not (arms.shows_training(shallow) and arms.shows_training(shallow_vae)):
        return Finding(BASE, UNTRAINED, "; ".join(["the shallower networks were not trained", *texts]))
    if twin.error > WORSE * shallow.error and arms.relieves(shallow_vae):
        return Finding(BASE, RESPONSIBLE, "; ".join(texts), SHALLOW_VAE)
    return Finding(BASE, CLEARED, "; ".join(texts))


def _with_more_steps(arms: Arms) -> list[str]:
    """Say where twice the steps bring the AE: one that was still learning need not be at a bad minimum."""
    twin, longer = arms.get(AE), arms.get(LONG_AE)
    if twin is None or longer is None:
        return []
    learning = ", so it was still learning" if twin.error > WORSE * longer.error else ""
    return [f"with twice the steps the AE {_written(longer.error)}{learning}"]


def _judge_by_relief(
    suspect: str, arms: Arms, changes: Mapping[str, str], untested: str, of_twin: str | None = None
) -> Finding:
    """Hold a suspect responsible where an arm that changes it relieves the collapse.

    Args:
      changes: what was done to the suspect, by the name of the arm that does it.
      untested: why no arm was trained, where none was.
      of_twin: the AE whose error the evidence names too.
    """
    vae = arms[VAE]
    trained = {what: arm for name, what in changes.items() if (arm := arms.get(name)) is not None}
    if not trained:
        return Finding(suspect, UNTESTED, untested)
    dead = [f"with it {what} {arm.wrongly_idle}" for what, arm in trained.items()]
    active = [str(arm.active_units) for arm in (vae, *trained.values())]
    errors = [_written(arm.error) for arm in (vae, *trained.values())]
    text = f"wrongly idle units {vae.wrongly_idle}, {', '.join(dead)}; in use {', '.join(active)}"
    text += f"; error {', '.join(errors)}"
    twin, changed_twin = arms.get(AE), arms.get(of_twin or "")
    if twin is not None and changed_twin is not None:
        text += f"; AE error {_written(twin.error)}, {_written(changed_twin.error)}"
    counting = [arm for arm in trained.values() if arms.shows_training(arm)]
    relieved = [arm for arm in counting if arms.relieves(arm)]
    if relieved:
        return Finding(suspect, RESPONSIBLE, text, min(relieved, key=lambda arm: (arm.wrongly_idle, arm.error)).name)
    if len(counting) < len(trained):
        return Finding(suspect, UNTRAINED, f"with this change the network was not trained: {text}")
    return Finding(suspect, CLEARED, text)


def _judge_decoder(vae: Arm) -> Finding:
    """Hold the decoder responsible where any unit is dead because of its kind."""
    if vae.idle_by_decoder:
        text = "units are dead as the decoder models the images without them, or its covariance degenerated"
        return Finding(DECODER, RESPONSIBLE, f"{vae.idle_by_decoder} {text}")
    text = "by its construction: it sees z alone, and has no variances of its own that could degenerate"
    return Finding(DECODER, CLEARED, text)


def _judge_budget(arms: Arms, late: str, untested: str) -> Finding:
    """Hold the budget responsible where a learned gamma has not arrived, or where twice the steps relieve."""
    by_relief = _judge_by_relief(BUDGET, arms, {LONG_VAE: "doubled"}, untested, of_twin=LONG_AE)
    if not late:
        return by_relief
    closed, remedy = arms.get(CLOSED_GAMMA), by_relief.remedy
    if closed is not None and arms.shows_training(closed) and arms.relieves(closed):
        remedy = CLOSED_GAMMA
    return Finding(BUDGET, RESPONSIBLE, f"{late}; {by_relief.evidence}", remedy)


def _judge_epsilon(arms: Arms, untested: str) -> Finding:
    """Hold Adam's epsilon responsible for the AE's error where a smaller one lowers it by more than 10%."""
    twin, smaller = arms.get(AE), arms.get(EPSILON_AE)
    if twin is None or smaller is None:
        return Finding(EPSILON, UNTESTED, untested)
    text = f"AE error {twin.error:.4g}, with a smaller epsilon {smaller.error:.4g}"
    if not arms.shows_training(smaller):
        return Finding(EPSILON, UNTRAINED, f"the AE was not trained: {text}")
    if twin.error > WORSE * smaller.error:
        return Finding(EPSILON, RESPONSIBLE, f"of the AE's error alone, which the VAE's loss does not share: {text}")
    return Finding(EPSILON, CLEARED, text)


def _written(error: float) -> str:
    return f"{error:.4g}" if math.isfinite(error) else "diverged"
