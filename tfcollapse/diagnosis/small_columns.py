"""Find the columns of a table that count too little in a squared error to be reconstructed."""

from __future__ import annotations

import numpy as np

_LOST, _HALF = 0.95, 0.5
_VARIES = 1e-9
"""Variance over the largest one from which on a column is more than a constant with rounding errors."""


def unreconstructed(table: np.ndarray, squared_residual: np.ndarray, latent_dim: int) -> tuple[int, float]:
    """Count the columns that are not reconstructed, and give their largest variance.

    A column is not reconstructed where the error leaves at least 0.95 of its variance; or at least half of it, and at
    least twice what PCA with as many components would leave if every column had a variance of 1. The second condition
    keeps a VAE from blame that has too few units for half of the variance of every column.

    Args:
      table: [n, d], float64, rows of the data.
      squared_residual: [d], mean over the data of the squared error of every column, z sampled.
      latent_dim: units of the VAE.

    Returns:
      How many there are, and the largest variance among them over the largest of all. Columns that do not vary are
      left out.
    """
    variance = table.var(axis=0)
    varies = variance > _VARIES * variance.max()
    left = squared_residual[varies] / variance[varies]
    lost = (left >= _LOST) | ((left >= _HALF) & (left >= 2 * _left_of_standardised(table[:, varies], latent_dim)))
    return int(lost.sum()), float(variance[varies][lost].max() / variance.max()) if lost.any() else 0.0


def _left_of_standardised(table: np.ndarray, components: int) -> np.ndarray:
    """Return the share of every column's variance that PCA of the standardised columns leaves, [d]."""
    standardised = (table - table.mean(axis=0)) / table.std(axis=0)
    variances, directions = np.linalg.eigh(standardised.T @ standardised / len(table))
    first = slice(max(0, len(variances) - components), None)
    return 1.0 - np.square(directions[:, first]) @ variances[first]
