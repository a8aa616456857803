"""The lines a reconstruction error is held against: the PCA floor and the mean predictor's ceiling."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

_BLOCK = 8_192


class Reference(NamedTuple):
    """Squared errors per pixel, (1/nd) sum, with pixels in [0, 1].

    Attributes:
      mean_predictor: gamma-bar of Prop. 1, the error of a decoder that ignores z.
      pca: the error of the best linear autoencoder with as many latent dimensions: no linear-output
        autoencoder above it has reached its own capacity.
    """

    mean_predictor: float
    pca: float


def spectrum(images: np.ndarray) -> np.ndarray:
    """Eigenvalues of the centred covariance (1/n) of uint8 images scaled to [0, 1]: [d], descending.

    Computed from the d x d second moment in float64, block by block.
    """
    flat = images.reshape(len(images), -1)
    mean = flat.mean(axis=0, dtype=np.float64) / 255.0
    moment = np.zeros((flat.shape[1], flat.shape[1]))
    for start in range(0, len(flat), _BLOCK):
        block = flat[start : start + _BLOCK] / 255.0 - mean
        moment += block.T @ block
    return np.clip(np.linalg.eigvalsh(moment / len(flat))[::-1], 0.0, None)


def reference(eigenvalues: np.ndarray, latent_dim: int) -> Reference:
    """Both lines from the data's `spectrum` and kappa = `latent_dim`."""
    return Reference(float(eigenvalues.mean()), float(eigenvalues[latent_dim:].sum() / len(eigenvalues)))
