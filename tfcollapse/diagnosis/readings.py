"""List what the loss of a VAE may be, where no unit is active that would show it, and what a log says to that."""

from __future__ import annotations

import dataclasses

from tfcollapse.diagnosis.declared_loss import NOTHING, TRAINING, WORDS, DeclaredLoss
from tfcollapse.diagnosis.evidence import Thresholds
from tfcollapse.diagnosis.measurements import Measurements

_FITS = 1.25
"""A gamma within this factor of the error fits it."""


@dataclasses.dataclass(frozen=True)
class Reading:
    """One meaning of the loss.

    Attributes:
      words: when it is right.
      weight: gamma times beta; beta for a likelihood without gamma.
      log: the reconstruction loss that the training's log would show; None where the log does not tell it apart.
    """

    words: str
    weight: float
    log: float | None = None


def readings(m: Measurements, t: Thresholds, declared: DeclaredLoss) -> list[Reading]:
    """Return the readings of a loss that no active unit can confirm, the declared one first.

    It is one alone where our own training or a gamma that fits the error confirms it, or where the log of the training
    agrees with one alone.
    """
    found = _possible(m, declared)
    logged = declared.logged
    if logged is not None:
        agreeing = [one for one in found if one.log and log_agrees(logged, one.log, t)]
        found = agreeing if len(agreeing) == 1 else found
    return found


def log_agrees(logged: float, expected: float, t: Thresholds) -> bool:
    """Tell whether a logged reconstruction loss is the expected one."""
    low, high = sorted((logged / t.logged, logged * t.logged))
    return low < expected < high


def expected_logs(m: Measurements, declared: DeclaredLoss) -> tuple[float, float]:
    """Return the reconstruction loss that a log would show: summed over numbers, and averaged over them."""
    summed = declared.logged_share * m.data_term
    return summed, summed / m.dimensions


def _possible(m: Measurements, declared: DeclaredLoss) -> list[Reading]:
    """Return the readings without the log."""
    summed, averaged = expected_logs(m, declared)
    over = f"if the error is averaged over the {m.dimensions} numbers"
    if declared.source == NOTHING and m.gamma is None:
        return [
            Reading("if gamma is learned", m.optimal_gamma),
            Reading("if the squared error is summed", 0.5, summed),
            Reading(over, m.dimensions / 2, averaged),
        ]
    assert m.gamma is not None
    as_declared = Reading("as declared", m.gamma, averaged if declared.averaged else summed)
    if m.dimensions == 1 or _is_confirmed(m, declared):
        return [as_declared]
    if declared.averaged:
        return [as_declared, Reading("if the error is summed", m.gamma / m.dimensions, summed)]
    return [as_declared, Reading(over, m.gamma * m.dimensions, averaged)]


def _is_confirmed(m: Measurements, declared: DeclaredLoss) -> bool:
    """Tell whether gamma is known: from our own training, or as it fits the error, like one that was learned.

    No mistake about a loss would give such a number, other than 1/2 and 1 by chance.
    """
    if declared.source == TRAINING:
        return True
    by_chance = declared.source == WORDS or declared.gamma in (0.5, 1.0)
    fits = m.gamma is not None and 1 / _FITS < m.gamma / m.optimal_gamma < _FITS
    return m.likelihood == "gaussian" and fits and not by_chance
