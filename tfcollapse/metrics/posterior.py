"""Measure how much of the latent space a diagonal Gaussian posterior uses."""

from __future__ import annotations

import numpy as np

ACTIVE_VARIANCE = 0.01
"""Var_x[mu_j] above which a unit is active (Burda et al. 2015)."""
ACTIVE_KL = 0.01
"""Nats above which a unit is active by its KL."""
SIGMA_BINS = np.linspace(0.0, 1.2, 49)
"""Edges of the bins of sigma_z in Figure 2."""
SIGMA_NEAR_PRIOR = 0.9
"""sigma_z above which a latent of an image counts as near the prior, whose sigma is 1."""


def active_units(latent_variance: np.ndarray, threshold: float = ACTIVE_VARIANCE) -> np.ndarray:
    """Tell which latent dimensions carry information: Var_x[mu_j(x)] > threshold (Burda et al. 2015).

    Args:
      latent_variance: [latent], of the posterior mean over a data set; or the KL per dimension, with ACTIVE_KL.

    Returns:
      bool [latent].
    """
    return latent_variance > threshold


def kl_per_dimension(mean: np.ndarray, log_variance: np.ndarray) -> np.ndarray:
    """Return KL[q(z_j | x) || N(0, 1)] in nats, averaged over the data set.

    It is the last three terms of eq. (4), halved, with the constant that makes it 0 at the prior.

    Args:
      mean, log_variance: [n, latent].

    Returns:
      [latent].
    """
    mean, log_variance = mean.astype(np.float64), log_variance.astype(np.float64)
    return np.mean(0.5 * (mean**2 + np.exp(log_variance) - log_variance - 1.0), axis=0)


def sigma_histogram(log_variance: np.ndarray, bins: np.ndarray = SIGMA_BINS) -> np.ndarray:
    """Return the share of the (image, dimension) pairs whose sigma_z falls in each bin, as in Figure 2.

    Args:
      log_variance: [n, latent].
      bins: ascending edges. What lies outside them counts to the first or the last bin.

    Returns:
      [len(bins) - 1], sums to 1.
    """
    sigma = np.clip(np.exp(0.5 * log_variance.astype(np.float64)), bins[0], bins[-1])
    return np.histogram(sigma, bins)[0] / sigma.size


def effective_rank(covariance: np.ndarray) -> float:
    """Return how many directions the means fill: exp of the entropy of the covariance's eigenvalues.

    Args:
      covariance: [latent, latent], of the posterior mean over a data set.

    Returns:
      A number from 1 to latent (Roy & Vetterli 2007); 0 where nothing varies, nan where the covariance is not finite.
    """
    if not np.isfinite(covariance).all():
        return float("nan")
    values = np.clip(np.linalg.eigvalsh(covariance), 0.0, None)
    total = values.sum()
    if total <= 0:
        return 0.0
    shares = values[values > 0] / total
    return float(np.exp(-(shares * np.log(shares)).sum()))


def repeated_units(covariance: np.ndarray, least: float = 1e-3) -> int:
    """Count the units whose means say nothing that others do not say.

    Args:
      covariance: [units, units], of the posterior means of the active units over a data set.
      least: an eigenvalue of the means' correlation below this is none; duplicates have one of 0. The smallest of
        trained networks whose means are correlated was 0.007.

    Returns:
      How many eigenvalues of the correlation are below `least`.
    """
    if not len(covariance):
        return 0
    deviation = np.sqrt(np.diag(covariance))
    return int((np.linalg.eigvalsh(covariance / np.outer(deviation, deviation)) < least).sum())
