"""Find out why latent units are idle: count the dead (and weak) units of each category of section 3.

All dead units look alike, so the rules say how many there are of each category, not which. They are asked from top to
bottom, each for the units that are left:

  the decoder gives its own variances, these have run off to 0 on a few images, and z
  reconstructs little of the others                                                              (iii)  all dead units
  the decoder reads the images, and predicts them well with the z of another image              (iv)  all dead units
  one more unit would lower the loss at the effective gamma                                      (v)  that many units
  one more unit would lower the loss at the gamma that fits the error, eq. (10), and the
  effective gamma is larger                                                                     (ii)  that many units
  no further unit would lower the loss                                                           (i)  the other units

The effective gamma is the decoder variance that the model was trained under: see `measurements.effective_gamma`. For a
likelihood without gamma it is beta, and 1 stands for eq. (10).

Whether one more unit would lower the loss is calculated from the residuals, the differences between images and
reconstructions (over the root of the likelihood's variance). A unit that models one direction of the residuals lowers
the reconstruction error along it, and costs KL. Section 4 shows that it lowers the loss in all where the variance along
that direction is above gamma. So the number of units is the number of such directions, with a margin: see
`tfcollapse.metrics.residual_spectrum`. Where no direction pays, a codebook may: see `tfcollapse.metrics.codebook`.

Weak units count as idle where more units would pay than are dead.
"""

from __future__ import annotations

import dataclasses

from tfcollapse.diagnosis.categories import UNDECIDED
from tfcollapse.diagnosis.declared_loss import TRAINING, WORDS, DeclaredLoss
from tfcollapse.diagnosis.evidence import Evidence, Thresholds
from tfcollapse.diagnosis.measurements import Measurements, scale_name
from tfcollapse.diagnosis.units import Units
from tfcollapse.metrics import codebook, residual_spectrum


@dataclasses.dataclass(frozen=True)
class IdleUnits:
    """The idle units of each category.

    Attributes:
      counts: by the category's name, without those that no unit has.
      evidence: the numbers that decided.
      readings: where the loss cannot be checked: what each reading of it makes of the idle units, in words.
    """

    counts: dict[str, int]
    evidence: tuple[Evidence, ...]
    readings: tuple[str, ...] = ()


def idle_by_decoder(m: Measurements, t: Thresholds, units: Units) -> IdleUnits:
    """Count the dead units that the kind of decoder alone explains: (iii) and (iv)."""
    found = _by_decoder(m, t)
    return dataclasses.replace(found, counts={name: len(units.dead) for name in found.counts if units.dead})


def idle_by_gamma(m: Measurements, t: Thresholds, units: Units, declared: DeclaredLoss) -> IdleUnits:
    """Count the idle units of the other categories: (v), (ii) and (i)."""
    if not units.dead and not units.weak:
        return IdleUnits({}, ())
    found = _by_gamma(m, t, units, declared)
    return dataclasses.replace(found, evidence=_by_decoder(m, t).evidence + found.evidence)


def _by_decoder(m: Measurements, t: Thresholds) -> IdleUnits:
    """Ask the rules on the kind of decoder: (iii) and (iv)."""
    if m.own_variances is not None:
        return _degenerate(m, t)
    return _without_z(m, t) if m.autoregressive else IdleUnits({}, ())


def _degenerate(m: Measurements, t: Thresholds) -> IdleUnits:
    """(iii): the decoder's own variances."""
    assert m.own_variances is not None
    smallest, median = m.own_variances[0], m.own_variances[2]
    share, error = smallest / median, m.error_at_mean / m.mean_predictor_error
    ran_off, bad = share < t.degenerate, error > t.bad_elsewhere
    evidence = (
        Evidence(
            "the decoder's own variance: smallest example over median example",
            share,
            t.degenerate,
            "the variance has run off to 0 on a few examples" if ran_off else "no example's variance has run off to 0",
        ),
        Evidence(
            "error over the mean predictor's",
            error,
            t.bad_elsewhere,
            "z reconstructs little" if bad else "z reconstructs the data",
        ),
    )
    return IdleUnits({"iii": 1} if ran_off and bad else {}, evidence)


def _without_z(m: Measurements, t: Thresholds) -> IdleUnits:
    """(iv): the error of an autoregressive decoder with shuffled z."""
    ratio = m.shuffled_error / m.mean_predictor_error
    knows = ratio < t.without_z
    reading = "the decoder knows the data without z" if knows else "without the right z the decoder knows little"
    evidence = Evidence("error with z of another example, over the mean predictor's", ratio, t.without_z, reading)
    return IdleUnits({"iv": 1} if knows else {}, (evidence,))


def _by_gamma(m: Measurements, t: Thresholds, units: Units, declared: DeclaredLoss) -> IdleUnits:
    """Ask the rules on gamma: (v), (ii) and (i)."""
    dead = len(units.dead)
    if dead and _too_few_images(m, t, dead):
        reading = f"too few examples to measure the residual's directions for {dead} dead units"
        return IdleUnits({UNDECIDED: dead}, (Evidence("examples", float(m.images), 2.0 * (dead + 1), reading),))
    effective = m.effective_gamma
    if effective is None:
        return _at_unknown_gamma(m, t, units)
    other = None if units.active.any() else _other_reading(m, declared, effective)
    if other is not None and declared.logged is not None and _is_logged(m, t, declared.logged, averaged=True):
        effective, other = other[1], None
    elif other is not None and declared.logged is not None and _is_logged(m, t, declared.logged, averaged=False):
        other = None
    counts, evidence = counts_at(m, t, units, effective), _evidence(m, t, units, effective)
    if other is None or not counts.get("v"):
        return IdleUnits(counts, evidence)
    readings = tuple(_reading(m, t, units, words, gamma) for words, gamma in (("as declared", effective), other))
    if not counts_at(m, t, units, other[1]).get("v"):
        counts = {UNDECIDED: counts.pop("v"), **counts}
    return IdleUnits(counts, evidence, readings)


def _is_logged(m: Measurements, t: Thresholds, logged: float, *, averaged: bool) -> bool:
    """Tell whether a logged reconstruction loss is that of an averaged, or of a summed, error."""
    expected = m.data_term / m.dimensions if averaged else m.data_term
    return m.dimensions > 1 and 1 / t.logged < logged / expected < t.logged


def counts_at(m: Measurements, t: Thresholds, units: Units, effective: float) -> dict[str, int]:
    """Count the units that are stuck (v), pruned by gamma (ii) and superfluous (i) at an effective gamma."""
    idle, dead = len(units.dead) + len(units.weak), len(units.dead)
    stuck = min(idle, _would_pay(m, t, units, effective))
    pruned = 0
    if effective > t.gamma_excess * m.optimal_gamma:
        pruned = max(0, min(idle, _would_pay(m, t, units, m.optimal_gamma)) - stuck)
    rest = "i" if m.images >= t.fewest_images else UNDECIDED
    counts = {"v": stuck, "ii": pruned, rest: max(0, dead - stuck - pruned)}
    return {name: count for name, count in counts.items() if count}


def _would_pay(m: Measurements, t: Thresholds, units: Units, gamma: float) -> int:
    """Count the units that would lower the loss: one for a direction, and every dead one where a codebook pays.

    How many units a code that is not linear needs cannot be told, so none is called superfluous.
    """
    directions = residual_spectrum.count_viable_directions(m.residual_variances, gamma, t.margin)
    pays = codebook.gain(m.codebook, gamma)[1] > t.codebook_gain
    return max(directions, len(units.dead)) if pays else directions


def _at_unknown_gamma(m: Measurements, t: Thresholds, units: Units) -> IdleUnits:
    """Say what each reading of an undeclared loss would mean, as no active unit shows which one it is."""
    viable = min(len(units.dead), _would_pay(m, t, units, m.optimal_gamma))
    superfluous = len(units.dead) - viable
    counts = {name: count for name, count in ((UNDECIDED, viable), ("i", superfluous)) if count}
    readings = (
        _reading(m, t, units, "if gamma is learned", m.optimal_gamma),
        _reading(m, t, units, "if the squared error is summed", 0.5),
        _reading(m, t, units, f"if it is averaged over the {m.dimensions} numbers", m.dimensions / 2),
    )
    unknown = Evidence("active units, which would show the undeclared gamma", 0.0, 1.0, "declare gamma, or the loss")
    return IdleUnits(counts, (_at_optimal(m, t, units), unknown), readings if viable else ())


def _other_reading(m: Measurements, declared: DeclaredLoss, effective: float) -> tuple[str, float] | None:
    """Return what the loss is if its error is averaged; None where gamma itself, or our own training, confirms it.

    A gamma that fits the error is one that was learned: no mistake about the loss would give that number, other than
    1/2 and 1 by chance.
    """
    by_chance = declared.source == WORDS or declared.gamma in (0.5, 1.0)
    fits = m.likelihood == "gaussian" and not by_chance and 0.8 < effective / m.optimal_gamma < 1.25
    if declared.averaged or fits or declared.source == TRAINING:
        return None
    return f"if the error is averaged over the {m.dimensions} numbers", effective * m.dimensions


def _reading(m: Measurements, t: Thresholds, units: Units, words: str, gamma: float) -> str:
    """Write what one reading of the loss makes of the idle units."""
    counts = counts_at(m, t, units, gamma)
    named = " and ".join(f"{count} of category ({name})" for name, count in counts.items()) or "none idle"
    return f"{words}, {scale_name(m)} is {gamma:.3g}: {named}"


def _evidence(m: Measurements, t: Thresholds, units: Units, effective: float) -> tuple[Evidence, ...]:
    """Give the numbers that the rules on gamma rest on."""
    name = scale_name(m)
    stuck = residual_spectrum.count_viable_directions(m.residual_variances, effective, t.margin)
    gain = residual_spectrum.worth(m.residual_variances[:stuck], effective).sum()
    at_effective = Evidence(
        f"largest variance left in the residual, over the effective {name}",
        largest_residual(m) / effective,
        t.margin,
        f"{stuck} more {'unit' if stuck == 1 else 'units'} would lower the loss, by {gain:.3g} nats an example"
        if stuck
        else "no further direction would lower the loss",
    )
    too_large = effective > t.gamma_excess * m.optimal_gamma
    excess = Evidence(
        "effective gamma over the gamma that fits the error" if name == "gamma" else "weight on the KL over its best",
        effective / m.optimal_gamma,
        t.gamma_excess,
        f"{name} is too large" if too_large else f"{name} is not too large",
    )
    size, nats = codebook.gain(m.codebook, effective)
    found = (
        Evidence(f"nats gained by a codebook of {size} entries", nats, t.codebook_gain, _codebook_reading(nats, t)),
    )
    return at_effective, _at_optimal(m, t, units), excess, *(found if size and units.dead else ())


def _codebook_reading(nats: float, t: Thresholds) -> str:
    if nats > t.codebook_gain:
        return "the residual has structure that a nonlinear decoder could code"
    return "the residual has no structure that a codebook could code"


def _at_optimal(m: Measurements, t: Thresholds, units: Units) -> Evidence:
    """Give the margin at the gamma that fits the error."""
    idle = len(units.dead) + len(units.weak)
    viable = min(idle, residual_spectrum.count_viable_directions(m.residual_variances, m.optimal_gamma, t.margin))
    where = (
        "the gamma that fits the error, eq. (10)"
        if scale_name(m) == "gamma"
        else f"the best weight on the KL, {m.optimal_gamma:.3g}"
    )
    return Evidence(
        f"largest variance left in the residual, over {where}",
        largest_residual(m) / m.optimal_gamma,
        t.margin,
        f"{viable} of {idle} idle {'unit' if idle == 1 else 'units'} would lower the loss there",
    )


def largest_residual(m: Measurements) -> float:
    """Return the residual's variance along its main direction; 0 where none is measured."""
    return float(m.residual_variances[0]) if len(m.residual_variances) else 0.0


def _too_few_images(m: Measurements, t: Thresholds, dead: int) -> bool:
    """Tell whether directions beyond the measured ones (half the images, less one) might be worth a dead unit."""
    measured = m.residual_variances
    if len(measured) >= min(dead, m.dimensions):
        return False
    return len(measured) == 0 or bool(measured[-1] > t.margin * m.optimal_gamma)
