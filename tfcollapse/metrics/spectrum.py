"""Measure the spectrum of data: the eigenvalues of their covariance, from which PCA's error follows."""

from __future__ import annotations

import numpy as np

from tfcollapse.data.memory_mapped import blocks
from tfcollapse.theory.affine import Spectrum

_BLOCK_NUMBERS = 1 << 23
_EXACT = 4_096
_OVERSAMPLING, _ITERATIONS = 32, 8


def spectrum(data: np.ndarray, latent_dim: int, scale: float = 1.0) -> Spectrum:
    """Return the spectrum of data.

    Up to d = 4,096 numbers in an example it has all eigenvalues, in float64: of the d x d covariance, or of the n x n
    inner products where there are fewer examples. Above that (64x64x3 has 12,288) it has the largest `latent_dim`, by
    subspace iteration in ten passes over the data; the relative error of their sum is below 1e-4.

    Args:
      data: [n, ...].
      latent_dim: how many eigenvalues are needed.
      scale: the numbers are divided by it; 255 for images in uint8.
    """
    dimensions = int(np.prod(data.shape[1:]))
    mean, total = _moments(data, scale)
    if dimensions <= _EXACT:
        return Spectrum(np.clip(_all_eigenvalues(data, mean, scale)[::-1], 0.0, None), total, dimensions)
    columns = min(dimensions, latent_dim + _OVERSAMPLING)
    basis = np.random.default_rng(0).standard_normal((dimensions, columns))
    for _ in range(_ITERATIONS):
        basis = _times_covariance(data, mean, np.linalg.qr(basis)[0], scale)
    basis = np.linalg.qr(basis)[0]
    projected = basis.T @ _times_covariance(data, mean, basis, scale)
    eigenvalues = np.linalg.eigvalsh((projected + projected.T) / 2)[::-1]
    return Spectrum(np.clip(eigenvalues[:latent_dim], 0.0, None), total, dimensions)


def _moments(data: np.ndarray, scale: float) -> tuple[np.ndarray, float]:
    """Return the mean example [d] and the variance summed over numbers, of data / scale.

    Sums of uint8 are exact. Those of other numbers are taken around the mean: in the difference of two large squares,
    a column of dates would lose the variance of all others.
    """
    dimensions = int(np.prod(data.shape[1:]))
    rows, exact = max(1, _BLOCK_NUMBERS // dimensions), data.dtype == np.uint8
    kind = np.int64 if exact else np.float64
    sums, squares = np.zeros(dimensions, kind), np.zeros(dimensions, kind)
    for block in blocks(data, rows):
        flat = block.reshape(len(block), -1).astype(kind)
        sums += flat.sum(axis=0)
        squares += np.einsum("ij,ij->j", flat, flat) if exact else 0
    mean = sums / len(data)
    if not exact:
        total = sum(float(np.square(_centred(block, mean, 1.0)).sum()) for block in blocks(data, rows)) / len(data)
        return mean / scale, total / scale**2
    # Images that are all the same have a variance of 0, which the rounding of the two terms may turn negative.
    return mean / scale, max(0.0, float((squares / len(data) - mean**2).sum())) / scale**2


def _all_eigenvalues(data: np.ndarray, mean: np.ndarray, scale: float) -> np.ndarray:
    """Return all d eigenvalues of the covariance in ascending order.

    With fewer examples than numbers all but n are zero, and the others are those of the n x n inner products.
    """
    missing = len(mean) - len(data)
    if missing <= 0:
        return np.linalg.eigvalsh(_times_covariance(data, mean, None, scale))
    centred = _centred(data, mean, scale)
    return np.concatenate([np.zeros(missing), np.linalg.eigvalsh(centred @ centred.T / len(data))])


def _centred(block: np.ndarray, mean: np.ndarray, scale: float, kind: type[np.floating] = np.float64) -> np.ndarray:
    """Return a block of the data over the scale, without their mean, [n, d]."""
    return block.reshape(len(block), -1) / kind(scale) - mean.astype(kind)


def _times_covariance(data: np.ndarray, mean: np.ndarray, basis: np.ndarray | None, scale: float) -> np.ndarray:
    """Return the covariance, [d, d], or its product with a basis [d, k], summed block by block."""
    columns = len(mean) if basis is None else basis.shape[1]
    product = np.zeros((len(mean), columns))
    # float32 takes half the memory and half the time, and is exact enough for a product, where 1e-4 will do.
    kind = np.float64 if basis is None else np.float32
    factor = None if basis is None else basis.astype(kind)
    for block in blocks(data, max(1, _BLOCK_NUMBERS // len(mean))):
        centred = _centred(block, mean, scale, kind)
        product += centred.T @ (centred if factor is None else centred @ factor)
    return product / len(data)
