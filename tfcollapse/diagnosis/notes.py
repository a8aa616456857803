"""Write what does not decide a verdict, but should be known."""

from __future__ import annotations

import numpy as np

from tfcollapse.diagnosis.declared_loss import DeclaredLoss
from tfcollapse.diagnosis.evidence import DEFAULT, Evidence
from tfcollapse.diagnosis.idle_units import IdleUnits
from tfcollapse.diagnosis.measurements import Measurements, scale_name
from tfcollapse.diagnosis.readings import expected_logs, log_agrees
from tfcollapse.diagnosis.units import Units
from tfcollapse.metrics import posterior

_OF_LINEAR = 1.05
_A_UNIT = 4
"""Examples for each unit from which on the error that principal components leave of others is known well enough."""
_CONSTANT = 1e-12
_TABLE, _SMALL_SCALE = 256, 0.1
"""Numbers of an example up to which it may be the row of a table; variance over the largest that is small there."""
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
    contradiction = what_contradicts(m, declared)
    if contradiction:
        found.append(f"{contradiction}; {how_to_check(m)}")
    if m.gamma is None and m.implied_gamma is not None:
        found.append(f"gamma was not declared: the active units behave as under gamma {m.implied_gamma:.3g}")
    if m.likelihood == "bernoulli" and not m.binary and m.dispersion < _GREY:
        found.append(
            "the data are not binary: on numbers between 0 and 1 cross-entropy assumes the variance mu (1 - mu), which "
            f"is {1 / m.dispersion:.3g} times what the residuals have. That acts like a decoder variance that is too "
            f"large: it prunes units that binary data would keep, as beta {1 / m.dispersion:.3g} would"
        )
    return found


def _on_the_units(m: Measurements, units: Units) -> list[str]:
    """Say what is odd about the units, whatever their category."""
    found, active = [], int(units.active.sum())
    if active > 1 and m.effective_rank < 0.5 * active:
        found.append(f"the means of the {active} active units vary in {m.effective_rank:.2g} directions only")
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


def what_contradicts(m: Measurements, declared: DeclaredLoss) -> str:
    """Say what contradicts the declared loss, or the log of the training; empty where nothing does."""
    name = scale_name(m)
    if m.gamma is not None and m.implied_gamma is not None and m.effective_gamma != m.gamma:
        return (
            f"the active units behave as under {name} {m.implied_gamma:.3g}, {m.implied_gamma / m.gamma:.3g} times the "
            f"declared {m.gamma:.3g}"
        )
    summed, averaged = expected_logs(m, declared)
    if declared.logged is not None and not any(
        log_agrees(declared.logged, expected, DEFAULT) for expected in (summed, averaged)
    ):
        return (
            f"the log's reconstruction loss, {declared.logged:.4g}, is not that of this model, {summed:.4g} summed or "
            f"{averaged:.4g} averaged over numbers"
        )
    return ""


def lost_numbers(m: Measurements) -> str:
    """Say how many columns of a table are too small to count in the error; empty for none."""
    count, variance = m.unreconstructed
    if not count or m.dimensions > _TABLE or variance >= _SMALL_SCALE:
        return ""
    return (
        f"{count} of {m.dimensions} numbers are not reconstructed, as their variance is at most {variance:.1g} of the "
        "largest and hardly counts in the error"
    )


def how_to_check(m: Measurements) -> str:
    """Say what to look at where the declared loss is contradicted."""
    return (
        f"is the error averaged over the {m.dimensions} numbers or the KL summed over the batch, is the KL weighted or "
        "still being warmed up, is z drawn with sigma = exp(log_variance / 2), is the encoder's second output the log "
        "variance (spread=), and are these the data of the training?"
    )


def above_linear(m: Measurements) -> str:
    """Say that a linear VAE would have a lower loss at the same gamma; empty where it would not, or is not known.

    It is not known without a gamma, from fewer examples than four for each unit, to which principal components fit
    too well, and where fewer eigenvalues were measured than there are units. The loss is d times the error over 2
    gamma, plus the KL: the negative ELBO without what depends on gamma alone.
    """
    measured = len(m.data_eigenvalues) >= min(m.latent_dim, m.dimensions)
    if m.likelihood != "gaussian" or m.images < _A_UNIT * m.latent_dim or not measured:
        return ""
    gamma = m.effective_gamma or m.optimal_gamma
    loss = m.dimensions * m.error / (2 * gamma) + float(m.kl_per_dimension.sum())
    linear = _linear_loss(m, gamma)
    if loss <= _OF_LINEAR * linear:
        return ""
    return (
        f"a linear VAE of {m.latent_dim} units would have a lower loss at this gamma, {linear:.4g} in place of "
        f"{loss:.4g} nats an example (error over 2 gamma, and KL)"
    )


def _linear_loss(m: Measurements, gamma: float) -> float:
    """Return the loss of the best linear VAE, in nats an example.

    A direction whose variance lambda is above gamma costs an error of gamma and a KL of log(lambda / gamma) / 2; any
    other one leaves its variance (section 4).
    """
    kept = m.data_eigenvalues[: m.latent_dim]
    used = kept[kept > gamma]
    # Fitted to n examples, principal components leave less of them than of others of their kind.
    on_others = (m.images + m.latent_dim) / (m.images - m.latent_dim)
    left = on_others * m.dimensions * m.pca_error + float(kept.sum() - used.sum())
    return left / (2 * gamma) + float(np.log(used / gamma).sum() + len(used)) / 2


def _on_the_error(m: Measurements, units: Units) -> list[str]:
    """Compare the error with that of simple predictors."""
    if not units.active.any() and m.error_at_mean <= DEFAULT.at_the_mean * m.mean_predictor_error:
        return ["no unit is active: the decoder gives the mean example, and the error is the mean predictor's"]
    if m.error_at_mean > m.mean_predictor_error:
        return ["the error is above the mean predictor's"]
    return [above_linear(m)] if above_linear(m) else []
