"""Define a number that a verdict rests on, and the thresholds at which the decisions change."""

from __future__ import annotations

import dataclasses
import math

from tfcollapse.config.annotations import arguments_checked
from tfcollapse.metrics import posterior, residual_spectrum


@arguments_checked
@dataclasses.dataclass(frozen=True)
class Thresholds:
    """The value at which each decision of a diagnosis changes.

    Attributes:
      active_variance: a unit is dead at or below this Var_x[mu_j] (Burda et al. 2015).
      active_kl: a unit is dead at or below this KL too, in nats.
      near_prior: an active unit is weak where its mean sigma_z is above this.
      margin: a unit would lower the loss where the residual's variance over gamma is above this. At
        1.5 it would have Var[mu_j] > 1/3 and a KL above 0.2 nats.
      codebook_gain: structure that no single direction shows is left where a codebook of the residuals gains more nats
        an example than this: coding an example by the nearest of K entries costs log K nats, and gains the fall of its
        squared error over 2 gamma.
      gamma_excess: gamma is too large where the effective gamma over the one that fits the error is above this.
      gamma_arrived: a learned gamma has arrived where it is within this factor of the error.
      trained: a network is trained where its error over the mean predictor's is below this.
      at_the_mean: a decoder without any active unit stands at the mean predictor where the same ratio is below this.
      second_moment: E[mu_j^2 + sigma_j^2] may be this far from 1 at a stationary point (median over units).
      squared_sigma: the E[sigma_j^2] of a unit that carries information is below this at a stationary point, where
        E[mu_j^2 + sigma_j^2] is 1.
      mean_residual: the mean residuals' share of the error may be so large at a stationary point.
      use_of_z: the error that another image's z adds, over the error, is above this where units have a KL.
      agreement: the gammas that single units imply may differ by this factor at a stationary point (quartiles).
      gap: the nats that refining the posterior gains, over the KL, may be so many at a stationary point.
      misread: an output has another meaning than it is taken for, where its error is more than this many times what
        another reading gives.
      few_images: from fewer images nothing is decided.
      fewest_images: units are called superfluous where there are at least so many images to measure what is left.
      logged: a logged reconstruction loss is that of a reading which differs by less than this factor.
      without_z: a decoder knows the images without z where the error with shuffled z, over the mean predictor's, is
        below this.
      degenerate: a decoder's own variances have run off where the smallest over the median one (each averaged over an
        image's pixels) is below this.
      bad_elsewhere: a degenerate decoder does not reconstruct where its error over the mean predictor's is above this.

    Example:
      >>> strict = tc.Thresholds(active_variance=0.05)  # `tc.diagnose` takes it as thresholds=strict
      >>> strict.active_variance, strict.active_kl
      (0.05, 0.01)
    """

    active_variance: float = posterior.ACTIVE_VARIANCE
    active_kl: float = posterior.ACTIVE_KL
    near_prior: float = posterior.SIGMA_NEAR_PRIOR
    margin: float = residual_spectrum.MARGIN
    codebook_gain: float = 1.0
    gamma_excess: float = 1.5
    gamma_arrived: float = 2.0
    trained: float = 0.95
    at_the_mean: float = 1.02
    second_moment: float = 0.5
    squared_sigma: float = 0.95
    mean_residual: float = 0.1
    use_of_z: float = 1e-3
    agreement: float = 4.0
    gap: float = 1.0
    misread: float = 2.0
    few_images: int = 10
    fewest_images: int = 64
    logged: float = 1.5
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

    Example:
      >>> evidence = tc.Evidence("share of the error", value=0.02, threshold=0.1, reading="as at a stationary point")
      >>> evidence.distance
      5.0
    """

    name: str
    value: float
    threshold: float
    reading: str

    @property
    def distance(self) -> float:
        """Return how many times larger or smaller the value would have to be to reach the threshold; 1 is on it."""
        low, high = sorted((abs(self.value), abs(self.threshold)))
        return high / low if low > 0 else math.inf
