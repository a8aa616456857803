"""Which of the paper's five kinds of posterior collapse (section 3) a VAE has, from its measurements alone.

A dead unit has Var_x[mu_j] <= 0.01. Dead units are alike, so they are counted, not told apart:

  the decoder has a variance of its own that has run off to a point           (iii) all of them
  the decoder predicts the images without z                                   (iv)  all of them
  directions of the residual that pay for a unit at the effective gamma        (v)   as many as there are
  directions that would pay at gamma = eq. (10), but not at the one in force  (ii)  as many of the rest
  the others: nothing is left that would pay for a unit                       (i)

What pays is section 4's calculation on the residual: see `metrics.residual_spectrum`. (v) says that gamma, and
with it the KL term, does not explain why the units are dead; whether depth, the start or the budget does is for
`tfcollapse blame` to settle.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np

from tfcollapse.diagnosis.measurements import Measurements
from tfcollapse.metrics import posterior
from tfcollapse.metrics import residual_spectrum as revival

HEALTHY, UNDECIDED = "healthy", "undecided"
MEANING = {
    "healthy": "every unit is in use",
    "i": "superfluous units at the prior: harmless",
    "ii": "the decoder variance gamma (or beta, or a loss averaged over pixels) is too large",
    "iii": "the decoder's own covariance has degenerated on a few images",
    "iv": "the decoder is powerful enough to predict the images without z",
    "v": "stuck: a bad local minimum, start or budget; gamma does not explain it",
    "undecided": "the measurements do not tell",
}


@dataclasses.dataclass(frozen=True)
class Thresholds:
    """Where each decision is made.

    Attributes:
      active_variance: a unit is dead at or below this Var_x[mu_j] (Burda et al. 2015).
      margin: what pays for a unit: residual variance over gamma above this; see `revival.MARGIN`.
      gamma_excess: effective gamma over eq. (10)'s above which gamma is too large.
      without_z: error with z shuffled over the mean predictor's, below which a decoder knows the images without z.
      degenerate: smallest over median of the decoder's own variances (averaged over an image's pixels), below which it
        has run off.
      bad_elsewhere: a degenerate decoder's error over the mean predictor's, above which it does not reconstruct.
    """

    active_variance: float = posterior.ACTIVE_VARIANCE
    margin: float = revival.MARGIN
    gamma_excess: float = 2.0
    without_z: float = 0.5
    degenerate: float = 1e-2
    bad_elsewhere: float = 0.5


@dataclasses.dataclass(frozen=True)
class Evidence:
    """A number that the verdict rests on.

    Attributes:
      name, value: what was measured.
      threshold: what it was held against.
      reading: what it says, in words.
    """

    name: str
    value: float
    threshold: float
    reading: str

    @property
    def distance(self) -> float:
        """How many times the value would have to change to cross the threshold; 1 is on it."""
        low, high = sorted((abs(self.value), abs(self.threshold)))
        return high / low if low > 0 else math.inf


@dataclasses.dataclass(frozen=True)
class Verdict:
    """A decision with its evidence.

    Attributes:
      categories: of the model: "healthy" alone, or "i" to "v" of those that some unit has, the most units first;
        "undecided" among them where the measurements do not tell for some.
      counts: units of each category; "active" among them.
      per_dimension: [latent], "active" or a category. Dead units are alike: where they have several categories, those
        with the larger KL are given the one that is nearest to life.
      evidence: what decided.
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
        """Plain numbers, lists and text."""
        found = dataclasses.asdict(self)
        for plain, each in zip(found["evidence"], self.evidence, strict=True):
            plain["distance"] = each.distance if math.isfinite(each.distance) else None
        return found | {"meaning": [MEANING[name] for name in self.categories]}


DEFAULT = Thresholds()


def decide(m: Measurements, thresholds: Thresholds = DEFAULT) -> Verdict:
    """The verdict on a VAE's measurements; see the module's docstring for the rules."""
    alive = posterior.active_units(m.latent_variance, thresholds.active_variance)
    dead = int((~alive).sum())
    counts, evidence = _kinds(m, thresholds, dead) if dead else ({}, [])
    counts = {name: count for name, count in counts.items() if count}
    order = sorted(counts, key=lambda name: -counts[name])
    return Verdict(
        categories=tuple(order) or (HEALTHY,),
        counts={"active": int(alive.sum()), **counts},
        per_dimension=_per_dimension(m, alive, counts),
        evidence=(_nearest_unit(m, thresholds), *evidence),
        notes=tuple(_notes(m, thresholds, alive)),
        change=_change(order[0] if order else HEALTHY, m, thresholds),
    )


def _kinds(m: Measurements, t: Thresholds, dead: int) -> tuple[dict[str, int], list[Evidence]]:
    """How many of the dead units are of each category, and what says so."""
    if m.own_variances is not None:
        return _degenerate(m, t, dead)
    counts, evidence = _without_z(m, t, dead) if m.autoregressive else ({}, [])
    if counts:
        return counts, evidence
    counts, more = _by_gamma(m, t, dead)
    return counts, evidence + more


def _nearest_unit(m: Measurements, t: Thresholds) -> Evidence:
    nearest = min(m.latent_variance, key=lambda value: abs(math.log(max(value, 1e-30) / t.active_variance)))
    return Evidence(
        "Var[mu_j] of the unit nearest to the threshold",
        float(nearest),
        t.active_variance,
        f"{int((m.latent_variance > t.active_variance).sum())} of {m.latent_dim} units are active",
    )


def _degenerate(m: Measurements, t: Thresholds, dead: int) -> tuple[dict[str, int], list[Evidence]]:
    assert m.own_variances is not None
    smallest, median = m.own_variances[0], m.own_variances[2]
    share, error = smallest / median, m.error_at_mean / m.mean_predictor_error
    evidence = [
        Evidence(
            "the decoder's own variance: its least image over its median one",
            share,
            t.degenerate,
            _side(share < t.degenerate, "the density has run off to a few images", "no image's density has run off"),
        ),
        Evidence(
            "error over the mean predictor's",
            error,
            t.bad_elsewhere,
            _side(error > t.bad_elsewhere, "z reconstructs little", "z reconstructs"),
        ),
    ]
    if share < t.degenerate and error > t.bad_elsewhere:
        return {"iii": dead}, evidence
    counts, more = _by_gamma(m, t, dead)
    return counts, evidence + more


def _without_z(m: Measurements, t: Thresholds, dead: int) -> tuple[dict[str, int], list[Evidence]]:
    ratio = m.shuffled_error / m.mean_predictor_error
    reading = _side(ratio < t.without_z, "the decoder knows the images without z", "without its z it knows little")
    evidence = [Evidence("error with z of another image, over the mean predictor's", ratio, t.without_z, reading)]
    return ({"iv": dead} if ratio < t.without_z else {}), evidence


def _by_gamma(m: Measurements, t: Thresholds, dead: int) -> tuple[dict[str, int], list[Evidence]]:
    """(v), (ii) and (i): what the residual would pay for at the effective gamma, and at eq. (10)'s."""
    best = m.optimal_gamma
    if _too_few(m, t, dead):
        reading = f"too few images to measure the residual's directions for {dead} dead units"
        return {UNDECIDED: dead}, [Evidence("images", float(m.images), 2.0 * (dead + 1), reading)]
    would = min(dead, revival.count_viable_directions(m.residual_variances, best, t.margin))
    top = float(m.residual_variances[0]) if len(m.residual_variances) else 0.0
    at_best = Evidence(
        "margin of a dead unit at gamma = eq. (10): residual variance over gamma",
        top / best,
        t.margin,
        f"{would} of {dead} dead units are above: worth reviving",
    )
    effective_gamma = m.effective_gamma
    if effective_gamma is None:
        unknown = Evidence("units that show gamma, which is not declared", 0.0, 1.0, "declare gamma, times beta")
        return {UNDECIDED: would, "i": dead - would}, [at_best, unknown]
    stuck = min(dead, revival.count_viable_directions(m.residual_variances, effective_gamma, t.margin))
    large = effective_gamma > t.gamma_excess * best
    reading = _side(large, "gamma is too large for the error", "gamma fits the error")
    excess = Evidence("effective gamma over eq. (10)", effective_gamma / best, t.gamma_excess, reading)
    at_force = Evidence(
        "margin of a dead unit at the effective gamma",
        top / effective_gamma,
        t.margin,
        f"{stuck} of {dead} dead units are above and should be alive: worth "
        f"{revival.worth(m.residual_variances[:stuck], effective_gamma).sum():.3g} nats an image",
    )
    lost = max(0, would - stuck) if large else 0
    return {"v": stuck, "ii": lost, "i": dead - stuck - lost}, [at_force, at_best, excess]


def _too_few(m: Measurements, t: Thresholds, dead: int) -> bool:
    """Whether directions beyond the measured ones (half the images, less one) might pay for a dead unit."""
    measured = m.residual_variances
    if len(measured) >= min(dead, m.dimensions):
        return False
    return len(measured) == 0 or bool(measured[-1] > t.margin * m.optimal_gamma)


def _side(so: bool, then: str, otherwise: str) -> str:
    return then if so else otherwise


def _per_dimension(m: Measurements, alive: np.ndarray, counts: dict[str, int]) -> tuple[str, ...]:
    labels = ["active"] * m.latent_dim
    waiting = [name for name in ("v", "ii", UNDECIDED, "iii", "iv", "i") for _ in range(counts.get(name, 0))]
    dead = [unit for unit in np.argsort(-m.kl_per_dimension, kind="stable") if not alive[unit]]
    for unit, name in zip(dead, waiting, strict=True):
        labels[unit] = name
    return tuple(labels)


def _notes(m: Measurements, t: Thresholds, alive: np.ndarray) -> list[str]:
    notes = []
    if m.gamma is not None and m.implied_gamma is not None and m.effective_gamma != m.gamma:
        notes.append(
            f"the active units behave as under gamma {m.implied_gamma:.3g}, {m.implied_gamma / m.gamma:.3g} times the "
            f"declared {m.gamma:.3g}, and the verdict goes by that: is the squared error averaged over the "
            f"{m.dimensions} pixels (gamma = d / 2), is the KL weighted, or has training just begun?"
        )
    if m.gamma is None and m.implied_gamma is not None:
        notes.append(f"gamma was not declared: the active units behave as under gamma {m.implied_gamma:.3g}")
    if alive.sum() > 1 and m.effective_rank < 0.5 * alive.sum():
        notes.append(f"the means of the {int(alive.sum())} active units fill {m.effective_rank:.2g} directions")
    off = int((~alive & (m.kl_per_dimension > posterior.ACTIVE_KL)).sum())
    if off:
        notes.append(f"{off} dead units are not at the prior: their mu_j is constant, but their KL is above 0.01 nats")
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


def _change(first: str, m: Measurements, t: Thresholds) -> str:
    top = float(m.residual_variances[0]) if len(m.residual_variances) else 0.0
    return {
        HEALTHY: "nothing to mend",
        "i": "nothing to mend; fewer latents would do, or data with more to say",
        "ii": f"gamma below {top / t.margin:.3g} revives the first unit; learn gamma, or set it to "
        f"{m.optimal_gamma:.3g} (eq. (10)); with beta, the product counts",
        "iii": "one gamma for all pixels and images, or a floor under the decoder's variances",
        "iv": "a decoder that sees less of the image (a smaller receptive field, dropout on its input)",
        "v": f"run `tfcollapse blame`; a gamma above {top / t.margin:.3g} would make the collapse gamma's doing",
        UNDECIDED: "more images, or gamma (times beta) declared: what the evidence says is missing",
    }[first]
