"""Say what is not as it should be with a VAE whose latent units are in use, or idle without harm.

A VAE whose units are all in use is healthy only where nothing of this is the case:

  not as declared     the active units, or the log of the training, contradict the declared loss
  not for everything  columns of a table are too small to count in the error
  the loss too high   a linear VAE of as many units would have a lower loss at the same gamma
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from tfcollapse.diagnosis.declared_loss import DeclaredLoss
from tfcollapse.diagnosis.evidence import DEFAULT
from tfcollapse.diagnosis.measurements import Measurements, scale_name
from tfcollapse.diagnosis.readings import expected_logs, log_agrees

_OF_LINEAR = 1.05
_A_UNIT = 4
"""Examples for each unit from which on the error that principal components leave of others is known well enough."""


@dataclasses.dataclass(frozen=True)
class Reservation:
    """What is not as it should be, though no unit is idle that should be in use.

    Attributes:
      title: in a few words, after "in use, but".
      text: the same with its numbers.
      next_step: what to do about it.
    """

    title: str
    text: str
    next_step: str


def reservation(m: Measurements, declared: DeclaredLoss) -> Reservation | None:
    """Return the first thing that is not as it should be; None where there is none."""
    if text := what_contradicts(m, declared):
        return Reservation("not as declared", text, f"check the loss before you trust this: {how_to_check(m)}")
    if text := lost_numbers(m):
        step = "unless these are pixels, standardise the columns, so that each counts in the error, then train again"
        return Reservation("not for everything", text, step)
    if text := above_linear(m):
        step = (
            "train longer, unless a floor under the KL (free bits) holds the loss up; where it stays, try another start"
        )
        return Reservation("the loss is too high", text, f"{step} or a shallower network")
    return None


def what_contradicts(m: Measurements, declared: DeclaredLoss) -> str:
    """Say what contradicts the declared loss, or the log of the training; empty where nothing does."""
    name = scaled_by(m, declared)
    if m.gamma is not None and m.implied_gamma is not None and m.effective_gamma != m.gamma:
        return (
            f"the active units behave as under {name} {m.implied_gamma:.3g}, {m.implied_gamma / m.gamma:.3g} times the "
            f"declared {m.gamma:.3g}"
        )
    summed, averaged = expected_logs(m, declared)
    # Others may be logged with or without the terms in x alone.
    if (
        declared.logged is not None
        and m.likelihood in ("gaussian", "bernoulli")
        and not any(log_agrees(declared.logged, expected, DEFAULT) for expected in (summed, averaged))
    ):
        return (
            f"the log's reconstruction loss, {declared.logged:.4g}, is not that of this model, {summed:.4g} summed or "
            f"{averaged:.4g} averaged over numbers"
        )
    return ""


def scaled_by(m: Measurements, declared: DeclaredLoss) -> str:
    """Return what the KL is scaled by, in words: gamma, gamma times beta, or beta alone."""
    name = scale_name(m)
    return f"{name} times beta" if name == "gamma" and declared.beta != 1 else name


def lost_numbers(m: Measurements) -> str:
    """Say how many columns of a table are too small to count in a squared error; empty for none."""
    count, variance = m.unreconstructed
    if m.likelihood != "gaussian" or not count:
        return ""
    return (
        f"{count} of {m.dimensions} numbers {'is' if count == 1 else 'are'} reconstructed by less than half, as a "
        f"variance of at most {variance:.1g} of the largest hardly counts in the error"
    )


def how_to_check(m: Measurements) -> str:
    """Say what to look at where the declared loss is contradicted."""
    return (
        f"is the error averaged over the {m.dimensions} numbers or the KL summed over the batch, is the KL weighted, "
        "still being warmed up or held above a floor (free bits), is z drawn with sigma = exp(log_variance / 2), is "
        "the encoder's second output the log variance (spread=), are these the data of the training, and has the "
        "training come to its end?"
    )


def above_linear(m: Measurements) -> str:
    """Say that a linear VAE would have a lower loss at the same gamma; empty where it would not, or is not known.

    It is not known without a gamma, from fewer than 64 examples or four for each unit, to which principal components
    fit too well, and where fewer eigenvalues were measured than there are units. The loss is d times the error over 2
    gamma, plus the KL: the negative ELBO without what depends on gamma alone. It counts as higher by more than 5%, and
    by more than two standard errors of what n draws of d squared normal residuals have.
    """
    measured = len(m.data_eigenvalues) >= min(m.latent_dim, m.dimensions)
    if m.likelihood != "gaussian" or m.images < max(DEFAULT.fewest_images, _A_UNIT * m.latent_dim) or not measured:
        return ""
    gamma = max(m.effective_gamma or m.optimal_gamma, 1e-300)
    loss = m.dimensions * m.error / (2 * gamma) + float(m.kl_per_dimension.sum())
    linear = _linear_loss(m, gamma)
    chance = 2 * math.sqrt(m.dimensions / (2 * m.images)) * m.error / gamma
    if loss - linear <= max((_OF_LINEAR - 1) * linear, chance):
        return ""
    units = "1 unit" if m.latent_dim == 1 else f"{m.latent_dim} units"
    return (
        f"a linear VAE of {units} would have a lower loss at the same gamma (times beta), {linear:.4g} in place of "
        f"{loss:.4g} nats an example (error over twice that gamma, and KL)"
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
