"""Decide which of the five kinds of posterior collapse (section 3 of the paper) a VAE has, from its measurements.

A unit is dead where the variance of its mean over the images is at most 0.01. All dead units look alike, so the rules
say how many there are of each category, not which. They are asked from top to bottom, each for the units that are left:

  the decoder gives its own variances, and these have run off to 0 on a few images             (iii)  all dead units
  the decoder reads the images, and predicts them well with the z of another image              (iv)  all dead units
  one more unit would lower the loss at the effective gamma                                      (v)  that many units
  one more unit would lower the loss at gamma = eq. (10), and the effective gamma is larger     (ii)  that many units
  no further unit would lower the loss                                                           (i)  the other units

The effective gamma is the decoder variance that the model was trained under: see `measurements.effective_gamma`.

Whether one more unit would lower the loss is calculated from the residuals, the differences between images and
reconstructions. A unit that models one direction of the residuals lowers the reconstruction error along it, and costs
KL. Section 4 shows that it lowers the loss in all where the variance along that direction is above gamma. So the number
of units is the number of such directions, with a margin: see `tfcollapse.metrics.residual_spectrum`.

Category (v) says that gamma, and with it the KL term, does not explain why the units are dead. Whether the depth, the
initial weights or the number of steps does is what `tfcollapse blame` finds out.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np

from tfcollapse.diagnosis.categories import CATEGORIES, HEALTHY, UNDECIDED
from tfcollapse.diagnosis.measurements import Measurements
from tfcollapse.metrics import posterior, residual_spectrum


@dataclasses.dataclass(frozen=True)
class Thresholds:
    """The value at which each decision changes.

    Attributes:
      active_variance: a unit is dead at or below this Var_x[mu_j] (Burda et al. 2015).
      margin: a unit would lower the loss where the residual's variance over gamma is above this; see
        `residual_spectrum.MARGIN`.
      gamma_excess: gamma is too large where the effective gamma over that of eq. (10) is above this.
      without_z: a decoder knows the images without z where the error with shuffled z, over the mean predictor's, is
        below this.
      degenerate: a decoder's own variances have run off where the smallest over the median one (each averaged over an
        image's pixels) is below this.
      bad_elsewhere: a degenerate decoder does not reconstruct where its error over the mean predictor's is above this.
    """

    active_variance: float = posterior.ACTIVE_VARIANCE
    margin: float = residual_spectrum.MARGIN
    gamma_excess: float = 2.0
    without_z: float = 0.5
    degenerate: float = 1e-2
    bad_elsewhere: float = 0.5


DEFAULT = Thresholds()


@dataclasses.dataclass(frozen=True)
class Evidence:
    """A number that the verdict rests on.

    Attributes:
      name, value: what was measured.
      threshold: what the value is compared with.
      reading: what the comparison says, in words.
    """

    name: str
    value: float
    threshold: float
    reading: str

    @property
    def distance(self) -> float:
        """How many times larger or smaller the value would have to be to reach the threshold; 1 is on it."""
        low, high = sorted((abs(self.value), abs(self.threshold)))
        return high / low if low > 0 else math.inf


@dataclasses.dataclass(frozen=True)
class Verdict:
    """A decision with its evidence.

    Attributes:
      categories: names in `categories.CATEGORIES`: "healthy" alone, or every category that some dead unit has, the one
        of the most units first.
      counts: units of each category, and under "active" those that are not dead.
      per_dimension: [latent], "active" or a category. Where the dead units have several categories, the units with the
        larger KL get those of smaller `Category.order`.
      evidence: the numbers that decided.
      notes: what else a reader should know.
      change: what would change the verdict.
    """

    categories: tuple[str, ...]
    counts: dict[str, int]
    per_dimension: tuple[str, ...]
    evidence: tuple[Evidence, ...]
    notes: tuple[str, ...]
    change: str

    @property
    def category(self) -> str:
        """The first of `categories`."""
        return self.categories[0]

    def as_json(self) -> dict[str, Any]:
        """Return plain numbers, lists and text."""
        fields = dataclasses.asdict(self)
        for plain, evidence in zip(fields["evidence"], self.evidence, strict=True):
            plain["distance"] = evidence.distance if math.isfinite(evidence.distance) else None
        return fields | {"meaning": [CATEGORIES[name].meaning for name in self.categories]}


def decide(m: Measurements, thresholds: Thresholds = DEFAULT) -> Verdict:
    """Decide on a VAE by its measurements; the module's docstring has the rules."""
    active = posterior.active_units(m.latent_variance, thresholds.active_variance)
    dead = int((~active).sum())
    counts, evidence = _dead_units(m, thresholds, dead) if dead else ({}, [])
    counts = {name: count for name, count in counts.items() if count}
    categories = sorted(counts, key=lambda name: (-counts[name], CATEGORIES[name].order)) or [HEALTHY]
    return Verdict(
        categories=tuple(categories),
        counts={"active": int(active.sum()), **counts},
        per_dimension=_per_dimension(m, active, counts),
        evidence=(_nearest_unit(m, thresholds), *evidence),
        notes=tuple(_notes(m, active)),
        change=CATEGORIES[categories[0]].change.format(
            reviving_gamma=_largest_residual(m) / thresholds.margin, optimal_gamma=m.optimal_gamma
        ),
    )


def _dead_units(m: Measurements, t: Thresholds, dead: int) -> tuple[dict[str, int], list[Evidence]]:
    """Count the dead units of each category, and give the evidence: the first rule that applies, else gamma's."""
    counts: dict[str, int] = {}
    evidence: list[Evidence] = []
    if m.own_variances is not None:
        counts, evidence = _degenerate(m, t, dead)
    elif m.autoregressive:
        counts, evidence = _without_z(m, t, dead)
    if counts:
        return counts, evidence
    counts, by_gamma = _by_gamma(m, t, dead)
    return counts, evidence + by_gamma


def _degenerate(m: Measurements, t: Thresholds, dead: int) -> tuple[dict[str, int], list[Evidence]]:
    """(iii): the decoder's own variances."""
    assert m.own_variances is not None
    smallest, median = m.own_variances[0], m.own_variances[2]
    share, error = smallest / median, m.error_at_mean / m.mean_predictor_error
    ran_off, bad = share < t.degenerate, error > t.bad_elsewhere
    evidence = [
        Evidence(
            "the decoder's own variance: smallest image over median image",
            share,
            t.degenerate,
            "the variance has run off to 0 on a few images" if ran_off else "no image's variance has run off to 0",
        ),
        Evidence(
            "error over the mean predictor's",
            error,
            t.bad_elsewhere,
            "z reconstructs little" if bad else "z reconstructs the images",
        ),
    ]
    return ({"iii": dead} if ran_off and bad else {}), evidence


def _without_z(m: Measurements, t: Thresholds, dead: int) -> tuple[dict[str, int], list[Evidence]]:
    """(iv): the error of an autoregressive decoder with shuffled z."""
    ratio = m.shuffled_error / m.mean_predictor_error
    knows = ratio < t.without_z
    reading = "the decoder knows the images without z" if knows else "without the right z the decoder knows little"
    evidence = Evidence("error with z of another image, over the mean predictor's", ratio, t.without_z, reading)
    return ({"iv": dead} if knows else {}), [evidence]


def _by_gamma(m: Measurements, t: Thresholds, dead: int) -> tuple[dict[str, int], list[Evidence]]:
    """(v), (ii) and (i): units that would lower the loss at the effective gamma, at eq. (10)'s, and at neither."""
    if _too_few_images(m, t, dead):
        reading = f"too few images to measure the residual's directions for {dead} dead units"
        return {UNDECIDED: dead}, [Evidence("images", float(m.images), 2.0 * (dead + 1), reading)]
    optimal, effective = m.optimal_gamma, m.effective_gamma
    viable = min(dead, residual_spectrum.count_viable_directions(m.residual_variances, optimal, t.margin))
    at_optimal = Evidence(
        "margin of a dead unit at gamma = eq. (10): residual variance over gamma",
        _largest_residual(m) / optimal,
        t.margin,
        f"{viable} of {dead} dead units are above and would lower the loss if revived",
    )
    if effective is None:
        unknown = Evidence("active units, which would show the undeclared gamma", 0.0, 1.0, "declare gamma, times beta")
        return {UNDECIDED: viable, "i": dead - viable}, [at_optimal, unknown]
    stuck = min(dead, residual_spectrum.count_viable_directions(m.residual_variances, effective, t.margin))
    gain = residual_spectrum.worth(m.residual_variances[:stuck], effective).sum()
    at_effective = Evidence(
        "margin of a dead unit at the effective gamma",
        _largest_residual(m) / effective,
        t.margin,
        f"{stuck} of {dead} dead units are above and should be alive: they would gain {gain:.3g} nats an image",
    )
    too_large = effective > t.gamma_excess * optimal
    reading = "gamma is too large for the error" if too_large else "gamma fits the error"
    excess = Evidence("effective gamma over eq. (10)", effective / optimal, t.gamma_excess, reading)
    pruned = max(0, viable - stuck) if too_large else 0
    return {"v": stuck, "ii": pruned, "i": dead - stuck - pruned}, [at_effective, at_optimal, excess]


def _too_few_images(m: Measurements, t: Thresholds, dead: int) -> bool:
    """Tell whether directions beyond the measured ones (half the images, less one) might be worth a dead unit."""
    measured = m.residual_variances
    if len(measured) >= min(dead, m.dimensions):
        return False
    return len(measured) == 0 or bool(measured[-1] > t.margin * m.optimal_gamma)


def _largest_residual(m: Measurements) -> float:
    """Return the residual's variance along its main direction; 0 where none is measured."""
    return float(m.residual_variances[0]) if len(m.residual_variances) else 0.0


def _nearest_unit(m: Measurements, t: Thresholds) -> Evidence:
    """Give the variance of the unit that is nearest to being called the other."""
    nearest = min(m.latent_variance, key=lambda value: abs(math.log(max(value, 1e-30) / t.active_variance)))
    return Evidence(
        "Var[mu_j] of the unit nearest to the threshold",
        float(nearest),
        t.active_variance,
        f"{int((m.latent_variance > t.active_variance).sum())} of {m.latent_dim} units are active",
    )


def _per_dimension(m: Measurements, active: np.ndarray, counts: dict[str, int]) -> tuple[str, ...]:
    """Label every unit: the dead ones by descending KL, with the categories by ascending order."""
    labels = ["active"] * m.latent_dim
    by_order = sorted(counts, key=lambda name: CATEGORIES[name].order)
    dead_labels = [name for name in by_order for _ in range(counts[name])]
    dead = [unit for unit in np.argsort(-m.kl_per_dimension, kind="stable") if not active[unit]]
    for unit, label in zip(dead, dead_labels, strict=True):
        labels[unit] = label
    return tuple(labels)


def _notes(m: Measurements, active: np.ndarray) -> list[str]:
    """Write what does not decide, but should be known."""
    notes = []
    if m.gamma is not None and m.implied_gamma is not None and m.effective_gamma != m.gamma:
        notes.append(
            f"the active units behave as under gamma {m.implied_gamma:.3g}, {m.implied_gamma / m.gamma:.3g} times the "
            f"declared {m.gamma:.3g}, and the verdict goes by that: is the squared error averaged over the "
            f"{m.dimensions} pixels (gamma = d / 2), is the KL weighted, or has training just begun?"
        )
    if m.gamma is None and m.implied_gamma is not None:
        notes.append(f"gamma was not declared: the active units behave as under gamma {m.implied_gamma:.3g}")
    if active.sum() > 1 and m.effective_rank < 0.5 * active.sum():
        notes.append(
            f"the means of the {int(active.sum())} active units vary in {m.effective_rank:.2g} directions only"
        )
    off_prior = int((~active & (m.kl_per_dimension > posterior.ACTIVE_KL)).sum())
    if off_prior:
        notes.append(
            f"{off_prior} dead units are not at the prior: their mu_j is constant, but their KL is above 0.01 nats"
        )
    if m.error_at_mean > m.mean_predictor_error:
        notes.append("the error is above the mean predictor's: training has hardly begun, or has failed")
    elif m.error_at_mean > m.pca_error:
        notes.append(
            f"the error at the mean, {m.error_at_mean:.4g}, is above that of PCA with {m.latent_dim} components, "
            f"{m.pca_error:.4g}: the autoencoder is below a linear one's capacity"
        )
    if m.information.nats > 0.98 * m.information.cap:
        notes.append(f"I_q(x; z) is at its cap, log n = {m.information.cap:.2f} nats: z tells all images apart")
    return notes
