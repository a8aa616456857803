"""Should a collapsed unit be dead at this gamma? What one more unit could do with what the model leaves unexplained.

Give a collapsed unit j the direction w in the output, x_hat + w z_j, and the posterior that suits it. Then eq. (4) is
lower than without it if and only if gamma < w' R w / w'w, with R the covariance of the residual x - x_hat(mu_z): the
calculation of section 4, with the residual in the place of the data. At the best w the ratio is the margin

  m = lambda_max(R) / gamma,

and the unit is worth (m - 1 - log m) / 2 nats an image. A dead unit whose margin is well above 1 is not dead because of
gamma. (The residual operator's stability criterion, Li 2026, with a decoder free to use any direction.)
"""

from __future__ import annotations

import numpy as np
from scipy.sparse.linalg import eigsh

MARGIN = 1.5
"""Above it a unit counts as wrongly dead: it would have Var[mu_j] = 1 - 1 / 1.5, and a KL of 0.2 nats."""

_SMALL = 256


def held_out_variances(residuals: np.ndarray, count: int) -> np.ndarray:
    """Variance of the residual along its main directions, found on one half of the images, measured on the other.

    A direction that is found and measured on the same images looks larger than it is (at n = d, four times, of noise
    alone). This errs to the other side: it is at most lambda_max(R) in expectation.

    Args:
      residuals: [n, d], images in random order, or neighbours unrelated: every other one is a half.
      count: of directions.

    Returns:
      [min(count, d, n / 2 - 1)], in the order found: mean over images of the squared projection, over both halves.
    """
    halves = [half - half.mean(axis=0) for half in (residuals[::2], residuals[1::2])]
    count = min(count, residuals.shape[1], len(halves[1]) - 1)
    if count < 1:
        return np.zeros(0)
    first, second = (np.square(halves[1 - i] @ _directions(halves[i], count)).mean(axis=0) for i in (0, 1))
    return (first + second) / 2


def count_viable_directions(variances: np.ndarray, gamma: float, margin: float = MARGIN) -> int:
    """How many dead units one could revive at this gamma: directions whose variance is above margin * gamma."""
    return int((variances > margin * gamma).sum())


def worth(variances: np.ndarray, gamma: float) -> np.ndarray:
    """Nats an image that a unit along each direction would gain, (m - 1 - log m) / 2; 0 where m <= 1."""
    margin = np.maximum(np.asarray(variances, np.float64) / gamma, 1.0)
    return 0.5 * (margin - 1.0 - np.log(margin))


def _directions(centred: np.ndarray, count: int) -> np.ndarray:
    """The main directions of [n, d], as columns, descending."""
    dimensions = centred.shape[1]
    if dimensions <= _SMALL or count >= dimensions // 4:
        return np.linalg.eigh(centred.T @ centred)[1][:, ::-1][:, :count]
    start = np.asarray(np.random.default_rng(0).standard_normal(dimensions), centred.dtype)
    values, vectors = (
        eigsh(centred.T @ centred, k=count, v0=start, tol=1e-3) if dimensions <= 4_096 else _gram(centred, count)
    )
    return vectors[:, np.argsort(values)[::-1]]


def _gram(centred: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Through the n x n matrix of products, where n is smaller than d."""
    values, vectors = np.linalg.eigh(centred @ centred.T)
    values, vectors = values[-count:], vectors[:, -count:]
    return values, centred.T @ vectors / np.sqrt(np.maximum(values, np.finfo(centred.dtype).tiny))
