"""Decide whether and how a VAE has collapsed, from its measurements.

First `health` asks whether the numbers support a verdict at all. Then `idle_units` counts the idle units of each of the
five categories of section 3 of the paper. A VAE without an idle unit is healthy where every check of a stationary point
passes, and `reservations` has nothing against it; otherwise its units are "in use".

Category (v) says that gamma, and with it the KL term, does not explain why the units are idle. Whether the depth, the
initial weights or the number of steps does is what `tfcollapse blame` finds out.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from tfcollapse.diagnosis import advice, health
from tfcollapse.diagnosis.categories import CATEGORIES, HEALTHY, IN_USE, INCONSISTENT, NOT_TRAINED, UNDECIDED
from tfcollapse.diagnosis.declared_loss import UNDECLARED, DeclaredLoss
from tfcollapse.diagnosis.evidence import DEFAULT, Evidence, Thresholds
from tfcollapse.diagnosis.idle_units import IdleUnits, idle_by_decoder, idle_by_gamma
from tfcollapse.diagnosis.measurements import Measurements
from tfcollapse.diagnosis.notes import notes
from tfcollapse.diagnosis.reservations import reservation
from tfcollapse.diagnosis.units import Units, sort_units


@dataclasses.dataclass(frozen=True)
class Verdict:
    """A decision with its evidence.

    Attributes:
      headline: the verdict in one plain sentence.
      next_step: what to do next.
      categories: one that concerns the whole model ("healthy", "in use", "not trained", "inconsistent") alone, or every
        category that some idle unit has, "i" to "v" of section 3 or "undecided", the one of the most units first.
      counts: units of each category, and under "active" those that have none. Where the category concerns the whole
        model, its count is that of the dead units.
      per_dimension: [latent], "active" or a category. Where the dead units have several categories, the units with the
        larger KL get the more harmful ones. Weak units get a harmful one where more units would lower the loss than
        are dead.
      evidence: the numbers that decided.
      notes: what else a reader should know, beside what headline and next_step say.
      reservation: what is not as it should be though no unit is idle that should be in use, in a few words; empty
        where nothing is.

    Example:
      >>> x = np.random.default_rng(0).normal(size=(200, 3))  # white noise, which no unit can code
      >>> found = tc.diagnose(lambda x: (0 * x, 0 * x), lambda z: 0 * z, x, gamma=1.0)  # a VAE of zeros
      >>> found.verdict.category, found.verdict.counts, found.verdict.per_dimension
      ('i', {'active': 0, 'i': 3}, ('i', 'i', 'i'))
    """

    headline: str
    next_step: str
    categories: tuple[str, ...]
    counts: dict[str, int]
    per_dimension: tuple[str, ...]
    evidence: tuple[Evidence, ...]
    notes: tuple[str, ...]
    reservation: str = ""

    @property
    def category(self) -> str:
        """Return the first of `categories`."""
        return self.categories[0]

    def as_json(self) -> dict[str, Any]:
        """Return plain numbers, lists and text, for JSON."""
        fields = dataclasses.asdict(self)
        for plain, evidence in zip(fields["evidence"], self.evidence, strict=True):
            plain["distance"] = evidence.distance if math.isfinite(evidence.distance) else None
        return fields | {"meaning": [CATEGORIES[name].meaning for name in self.categories]}


def decide(
    m: Measurements, thresholds: Thresholds = DEFAULT, declared: DeclaredLoss = UNDECLARED, blame: str = ""
) -> Verdict:
    """Decide on a VAE by its measurements.

    Args:
      m: what was measured.
      thresholds: the values at which the decisions change.
      declared: what is known of the loss.
      blame: the command or the line of code that would find out who is to blame for a model of this kind.
    """
    units = sort_units(m, thresholds)
    name, idle = _categories(m, thresholds, units, declared)
    return _verdict(m, thresholds, declared, units, name, idle, blame)


def _categories(
    m: Measurements, t: Thresholds, units: Units, declared: DeclaredLoss
) -> tuple[tuple[str, ...], IdleUnits]:
    """Return the categories, and the idle units with the evidence. A decoder of kind (iii) or (iv) never converges."""
    if m.images < t.few_images:
        reading = f"{m.images} examples are too few to tell what the model does"
        return _whole_model(UNDECIDED, units, Evidence("examples", float(m.images), float(t.few_images), reading))
    evidence = health.inconsistency(m, t, units)
    if evidence is not None:
        return _whole_model(INCONSISTENT, units, evidence)
    idle = idle_by_decoder(m, t, units)
    if not idle.counts:
        evidence = health.not_trained(m, t, units, declared)
        if evidence is not None:
            return _whole_model(NOT_TRAINED, units, evidence)
        idle = idle_by_gamma(m, t, units, declared)
    failing = health.failing_check(m, t, units)
    if failing is not None and not any(CATEGORIES[name].harmful for name in idle.counts):
        return _whole_model(NOT_TRAINED, units, failing)
    if not idle.counts:
        checks = tuple(check for check, _ in health.stationarity(m, t, units))
        name = HEALTHY if reservation(m, declared) is None else IN_USE
        return (name,), dataclasses.replace(idle, evidence=idle.evidence + checks)
    return tuple(sorted(idle.counts, key=lambda name: (-idle.counts[name], CATEGORIES[name].order))), idle


def _whole_model(name: str, units: Units, evidence: Evidence) -> tuple[tuple[str, ...], IdleUnits]:
    """Return a category that concerns the whole model; it counts the dead units."""
    return (name,), IdleUnits({name: len(units.dead)} if units.dead else {}, (evidence,))


def _verdict(
    m: Measurements,
    t: Thresholds,
    declared: DeclaredLoss,
    units: Units,
    categories: tuple[str, ...],
    idle: IdleUnits,
    blame: str,
) -> Verdict:
    """Put a verdict together, with its words."""
    labels = _per_dimension(m, units, idle.counts)
    whole_model = CATEGORIES[categories[0]].order == 0
    counts = {"active": labels.count("active")} | idle.counts
    harmful = any(CATEGORIES[name].harmful for name in categories)
    reserved = None if harmful else reservation(m, declared)
    found = notes(m, units, declared, idle, None if whole_model else health.failing_check(m, t, units))
    return Verdict(
        headline=advice.headline(m, units, categories, counts, reserved, idle),
        next_step=advice.next_step(m, units, categories, declared, reserved, idle, blame),
        categories=categories,
        counts=counts,
        per_dimension=labels,
        evidence=(_nearest_unit(m, t, units), *idle.evidence),
        notes=tuple(note for note in found if reserved is None or not note.startswith(reserved.text)),
        reservation=reserved.title if reserved else "",
    )


def _nearest_unit(m: Measurements, t: Thresholds, units: Units) -> Evidence:
    """Give the variance of the unit that is nearest to being called the other."""
    nearest = min(m.latent_variance, key=lambda value: abs(math.log(max(value, 1e-30) / t.active_variance)))
    active = int(units.active.sum())
    return Evidence(
        "Var[mu_j] of the unit nearest to the threshold",
        float(nearest),
        t.active_variance,
        f"{active} of {m.latent_dim} {'unit is' if m.latent_dim == 1 else 'units are'} active",
    )


def _per_dimension(m: Measurements, units: Units, counts: dict[str, int]) -> tuple[str, ...]:
    """Label every unit: dead ones by descending KL, then weak ones, with the categories by ascending order."""
    labels = ["active"] * m.latent_dim
    by_order = sorted(counts, key=lambda name: CATEGORIES[name].order)
    idle_labels = [name for name in by_order for _ in range(counts[name])]
    for unit, label in zip((*units.dead, *units.weak), idle_labels, strict=False):
        labels[unit] = label
    return tuple(labels)
