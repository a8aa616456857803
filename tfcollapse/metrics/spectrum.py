"""Measure the spectrum of images: the eigenvalues of their covariance, from which PCA's error follows."""

from __future__ import annotations

import numpy as np

from tfcollapse.data.memory_mapped import blocks
from tfcollapse.theory.affine import Spectrum

_BLOCK_PIXELS = 1 << 23
_EXACT = 4_096
_OVERSAMPLING, _ITERATIONS = 32, 8


def spectrum(images: np.ndarray, latent_dim: int) -> Spectrum:
    """Return the spectrum of images.

    Up to d = 4,096 pixels times channels it has all eigenvalues, from the d x d covariance in float64. Above that
    (64x64x3 has 12,288) it has the largest `latent_dim`, by subspace iteration in ten passes over the images; the
    relative error of their sum is below 1e-4.

    Args:
      images: [n, ...], uint8 (0 to 255 stands for 0 to 1) or float.
      latent_dim: how many eigenvalues are needed.
    """
    dimensions = int(np.prod(images.shape[1:]))
    mean, total = _moments(images)
    if dimensions <= _EXACT:
        covariance = _times_covariance(images, mean, None)
        return Spectrum(np.clip(np.linalg.eigvalsh(covariance)[::-1], 0.0, None), total, dimensions)
    columns = min(dimensions, latent_dim + _OVERSAMPLING)
    basis = np.random.default_rng(0).standard_normal((dimensions, columns))
    for _ in range(_ITERATIONS):
        basis = _times_covariance(images, mean, np.linalg.qr(basis)[0])
    basis = np.linalg.qr(basis)[0]
    projected = basis.T @ _times_covariance(images, mean, basis)
    eigenvalues = np.linalg.eigvalsh((projected + projected.T) / 2)[::-1]
    return Spectrum(np.clip(eigenvalues[:latent_dim], 0.0, None), total, dimensions)


def _moments(images: np.ndarray) -> tuple[np.ndarray, float]:
    """Return the mean image [d] and the variance summed over pixels, of images in [0, 1]. Sums of uint8 are exact."""
    dimensions, whole = int(np.prod(images.shape[1:])), images.dtype == np.uint8
    kind, scale = (np.int64, 255.0) if whole else (np.float64, 1.0)
    sums, squares = np.zeros(dimensions, kind), np.zeros(dimensions, kind)
    for block in blocks(images, max(1, _BLOCK_PIXELS // dimensions)):
        flat = block.reshape(len(block), -1).astype(kind)
        sums += flat.sum(axis=0)
        squares += np.einsum("ij,ij->j", flat, flat)
    mean = sums / len(images)
    return mean / scale, float((squares / len(images) - mean**2).sum()) / scale**2


def _times_covariance(images: np.ndarray, mean: np.ndarray, basis: np.ndarray | None) -> np.ndarray:
    """Return the covariance, [d, d], or its product with a basis [d, k], summed block by block."""
    columns = len(mean) if basis is None else basis.shape[1]
    product = np.zeros((len(mean), columns))
    # float32 takes half the memory and half the time, and is exact enough for a product, where 1e-4 will do.
    kind = np.float64 if basis is None else np.float32
    scale = 255.0 if images.dtype == np.uint8 else 1.0
    factor = None if basis is None else basis.astype(kind)
    for block in blocks(images, max(1, _BLOCK_PIXELS // len(mean))):
        centred = block.reshape(len(block), -1) / kind(scale) - mean.astype(kind)
        product += centred.T @ (centred if factor is None else centred @ factor)
    return product / len(images)
