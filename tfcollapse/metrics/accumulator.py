"""Sum the statistics of a VAE's posterior and errors over blocks of images, in float64."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tfcollapse.metrics import posterior


class PosteriorAccumulator:
    """Statistics of a data set that is seen block by block. Memory does not grow with the number of images.

    Numbers of a diverged model are not finite, and are summed as they are, without a warning.

    Args:
      dimensions: d, pixels times channels of an image.
      covariance: whether to sum the covariance of the means too, [latent, latent].

    Attributes:
      count: images seen so far.
    """

    def __init__(self, dimensions: int, *, covariance: bool = False):
        self.dimensions, self.count = dimensions, 0
        self._with_covariance = covariance
        self._sums: dict[str, Any] = {}
        self._mean = self._scatter = np.zeros(())

    @np.errstate(over="ignore", invalid="ignore")
    def add(
        self, mean: np.ndarray, log_variance: np.ndarray | None, sampled_error: np.ndarray, mean_error: np.ndarray
    ) -> None:
        """Add a block of images.

        Args:
          mean: [n, latent], of the posterior.
          log_variance: [n, latent]; None for an AE, which has no posterior.
          sampled_error, mean_error: [n], squared error summed over pixels, at one sample of z and at its mean.
        """
        size = len(mean)
        block_sums: dict[str, Any] = {
            "sampled_error": sampled_error.sum(dtype=np.float64),
            "mean_error": mean_error.sum(dtype=np.float64),
        }
        if log_variance is not None:
            sigma = np.exp(0.5 * log_variance.astype(np.float64))
            block_sums |= {
                "kl": size * posterior.kl_per_dimension(mean, log_variance),
                "sigma": sigma.sum(axis=0),
                "above": (log_variance > 2 * np.log(posterior.SIGMA_NEAR_PRIOR)).sum(),
                "histogram": size * posterior.sigma_histogram(log_variance),
            }
        self._sums = {name: self._sums.get(name, 0.0) + part for name, part in block_sums.items()}
        self._add_moments(mean)

    def _add_moments(self, latents: np.ndarray) -> None:
        """Update the mean of the latents and their sum of squares about it.

        Both follow from those of the two parts and from the distance of the parts' means (Chan et al. 1979).
        """
        size, total = len(latents), self.count + len(latents)
        mean = latents.mean(axis=0, dtype=np.float64)
        distance = mean - self._mean
        if self._with_covariance:
            centred = latents - mean
            within, squared_distance = centred.T @ centred, np.multiply.outer(distance, distance)
        else:
            within, squared_distance = size * latents.var(axis=0, dtype=np.float64), distance**2
        self._scatter = self._scatter + within + squared_distance * self.count * size / total
        self._mean, self.count = self._mean + distance * size / total, total

    @property
    def error(self) -> float:
        """Squared error per pixel, averaged over images, at a sample of z: eq. (8)."""
        return float(self._sums["sampled_error"] / (self.count * self.dimensions))

    @property
    def error_at_mean(self) -> float:
        """Squared error per pixel, averaged over images, at the posterior's mean."""
        return float(self._sums["mean_error"] / (self.count * self.dimensions))

    @property
    def covariance(self) -> np.ndarray:
        """Cov_x[mu(x)], [latent, latent], where it is summed."""
        assert self._with_covariance
        return self._scatter / self.count

    @property
    def latent_variance(self) -> np.ndarray:
        """Var_x[mu_j(x)], [latent]."""
        return np.diag(self.covariance).copy() if self._with_covariance else self._scatter / self.count

    @property
    def kl_per_dimension(self) -> np.ndarray:
        """KL[q(z_j | x) || N(0, 1)] in nats, averaged over images, [latent]."""
        return self._sums["kl"] / self.count

    @property
    def sigma(self) -> np.ndarray:
        """sigma_z,j averaged over images, [latent]."""
        return self._sums["sigma"] / self.count

    @property
    def sigma_histogram(self) -> np.ndarray:
        """Share of the (image, dimension) pairs in each of `posterior.SIGMA_BINS`."""
        return self._sums["histogram"] / self.count

    @property
    def share_near_prior(self) -> float:
        """Share of the (image, dimension) pairs whose sigma_z is above `posterior.SIGMA_NEAR_PRIOR`."""
        return float(self._sums["above"] / (self.count * math.prod(self.sigma.shape)))
