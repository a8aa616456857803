"""What a reconstruction error is held against: the mean predictor, PCA, and the affine VAE at the same gamma."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tfcollapse.mapped import blocks

_BLOCK_PIXELS = 1 << 23
_EXACT = 4_096
_OVERSAMPLING, _ITERATIONS = 32, 8


@dataclass(frozen=True)
class Spectrum:
    """Eigenvalues of the centred covariance (1/n) of images scaled to [0, 1].

    Errors are per pixel, (1/nd) sum of squares.

    Attributes:
      eigenvalues: [>= latent_dim], the largest, descending; further ones need not be known.
      total: the sum of all d of them, the variance summed over pixels.
      dimensions: d.
    """

    eigenvalues: np.ndarray
    total: float
    dimensions: int

    @property
    def mean_predictor(self) -> float:
        """gamma-bar of Prop. 1: the error of a decoder that ignores z."""
        return self.total / self.dimensions

    def pca(self, latent_dim: int) -> float:
        """The error of the best linear autoencoder: no linear-output autoencoder above it has reached its capacity."""
        return max(0.0, self.total - float(self.eigenvalues[:latent_dim].sum())) / self.dimensions

    def affine_active_units(self, latent_dim: int, gamma: float) -> int:
        """Latents that a VAE with affine encoder and decoder keeps at this gamma: eigenvalues above it (section 4)."""
        return int((self.eigenvalues[:latent_dim] > gamma).sum())

    def affine_error(self, latent_dim: int, gamma: float) -> float:
        """That VAE's error with z sampled, eq. (8).

        A kept direction of variance lambda is left gamma^2 / lambda by the mean, and gamma - gamma^2 / lambda by the
        sampling: gamma in all. A dropped one is left lambda.
        """
        kept = self.eigenvalues[:latent_dim]
        return self.pca(latent_dim) + float(np.minimum(kept, gamma).sum()) / self.dimensions


def spectrum(images: np.ndarray, latent_dim: int) -> Spectrum:
    """The spectrum of uint8 images [n, ...].

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
    """The mean image [d] and the variance summed over pixels, exact: sums of whole numbers."""
    dimensions = int(np.prod(images.shape[1:]))
    sums, squares = np.zeros(dimensions, np.int64), np.zeros(dimensions, np.int64)
    for block in blocks(images, max(1, _BLOCK_PIXELS // dimensions)):
        flat = block.reshape(len(block), -1).astype(np.int64)
        sums += flat.sum(axis=0)
        squares += np.einsum("ij,ij->j", flat, flat)
    mean = sums / len(images)
    return mean / 255.0, float((squares / len(images) - mean**2).sum()) / 255.0**2


def _times_covariance(images: np.ndarray, mean: np.ndarray, basis: np.ndarray | None) -> np.ndarray:
    """The covariance, [d, d], or its product with a basis [d, k], block by block."""
    columns = len(mean) if basis is None else basis.shape[1]
    product = np.zeros((len(mean), columns))
    # Half the memory and twice the speed where only a product is wanted, of which 1e-4 is asked.
    kind = np.float64 if basis is None else np.float32
    factor = None if basis is None else basis.astype(kind)
    for block in blocks(images, max(1, _BLOCK_PIXELS // len(mean))):
        centred = block.reshape(len(block), -1) / kind(255.0) - mean.astype(kind)
        product += centred.T @ (centred if factor is None else centred @ factor)
    return product / len(images)
