"""Compute section 4 in closed form: the VAE whose decoder mean is affine, mu_x = W z + b.

Everything follows from the eigenvalues lambda_1 >= ... >= lambda_d of the CENTRED covariance (1/n) of the data. Where
the encoder's moments are optimal, eq. (4) is

  tr(S C^-1) + sum_j log(1 + |w_j|^2 / gamma) + kappa + d log gamma,   C = W W' + gamma I.

This is at least -2 log p(x) of probabilistic PCA (Hadamard's inequality). Both are equal where the columns of W are
orthogonal. Energies are those of eq. (4): nats times two, averaged over data points, without d log 2 pi. Errors are
squared errors per coordinate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tfcollapse.errors import ConfigError
from tfcollapse.theory import arguments

_ZERO = 1e-12


@dataclass(frozen=True)
class Spectrum:
    """The spectrum of the centred covariance (1/n) of a data set.

    Attributes:
      eigenvalues: the largest eigenvalues, [>= latent_dim], in descending order; smaller ones need not be known.
      total: the sum of all d eigenvalues, which is the variance summed over coordinates.
      dimensions: d, the number of coordinates.

    Example:
      >>> from tfcollapse.theory import affine
      >>> known = affine.Spectrum.of([2.0, 1.0, 0.5, 0.1])
      >>> known.active_units(4, gamma=0.7), known.error(4, gamma=0.7), round(known.optimal_gamma(2), 6)
      (2, 0.5, 0.3)
    """

    eigenvalues: np.ndarray
    total: float
    dimensions: int

    @classmethod
    def of(cls, eigenvalues: Sequence[float] | np.ndarray) -> Spectrum:
        """Return the spectrum that has these eigenvalues.

        Args:
          eigenvalues: all d eigenvalues, in any order.

        Raises:
          ConfigError: an eigenvalue is negative or not finite, or none of them is > 0.
        """
        values = np.sort(arguments.finite("eigenvalues", eigenvalues, None))[::-1]
        if values.size == 0 or values[-1] < 0 or values[0] == 0:
            raise ConfigError(f"eigenvalues: expected numbers >= 0, one of them > 0, received {list(values[:4])}")
        return cls(values, float(values.sum()), values.size)

    @property
    def mean_predictor(self) -> float:
        """Return gamma-bar of Prop. 1: the squared error per coordinate of a decoder that ignores z."""
        return self.total / self.dimensions

    def pca(self, latent_dim: int) -> float:
        """Return the squared error per coordinate of the best linear autoencoder.

        An autoencoder with a linear output whose error is above it has not reached its capacity.

        Raises:
          ConfigError: latent_dim is negative, or larger than d or than the number of known eigenvalues.
        """
        return max(0.0, self.total - float(self._first(latent_dim).sum())) / self.dimensions

    def active_units(self, latent_dim: int, gamma: float) -> int:
        """Return the number of latents that a fixed gamma keeps: the eigenvalues ABOVE it (section 4 prints "smaller").

        Raises:
          ConfigError: gamma <= 0, or latent_dim is not possible.
        """
        return int((self._first(latent_dim) > arguments.positive("gamma", gamma)).sum())

    def error(self, latent_dim: int, gamma: float) -> float:
        """Return the squared error per coordinate with z sampled, eq. (8).

        The error along a kept direction of variance lambda is gamma in all: the mean leaves gamma^2 / lambda, and the
        sampling adds gamma - gamma^2 / lambda. The error along a dropped direction is lambda.

        Raises:
          ConfigError: gamma <= 0, or latent_dim is not possible.
        """
        kept = self._first(latent_dim)
        return (
            self.pca(latent_dim) + float(np.minimum(kept, arguments.positive("gamma", gamma)).sum()) / self.dimensions
        )

    def latent_variance(self, latent_dim: int, gamma: float) -> np.ndarray:
        """Return sigma_z,j^2 = min(1, gamma / lambda_j), which is the same for every data point: [latent_dim].

        Raises:
          ConfigError: gamma <= 0, or latent_dim is not possible.
        """
        kept = self._first(latent_dim)
        return np.minimum(1.0, arguments.positive("gamma", gamma) / np.maximum(kept, np.finfo(float).tiny))

    def optimal_gamma(self, latent_dim: int) -> float:
        """Return gamma* of eq. (10) where everything else is optimal too: the mean of the discarded eigenvalues.

        Raises:
          ConfigError: latent_dim is not possible, or no variance is discarded. In the latter case gamma falls to 0 and
            eq. (4) has no minimum.
        """
        rest = self.total - float(self._first(latent_dim).sum())
        if latent_dim == self.dimensions or rest <= _ZERO * self.total:
            raise ConfigError(
                f"eigenvalues: expected some beyond the first latent_dim ({latent_dim}) that are not zero, received a "
                "singular spectrum: gamma falls to 0 and the energy has no minimum; use a smaller latent_dim"
            )
        return rest / (self.dimensions - latent_dim)

    def energy(self, latent_dim: int, gamma: float | None = None) -> float:
        """Return the global minimum of eq. (4), in nats times two, averaged over data points.

        Args:
          latent_dim: the number of latents.
          gamma: a fixed decoder variance; None minimises over gamma too.

        Raises:
          ConfigError: gamma <= 0, latent_dim is not possible, or there is no minimum over gamma.
        """
        gamma = self.optimal_gamma(latent_dim) if gamma is None else gamma
        return self.stationary_energy(range(self.active_units(latent_dim, gamma)), latent_dim, gamma)

    def stationary_energy(self, active: Sequence[int], latent_dim: int, gamma: float) -> float:
        """Return eq. (4) where one unit each serves the directions in `active`, and the other units are collapsed.

        The energy is k + (1 / gamma) (sum of the eigenvalues that are not served) + (sum of the logarithms of those
        that are served) + (d - k) log gamma + kappa, for k directions that are served.

        Args:
          active: different indices from 0 into the eigenvalues; () is the fully collapsed solution.
          latent_dim: kappa, the number of latents.
          gamma: the decoder variance, below every eigenvalue that is served.

        Raises:
          ConfigError: there is no such stationary point, because an eigenvalue is not above gamma, an index occurs
            twice, or there are more indices than latents.
        """
        kept = self._served(active, latent_dim, gamma)
        rest = (self.total - float(kept.sum())) / gamma
        return float(len(kept) + rest + np.log(kept).sum() + (self.dimensions - len(kept)) * np.log(gamma) + latent_dim)

    def stationary_gamma(self, active: Sequence[int]) -> float:
        """Return the optimal gamma at that stationary point: the mean of the eigenvalues that are not served.

        It is gamma-bar for ().
        """
        kept = self.eigenvalues[list(active)]
        return (self.total - float(kept.sum())) / (self.dimensions - len(kept))

    def saddle_directions(self, active: Sequence[int], latent_dim: int, gamma: float) -> int:
        """Return the number of negative eigenvalues of the Hessian of eq. (4) at that stationary point.

        A collapsed unit may grow along each direction that is not served and whose eigenvalue is above gamma. A unit
        that serves a direction may turn to each direction that is not served and has a larger eigenvalue. The number is
        0 only at the global minimum, so there are no spurious minima. All d eigenvalues must be known.

        Args:
          active, latent_dim, gamma: as in `stationary_energy`, with the same errors.
        """
        kept = self._served(active, latent_dim, gamma)
        others = np.delete(self.eigenvalues, list(active))
        turns = sum(int((others > value).sum()) for value in kept)
        return (latent_dim - len(kept)) * int((others > gamma).sum()) + turns

    def _first(self, latent_dim: int) -> np.ndarray:
        arguments.whole("latent_dim", latent_dim, 0, self.dimensions, "dimensions of the data")
        if latent_dim > len(self.eigenvalues):
            raise ConfigError(
                f"latent_dim: expected <= the {len(self.eigenvalues)} eigenvalues known, got {latent_dim}"
            )
        return self.eigenvalues[:latent_dim]

    def _served(self, active: Sequence[int], latent_dim: int, gamma: float) -> np.ndarray:
        self._first(latent_dim)
        kept = self.eigenvalues[list(active)]
        if len(set(active)) < len(kept) or len(kept) > latent_dim:
            raise ConfigError(
                f"active: expected at most latent_dim ({latent_dim}) different indices, got {list(active)}"
            )
        if (kept <= arguments.positive("gamma", gamma)).any():
            raise ConfigError(f"active: expected eigenvalues above gamma ({gamma:g}), received {kept.tolist()}")
        return kept


@dataclass(frozen=True)
class Optimum:
    """A global minimum of eq. (4) with an affine decoder. The others differ by signs and by the order of the units.

    Attributes:
      weights: W, [d, latent_dim]; column j lies along principal direction j with squared length lambda_j - gamma, or is
        zero.
      bias: b, [d], the mean of the data.
      gamma: the decoder variance, as it was given or optimal.
      encoder: [latent_dim, d], such that mu_z(x) = encoder @ (x - bias).
      latent_variance: sigma_z^2, [latent_dim].
      energy: eq. (4), nats times two, averaged over data points.

    Example:
      >>> from tfcollapse.theory import affine
      >>> data = np.random.default_rng(0).normal(size=(50, 3)) * [2.0, 1.0, 0.1]
      >>> found = affine.optimum(data, latent_dim=2, gamma=0.5)
      >>> found.weights.shape, found.encoder.shape, found.latent_variance.round(2)
      ((3, 2), (2, 3), array([0.1 , 0.73]))
    """

    weights: np.ndarray
    bias: np.ndarray
    gamma: float
    encoder: np.ndarray
    latent_variance: np.ndarray
    energy: float


def spectrum(data: np.ndarray) -> Spectrum:
    """Return the spectrum of the data [n, d].

    Raises:
      ConfigError: fewer than two points, a number that is not finite, or points that are all the same.

    Example:
      >>> from tfcollapse.theory import affine
      >>> images = tc.load(tc.Data(name="fashion_mnist_mini", train=500)).train
      >>> data = images[:, ::4, ::4].reshape(-1, 49) / 255  # every fourth pixel
      >>> known = affine.spectrum(data)
      >>> known.dimensions, known.active_units(latent_dim=8, gamma=0.05)
      (49, 8)
    """
    return Spectrum.of(np.clip(np.linalg.eigvalsh(_covariance(arguments.points("data", data))), 0.0, None))


def optimum(data: np.ndarray, latent_dim: int, gamma: float | None = None) -> Optimum:
    """Return the affine VAE that minimises eq. (4) on the data [n, d].

    Args:
      data: [n, d].
      latent_dim: the number of latents, at most d.
      gamma: a fixed decoder variance; None minimises over gamma too.

    Raises:
      ConfigError: latent_dim > d, gamma <= 0, unusable data, or a singular spectrum where gamma is to be found.

    Example:
      >>> from tfcollapse.theory import affine
      >>> images = tc.load(tc.Data(name="fashion_mnist_mini", train=500)).train
      >>> data = images[:, ::4, ::4].reshape(-1, 49) / 255  # every fourth pixel
      >>> found = affine.optimum(data, latent_dim=8)
      >>> mean = (data - found.bias) @ found.encoder.T  # mu_z
      >>> error = np.square(data - found.bias - mean @ found.weights.T).mean()
      >>> print(error < affine.spectrum(data).mean_predictor)
      True
    """
    data = arguments.points("data", data)
    known = spectrum(data)
    energy = known.energy(latent_dim, gamma)
    gamma = known.optimal_gamma(latent_dim) if gamma is None else gamma
    values, vectors = np.linalg.eigh(_covariance(data))
    values, vectors = values[::-1][:latent_dim], vectors[:, ::-1][:, :latent_dim]
    lengths = np.sqrt(np.maximum(values - gamma, 0.0))
    weights = vectors * lengths
    encoder = (vectors * (lengths / np.maximum(values, gamma))).T
    return Optimum(weights, data.mean(axis=0), gamma, encoder, known.latent_variance(latent_dim, gamma), energy)


def principal_angles(weights: np.ndarray, data: np.ndarray) -> np.ndarray:
    """Return the angles in radians, [k], between two subspaces of dimension k.

    They are the span of the columns of weights [d, k], and that of the first k principal directions of the data [n, d].

    Raises:
      ConfigError: unusable data, or weights that are not finite or not of d rows.

    Example:
      >>> from tfcollapse.theory import affine
      >>> data = np.random.default_rng(0).normal(size=(50, 3)) * [2.0, 1.0, 0.1]
      >>> angles = affine.principal_angles(affine.optimum(data, latent_dim=2).weights, data)
      >>> angles.shape, bool(angles.max() < 1e-6)
      ((2,), True)
    """
    data = arguments.points("data", data)
    weights = arguments.finite("weights", weights, data.shape[1], None)
    vectors = np.linalg.eigh(_covariance(data))[1][:, ::-1][:, : weights.shape[1]]
    span = np.linalg.qr(weights)[0]
    # The sine is accurate where the angle is small, the cosine is not.
    return np.arcsin(np.clip(np.linalg.svd(span - vectors @ (vectors.T @ span), compute_uv=False), 0.0, 1.0))


def _covariance(data: np.ndarray) -> np.ndarray:
    centred = data - data.mean(axis=0)
    return centred.T @ centred / len(data)
