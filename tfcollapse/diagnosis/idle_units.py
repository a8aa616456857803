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
from tfcollapse.diagnosis.declared_loss import DeclaredLoss
from tfcollapse.diagnosis.evidence import Evidence, Thresholds
from tfcollapse.diagnosis.measurements import Measurements, scale_name
from tfcollapse.diagnosis.readings import Reading, readings
from tfcollapse.diagnosis.units import Units
from tfcollapse.metrics import codebook, residual_spectrum


@dataclasses.dataclass(frozen=True)
class IdleUnits:
    """The idle units of each category.

    Attributes:
      counts: by the category's name, without those that no unit has.
      evidence: the numbers that decided.
      readings: where the loss cannot be checked: what each reading of it makes of the idle units, in words.
      by_log: the reading of the loss that the training's log tells; None where no log was told, or units are active.
    """

    counts: dict[str, int]
    evidence: tuple[Evidence, ...]
    readings: tuple[str, ...] = ()
    by_log: Reading | None = None


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
    if units.active.any() and m.effective_gamma is not None:
        counts = counts_at(m, t, units, m.effective_gamma, declared.beta)
        return IdleUnits(counts, _evidence(m, t, units, m.effective_gamma))
    found = readings(m, t, declared)
    weight = found[0].weight
    counts, evidence = counts_at(m, t, units, weight, declared.beta), _evidence(m, t, units, weight)
    if len(found) == 1:
        return IdleUnits(counts, evidence, by_log=None if declared.logged is None else found[0])
    if m.gamma is None:
        text = "declare gamma, or the loss"
        evidence = (*evidence, Evidence("active units, which would show the undeclared gamma", 0.0, 1.0, text))
    each = [counts_at(m, t, units, one.weight, declared.beta) for one in found]
    said = tuple(_reading(m, one, its_counts) for one, its_counts in zip(found, each, strict=True))
    if all(its_counts == each[0] for its_counts in each):
        return IdleUnits(counts, evidence)
    if declared.averaged:  # which explains a collapse, and needs no other reading
        return IdleUnits(counts, evidence, said)
    surely = min(its_counts.get("i", 0) for its_counts in each)
    rest = {"i": surely} if surely else {}
    return IdleUnits({UNDECIDED: len(units.dead) - surely, **rest}, evidence, said)


def counts_at(m: Measurements, t: Thresholds, units: Units, effective: float, beta: float) -> dict[str, int]:
    """Count the units that are stuck (v), pruned by gamma (ii) and superfluous (i).

    Args:
      m, t, units: as `idle_by_gamma` takes them.
      effective: gamma times beta, or beta alone, that the model was trained under.
      beta: the declared part of it.
    """
    idle, dead = len(units.dead) + len(units.weak), len(units.dead)
    stuck, pruned = min(idle, _would_pay(m, t, units, effective)), 0
    best = best_weight(m, t, effective, beta)
    if best < effective:
        pruned = max(0, min(idle, _would_pay(m, t, units, best)) - stuck)
    rest = "i" if m.images >= t.fewest_images else UNDECIDED
    counts = {"v": stuck, "ii": pruned, rest: max(0, dead - stuck - pruned)}
    return {name: count for name, count in counts.items() if count}


def best_weight(m: Measurements, t: Thresholds, effective: float, beta: float) -> float:
    """Return the gamma times beta (or the beta) that would fit: the effective one where that is not too large.

    A gamma that follows the error ends below the present error where it lets more directions be coded: each leaves
    gamma. So gamma is (d * error - sum of the coded variances) / (d - their number).
    """
    best = effective if effective <= t.gamma_excess * m.optimal_gamma else m.optimal_gamma
    if best < effective and m.likelihood == "gaussian":
        for _ in range(len(m.residual_variances)):
            coded = residual_spectrum.count_viable_directions(m.residual_variances, best, t.margin)
            if coded >= m.dimensions:
                break
            left = m.dimensions * m.optimal_gamma - m.residual_variances[:coded].sum()
            following = max(left / (m.dimensions - coded), 1e-6 * m.optimal_gamma)
            if following >= best:
                break
            best = following
    return min(best, effective / beta) if beta > 1 else best


def _would_pay(m: Measurements, t: Thresholds, units: Units, gamma: float) -> int:
    """Count the units that would lower the loss: one for a direction, and every dead one where a codebook pays.

    How many units a code that is not linear needs cannot be told, so none is called superfluous.
    """
    directions = residual_spectrum.count_viable_directions(m.residual_variances, gamma, t.margin)
    pays = codebook.gain(m.codebook, gamma)[1] > t.codebook_gain
    return max(directions, len(units.dead)) if pays else directions


def _reading(m: Measurements, reading: Reading, counts: dict[str, int]) -> str:
    """Write what one reading of the loss makes of the idle units."""
    named = " and ".join(f"{count} of category ({name})" for name, count in counts.items()) or "none idle"
    return f"{reading.words}, {scale_name(m)} is {reading.weight:.3g}: {named}"


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
    idle_for_it = bool(stuck or _would_pay(m, t, units, m.optimal_gamma))
    more = "too large" if idle_for_it else "larger than the error asks for, but no unit is idle for that"
    excess = Evidence(
        "effective gamma over the gamma that fits the error" if name == "gamma" else "weight on the KL over its best",
        effective / m.optimal_gamma,
        t.gamma_excess,
        f"{name} is {more}" + ", but units would pay even so" * bool(stuck)
        if too_large
        else f"{name} is not too large",
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
    """Tell whether directions beyond the measured ones (a quarter as many as images) might be worth a dead unit."""
    measured = m.residual_variances
    if len(measured) >= min(dead, m.dimensions):
        return False
    return len(measured) == 0 or bool(measured[-1] > t.margin * m.optimal_gamma)
