"""Measure the residuals of a VAE, and calculate from them whether one more unit would lower its loss.

The residual of an image is what its reconstruction leaves: x - x_hat(mu_z). R is the covariance of the residuals.

Take a collapsed unit j. Let the decoder add w z_j to its output, with some direction w, and let the encoder give z_j
the posterior that suits this best. Section 4 of the paper calculates for the data what that does to the loss, eq. (4).
Here the residuals take the place of the data. The loss becomes lower if and only if the variance of the residuals along
w is above gamma: w' R w / w'w > gamma. Along the best w that variance is the largest eigenvalue of R. So the margin of
a unit is

  m = lambda_max(R) / gamma.

Where m is above 1, the unit would gain (m - 1 - log m) / 2 nats an image. A dead unit whose margin is well above 1 is
not dead because of gamma: the loss would be lower with it. (This is the stability criterion of the residual operator,
Li 2026, for a decoder that is free to use any direction.)
"""

from __future__ import annotations

import numpy as np
from scipy.sparse.linalg import eigsh

MARGIN = 1.5
"""Above this margin a unit counts as wrongly dead. Revived, it has Var[mu_j] > 1 - 1 / 1.5 and a KL above 0.2."""

_SMALL = 256


def without_linear_part(residuals: np.ndarray, means: np.ndarray) -> np.ndarray:
    """Return the residuals without what is linear in the posterior's means.

    At a large gamma an active unit shrinks its direction: gamma^2 / lambda of it is left. That is linear in the unit's
    own mean, and no further unit could gain it.

    Args:
      residuals: [n, d].
      means: [n, units], of the active units.
    """
    if not means.shape[1] or len(means) <= 4 * means.shape[1]:
        return residuals
    design = np.concatenate([means, np.ones((len(means), 1))], axis=1).astype(np.float64)
    coefficients = np.linalg.lstsq(design, residuals.astype(np.float64), rcond=None)[0]
    return (residuals - design @ coefficients).astype(residuals.dtype)


def held_out_variances(residuals: np.ndarray, count: int) -> np.ndarray:
    """Return the variance of the residuals along their main directions, largest first.

    The directions are found on one half of the images, and the variance is measured on the other half. On the same
    images it would come out too large: for n = d images of pure noise four times. Measured this way it is at most
    lambda_max(R) in expectation.

    Args:
      residuals: [n, d], of images in random order: every other one belongs to the second half.
      count: how many directions.

    Returns:
      [min(count, d, n / 4)], mean over images of the squared projection; the two halves change roles, and their
      results are averaged.
    """
    halves = [half - half.mean(axis=0) for half in (residuals[::2], residuals[1::2])]
    count = min(count, residuals.shape[1], len(residuals) // 4)
    if count < 1:
        return np.zeros(0)
    first, second = (np.square(halves[1 - i] @ _directions(halves[i], count)).mean(axis=0) for i in (0, 1))
    return (first + second) / 2


def count_viable_directions(variances: np.ndarray, gamma: float, margin: float = MARGIN) -> int:
    """Count the main directions whose variance is above margin * gamma: as many units would lower the loss there.

    Counting ends with the first direction that is not: held-out variances of the last directions are noise.
    """
    above = variances > margin * gamma
    return int(len(above) if above.all() else np.argmin(above))


def worth(variances: np.ndarray, gamma: float) -> np.ndarray:
    """Return the nats an image that a unit along each direction would gain: (m - 1 - log m) / 2, or 0 where m <= 1."""
    margin = np.maximum(np.asarray(variances, np.float64) / gamma, 1.0)
    return 0.5 * (margin - 1.0 - np.log(margin))


def _directions(centred: np.ndarray, count: int) -> np.ndarray:
    """Return the main directions of [n, d] as columns, the one of the largest variance first."""
    dimensions = centred.shape[1]
    if dimensions <= _SMALL or count >= dimensions // 4:
        return np.linalg.eigh(centred.T @ centred)[1][:, ::-1][:, :count]
    start = np.asarray(np.random.default_rng(0).standard_normal(dimensions), centred.dtype)
    values, vectors = (
        eigsh(centred.T @ centred, k=count, v0=start, tol=1e-3) if dimensions <= 4_096 else _gram(centred, count)
    )
    return vectors[:, np.argsort(values)[::-1]]


def _gram(centred: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the largest eigenvalues and their vectors, by the n x n matrix of products, where n is below d."""
    values, vectors = np.linalg.eigh(centred @ centred.T)
    values, vectors = values[-count:], vectors[:, -count:]
    return values, centred.T @ vectors / np.sqrt(np.maximum(values, np.finfo(centred.dtype).tiny))
