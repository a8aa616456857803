"""Sort the latent units of a VAE into those in use, the weak ones and the dead ones."""

from __future__ import annotations

import dataclasses

import numpy as np

from tfcollapse.diagnosis.evidence import Thresholds
from tfcollapse.diagnosis.measurements import Measurements
from tfcollapse.metrics import posterior


@dataclasses.dataclass(frozen=True)
class Units:
    """The units of a VAE by their use.

    Attributes:
      active: bool [latent], Var[mu_j] above the threshold, and a KL above 0.01 nats.
      dead: indices of the others, the one of the largest KL first.
      weak: indices of the active units that do little, the one of the smallest KL first. These are the units near the
        prior (mean sigma_z above 0.9), and as many as repeat what others say: `Measurements.repeated_units`.
    """

    active: np.ndarray
    dead: tuple[int, ...]
    weak: tuple[int, ...]


def sort_units(m: Measurements, t: Thresholds) -> Units:
    """Sort the units of a VAE by its measurements."""
    active = posterior.active_units(m.latent_variance, t.active_variance)
    active &= posterior.active_units(m.kl_per_dimension, t.active_kl)
    by_kl = np.argsort(m.kl_per_dimension, kind="stable")
    dead = tuple(int(unit) for unit in np.argsort(-m.kl_per_dimension, kind="stable") if not active[unit])
    near_prior = [int(unit) for unit in by_kl if active[unit] and m.sigma[unit] > t.near_prior]
    others = [int(unit) for unit in by_kl if active[unit] and unit not in near_prior]
    return Units(active, dead, (*near_prior, *others[: max(0, m.repeated_units - len(near_prior))]))
