"""Write what does not decide a verdict, but should be known."""

from __future__ import annotations

import math

from tfcollapse.diagnosis.declared_loss import NEARLY_ONE, DeclaredLoss
from tfcollapse.diagnosis.evidence import DEFAULT, Evidence
from tfcollapse.diagnosis.idle_units import IdleUnits
from tfcollapse.diagnosis.measurements import Measurements, scale_name
from tfcollapse.diagnosis.readings import Reading, expected_logs
from tfcollapse.diagnosis.reservations import above_linear, how_to_check, lost_numbers, scaled_by, what_contradicts
from tfcollapse.diagnosis.units import Units
from tfcollapse.metrics import posterior

_CONSTANT = 1e-12
_GREY = 0.8
"""Binary data have a Pearson dispersion of about 1 under cross-entropy, grey data one that is clearly below this."""


def notes(
    m: Measurements, units: Units, declared: DeclaredLoss, idle: IdleUnits, failing: Evidence | None
) -> list[str]:
    """Return the notes of a verdict, each one or two sentences.

    Args:
      m, units, declared, idle: what the verdict rests on.
      failing: the first check of a stationary point that fails, where the verdict is about something else.
    """
    moving = [f"the model is not at a stationary point: {failing.reading}"] if failing is not None else []
    return [*moving, *_on_the_loss(m, declared, idle), *_on_the_units(m, units), *_on_the_error(m, units)]


def _on_the_loss(m: Measurements, declared: DeclaredLoss, idle: IdleUnits) -> list[str]:
    """Say what follows from the declared loss, and whether the active units agree with it."""
    found = []
    if declared.text:
        found.append(f"the loss as declared: {declared.text}")
    if idle.readings:
        summed, averaged = expected_logs(m, declared)
        found.append(
            f"no unit is active, so the loss cannot be checked: {'; '.join(idle.readings)}. The training's log tells: "
            f"its reconstruction loss is near {summed:.3g} where it is summed over numbers, and near {averaged:.3g} "
            "where it is averaged"
        )
    if idle.by_log is not None and m.gamma is not None:
        found.append(_on_the_log(m, m.gamma, idle.by_log))
    contradiction = what_contradicts(m, declared)
    if contradiction:
        found.append(f"{contradiction}; {how_to_check(m)}")
    if m.gamma is None and m.implied_gamma is not None:
        found.append(
            f"gamma was not declared: the active units behave as under {scaled_by(m, declared)} {m.implied_gamma:.3g}"
        )
    if m.likelihood == "bernoulli" and not m.binary and m.dispersion < _GREY:
        found.append(_on_grey_data(m, declared))
    return found


def _on_the_log(m: Measurements, declared: float, told: Reading) -> str:
    """Say what the training's log tells of the loss, and what it does not tell."""
    beside = "tells nothing of the KL: was it summed over the batch, or weighted?"
    if math.isclose(told.weight, declared):
        return f"no unit is active; the training's log agrees with the declared error, but {beside}"
    return (
        f"no unit is active; the training's log contradicts the declared loss: it is that of {scale_name(m)} "
        f"{told.weight:.3g} ({told.words.removeprefix('if ')}), not of {declared:.3g}. The log {beside}"
    )


def _on_grey_data(m: Measurements, declared: DeclaredLoss) -> str:
    """Say what cross-entropy assumes of numbers between 0 and 1, at the beta in force."""
    weight = (m.effective_gamma or declared.beta) / m.dispersion
    said = (
        "the data are not binary: on numbers between 0 and 1 cross-entropy assumes the variance mu (1 - mu), which is "
        f"{1 / m.dispersion:.3g} times what the residuals have"
    )
    if weight < NEARLY_ONE:
        return f"{said}; with the beta in force, that is a weight of {weight:.2g} on the KL"
    return (
        f"{said}. That acts like a decoder variance that is too large: it prunes units that binary data would keep, as "
        f"beta {weight:.3g} would"
    )


def _on_the_units(m: Measurements, units: Units) -> list[str]:
    """Say what is odd about the units, whatever their category."""
    found, active = [], int(units.active.sum())
    if active > 1 and m.effective_rank < 0.5 * active:
        rank = f"{m.effective_rank:.2g}"
        found.append(
            f"the means of the {active} active units vary in {rank} direction{'' if rank == '1' else 's'} only"
        )
    if m.share_near_prior > 0.5 and active:
        found.append(f"{m.share_near_prior:.0%} of all sigma_z are above 0.9, near the prior")
    if m.latent_variance.max() < _CONSTANT:
        found.append(
            "the encoder gives the same mean for every example: are its hidden units all dead (ReLU), or does it not "
            "see the data?"
        )
    off_prior = int((~units.active & (m.kl_per_dimension > posterior.ACTIVE_KL)).sum())
    if off_prior:
        found.append(
            f"{off_prior} dead {'unit is' if off_prior == 1 else 'units are'} not at the prior: mu_j is constant "
            "there, but the KL is above 0.01 nats"
        )
    if m.images < DEFAULT.fewest_images:
        found.append(f"{m.images} examples are few: every number here is uncertain")
    if lost_numbers(m):
        found.append(f"{lost_numbers(m)}: were the columns standardised?")
    if m.information.nats > 0.98 * m.information.cap:
        found.append(f"I_q(x; z) is at its cap, log n = {m.information.cap:.2f} nats: z tells all examples apart")
    return found


def _on_the_error(m: Measurements, units: Units) -> list[str]:
    """Compare the error with that of simple predictors."""
    near_the_mean = DEFAULT.trained < m.error_at_mean / m.mean_predictor_error <= DEFAULT.at_the_mean
    if not units.active.any() and near_the_mean:
        return ["no unit is active: the decoder gives the mean example, and the error is the mean predictor's"]
    if m.error_at_mean > m.mean_predictor_error:
        return ["the error is above the mean predictor's"]
    return [above_linear(m)] if above_linear(m) else []
