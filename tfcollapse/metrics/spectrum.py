"""The spectrum of images, which says what a reconstruction error is held against: see `tfcollapse.theory.affine`."""

from __future__ import annotations

import numpy as np

from tfcollapse.data.memory_mapped import blocks
from tfcollapse.theory.affine import Spectrum

_BLOCK_PIXELS = 1 << 23
_EXACT = 4_096
_OVERSAMPLING, _ITERATIONS = 32, 8


def spectrum(images: np.ndarray, latent_dim: int) -> Spectrum:
    """The spectrum of images [n, ...], uint8 (0 to 255 taken as 0 to 1) or float.

    Up to d = 4,096 all eigenvalues, from the d x d covariance in float64. Above it (64x64x3 has 12,288) the largest
    `latent_dim`, by subspace iteration: relative error of their sum below 1e-4, in ten passes over the images.
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
    found = np.linalg.eigvalsh((projected + projected.T) / 2)[::-1]
    return Spectrum(np.clip(found[:latent_dim], 0.0, None), total, dimensions)


def _moments(images: np.ndarray) -> tuple[np.ndarray, float]:
    """The mean image [d] and the variance summed over pixels, both of images in [0, 1]; exact sums where uint8."""
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
    """The covariance, [d, d], or its product with a basis [d, k], block by block."""
    columns = len(mean) if basis is None else basis.shape[1]
    product = np.zeros((len(mean), columns))
    # Half the memory and twice the speed where only a product is wanted, of which 1e-4 is asked.
    kind = np.float64 if basis is None else np.float32
    scale = 255.0 if images.dtype == np.uint8 else 1.0
    factor = None if basis is None else basis.astype(kind)
    for block in blocks(images, max(1, _BLOCK_PIXELS // len(mean))):
        centred = block.reshape(len(block), -1) / kind(scale) - mean.astype(kind)
        product += centred.T @ (centred if factor is None else centred @ factor)
    return product / len(images)
