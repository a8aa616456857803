"""Put a blame into words: who is responsible, what to do next, and the arms as a table for a terminal."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence

from tfcollapse.config.declaration import Run, Training
from tfcollapse.config.objective import Objective
from tfcollapse.diagnosis import countermeasures
from tfcollapse.diagnosis.blame.arms import (
    AE,
    BASE,
    BUDGET,
    CLOSED_GAMMA,
    DECODER,
    EPSILON,
    GAMMA,
    HE_VAE,
    KL_WEIGHT,
    LONG_VAE,
    SHALLOW_VAE,
    START,
    UNWEIGHTED,
    VAE,
    WARMUP,
    Arm,
    nothing_missed,
)
from tfcollapse.diagnosis.blame.verdict import (
    LATE,
    RESPONSIBLE,
    Arms,
    Finding,
    late_gamma,
)
from tfcollapse.diagnosis.categories import NOT_TRAINED
from tfcollapse.diagnosis.verdict import Verdict

WIDTH = 100
"""The longest line that is printed, but for the first two, whose commands a terminal must be able to copy."""
_INDENT = 4

_RESPONSIBLE_AS = {
    BASE: "the autoencoder base (the depth: without any KL term an AE is about as bad)",
    KL_WEIGHT: "the weight on the KL term",
    GAMMA: "gamma (the decoder variance)",
    DECODER: "the kind of decoder",
    START: "the start (the initial weights)",
    BUDGET: "the budget (the number of steps)",
}
"""The suspects of the VAE's collapse in words. Adam's epsilon concerns the AE alone."""

BUILD_REMEDIES = {
    SHALLOW_VAE: "the architecture that was given as the shallower one",
    WARMUP: '`objective=tfcollapse.Objective(gamma="optimal", warmup="kl")`, the weight on the KL raised from 0 to 1',
    UNWEIGHTED: "beta = 1, as `objective=tfcollapse.Objective(beta=1.0)` has it",
    CLOSED_GAMMA: '`objective=tfcollapse.Objective(gamma="optimal")`: gamma is the error per number, on every batch',
    HE_VAE: '`kernel_initializer="he_normal"` in every dense and convolutional layer',
    LONG_VAE: "twice the steps, as `training=tfcollapse.Training(steps=...)` or `--set training.steps=...` has them",
}
"""How a user's own architecture obtains what an arm has, by the name of the arm."""


def headline(findings: Sequence[Finding], arms: Arms) -> str:
    """Say in one plain sentence who is responsible for the collapse.

    Args:
      findings: what `blame_verdict.judge` found.
      arms: what it was found by.
    """
    vae = arms[VAE]
    accused = [_named(finding) for finding in findings if _accuses(finding)]
    if accused:
        return f"Responsible: {' and '.join(accused)}."
    if not vae.wrongly_idle:
        return f"Nobody is to blame: {nothing_missed(vae)}."
    twin = arms.get(AE)
    if twin is not None and not arms.shows_training(twin):
        return (
            f"Nothing can be said yet: the network itself was not trained. Without any KL term the AE's error "
            f"{twin.error:.3g} is not clearly below that of the mean image, {arms.mean_predictor_error:.3g}."
        )
    return "Responsible: none of the suspects. What was tried does not relieve the collapse."


def next_step(
    findings: Sequence[Finding], arms: Arms, run: Run, remedies: Mapping[str, str], verdicts: Mapping[str, Verdict]
) -> str:
    """Say what to do next: the change of the arm that relieved the collapse best, or what is left to try.

    Args:
      findings: what `blame_verdict.judge` found.
      arms: what it was found by.
      run: the VAE.
      remedies: how a user obtains what an arm has, by the name of the arm.
      verdicts: of the arms that are VAEs, by name.
    """
    vae = arms[VAE]
    relieving = [arms[finding.remedy] for finding in findings if finding.remedy is not None]
    if relieving:
        best = min(relieving, key=lambda arm: (arm.wrongly_idle, arm.error))
        return (
            f"train as the arm '{best.name}': {remedies[best.name]}. Its error is {best.error:.3g} in place of "
            f"{vae.error:.3g}, with {best.active_units} units in use in place of {vae.active_units}"
            f"{_reserved(verdicts.get(best.name))}"
            f"{_keeping_depth(run, remedies) if best.name == SHALLOW_VAE else ''}"
        )
    if late_gamma(vae, run.objective):
        steps = steps_to_arrive(vae, run.objective, run.training)
        closed = "take gamma in closed form, `--set objective.gamma=optimal`, or "
        return f"{closed if run.objective.has_closed_gamma else ''}train for at least {steps:,} steps"
    if any(finding.suspect == DECODER and _accuses(finding) for finding in findings):
        return "give the decoder less to predict with: one gamma for all pixels, and no view of the image beside z"
    if any(finding.suspect == BASE and _accuses(finding) for finding in findings):
        return f"make the network shallower (--shallower tries a depth of your choice){_keeping_depth(run, remedies)}"
    if not vae.wrongly_idle:
        return _of_itself(verdicts.get(VAE))
    if remedies is BUILD_REMEDIES:
        return f"try a longer training, of {4 * run.training.steps:,} steps, or another start, of another seed"
    return f"try a longer training, `--set training.steps={4 * run.training.steps}`, or another start, `--set seed=1`"


def _of_itself(verdict: Verdict | None) -> str:
    """Say what to do about a VAE that has no collapse."""
    if verdict is None or not _against(verdict):
        return "nothing to mend; `tfcollapse diagnose` says what its dead units are"
    return f"there is no collapse to mend; the VAE's own diagnosis says: {_against(verdict)}; next: {verdict.next_step}"


def _reserved(verdict: Verdict | None) -> str:
    """Say what is not as it should be with the arm that relieved the collapse."""
    return f"; the diagnosis of that arm says: {_against(verdict)}" if verdict and _against(verdict) else ""


def _against(verdict: Verdict) -> str:
    """Return what a verdict has against a VAE that has no idle unit which should be in use; empty for nothing."""
    if verdict.category == NOT_TRAINED:
        return "not trained yet"
    return f"in use, but {verdict.reservation}" if verdict.reservation else ""


def steps_to_arrive(vae: Arm, objective: Objective, training: Training) -> int:
    """Return the least number of steps in which a learned gamma reaches the error.

    Adam moves log gamma by about the learning rate an update where its gradient keeps its sign.

    Args:
      vae: the arm.
      objective: of it.
      training: that was done. Its learning rate is taken before it is halved.
    """
    assert vae.gamma is not None
    updates = math.ceil(math.log(vae.gamma / objective.beta / vae.error) / training.learning_rate)
    return training.step_of_update(int(training.decoder_updates(training.steps)) + updates)


def _keeping_depth(run: Run, remedies: Mapping[str, str]) -> str:
    """Say what kept the units of a deep network where it was measured; empty for networks of another kind."""
    own_model = remedies is BUILD_REMEDIES
    kept = countermeasures.advice(run, own_model=own_model) if own_model or run.network.spec.fully_connected else ""
    how = "To keep the depth" if own_model else "To keep the depth, add one of these to your own settings"
    return f". {how}: {kept}" if kept else ""


def _named(finding: Finding) -> str:
    """Name a suspect that is responsible."""
    if finding.suspect == BUDGET and finding.evidence.startswith(LATE):
        return "the budget (too few steps for the learned gamma to arrive at the error)"
    return _RESPONSIBLE_AS[finding.suspect]


def _accuses(finding: Finding) -> bool:
    """Return whether a finding says who is responsible for the VAE's collapse, and not for the AE's error alone."""
    return finding.verdict == RESPONSIBLE and finding.suspect != EPSILON


def finding_lines(findings: Sequence[Finding]) -> list[str]:
    """Return each suspect with its verdict, and the evidence below it. Equal evidence stands there once."""
    if len({finding.evidence for finding in findings}) == 1:
        suspects = ", ".join(finding.suspect for finding in findings)
        return [*_wrapped(f"{suspects}: {findings[0].verdict}", 0), *_wrapped(findings[0].evidence, _INDENT)]
    lines = []
    for finding in findings:
        lines += [f"{finding.suspect}: {finding.verdict}", *_wrapped(finding.evidence, _INDENT)]
    return lines


def arm_lines(arms: Arms) -> list[str]:
    """Return the arms as a table: error per number, its share of the mean predictor's, and of VAEs the posterior.

    "In use" are the units that are active and not weak.
    """
    lines = [f"{'trained':<26}{'error':>9}{'of mean':>9}{'gamma':>10}{'in use':>8}{'KL':>11}  idle units (category)"]
    for arm in arms.trainings:
        share = f"{arm.error / arms.mean_predictor_error:.0%}" if math.isfinite(arm.error) else "-"
        posterior = [_cell(value) for value in (arm.gamma, arm.active_units, arm.kl)]
        said = arms.shows_training(arm) or NOT_TRAINED in arm.counts
        last = arm.idle if said else f"{arm.idle}{', ' if arm.idle else ''}not trained"
        row = f"{arm.name:<26}{_cell(arm.error):>9}{share:>9}{posterior[0]:>10}{posterior[1]:>8}{posterior[2]:>11}"
        lines.append(f"{row}  {last}".rstrip()[:WIDTH])
    share = f"{arms.pca_error / arms.mean_predictor_error:.0%}"
    lines.append(f"{'PCA, as many components':<26}{_cell(arms.pca_error):>9}{share:>9}")
    lines.append(f"{'mean predictor':<26}{_cell(arms.mean_predictor_error):>9}{'100%':>9}")
    return lines


def arm_numbers(arm: Arm) -> str:
    """Return an arm's numbers on one line."""
    if not math.isfinite(arm.error):
        return "diverged: its loss is no longer a finite number"
    if arm.active_units is None:
        return f"error {arm.error:.4g}"
    return (
        f"error {arm.error:.4g}, gamma {_cell(arm.gamma)}, KL {arm.kl:.4g} nats, units in use {arm.active_units}, idle "
        f"units (category) {arm.idle or 'none'}"
    )


def _cell(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if math.isfinite(value) else "diverged"


def _wrapped(text: str, indent: int) -> list[str]:
    """Break text into lines of at most WIDTH."""
    spaces = " " * indent
    return textwrap.wrap(text, WIDTH, initial_indent=spaces, subsequent_indent=spaces or " " * _INDENT)
