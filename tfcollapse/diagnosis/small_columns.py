"""Find the columns of a table that count too little in a squared error to be reconstructed."""

from __future__ import annotations

import numpy as np

_SMALL, _HALF = 0.1, 0.5
"""A column is small where its variance is below this share of the largest, lost where this share of it is left."""
_ROUNDING = 1e-6
"""A column varies where its standard deviation is above this share of its largest number: float32 has steps of 1e-7."""


def unreconstructed(
    table: np.ndarray, variance: np.ndarray, squared_residual: np.ndarray, latent_dim: int, gamma: float
) -> tuple[int, float]:
    """Count the small columns that would be reconstructed if all columns were of one scale, and are not.

    The error leaves at least half of the variance of such a column, and at least twice what the best linear VAE of as
    many units would leave of it if every column had a variance of 1 (section 4).

    Args:
      table: [n, d], float64, rows of the data.
      variance: [d], of the columns over all of the data.
      squared_residual: [d], mean over the data of the squared error of every column, z sampled.
      latent_dim: units of the VAE.
      gamma: the decoder variance of the linear VAE; where it is 1 or more, at which columns of variance 1 would all
        be noise, it is taken as 0.

    Returns:
      How many there are, and the largest variance among them over the largest of all; (0, 0.0) for none.
    """
    varies = variance > np.square(_ROUNDING * np.abs(table).max(axis=0))
    varies &= table.std(axis=0) > 0
    small = variance[varies] < _SMALL * variance.max()
    left = squared_residual[varies] / variance[varies]
    of_standardised = _left_of_standardised(table[:, varies], latent_dim, gamma if gamma < 1 else 0.0)
    lost = small & (left >= _HALF) & (left >= 2 * of_standardised)
    return int(lost.sum()), float(variance[varies][lost].max() / variance.max()) if lost.any() else 0.0


def _left_of_standardised(table: np.ndarray, units: int, gamma: float) -> np.ndarray:
    """Return the share of every column's variance that the best linear VAE of the standardised columns leaves, [d]."""
    standardised = (table - table.mean(axis=0)) / table.std(axis=0)
    variances, directions = np.linalg.eigh(standardised.T @ standardised / len(table))
    coded = np.maximum(variances - gamma, 0.0) * (np.arange(len(variances)) >= len(variances) - units)
    return 1.0 - np.square(directions) @ coded
