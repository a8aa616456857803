"""Hold the numbers that a diagnosis rests on, and write them for a reader."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from tfcollapse.diagnosis.consistency import Misreading
from tfcollapse.metrics.information import Information
from tfcollapse.metrics.posterior import ACTIVE_KL, active_units

AGREEMENT = 2.0
"""The declared gamma is believed where the implied one is within this factor of it.

The implied gamma is exact where training has converged. For a dense VAE it is 7% off after 20,000 steps, and 50% after
1,000.
"""


def effective_gamma(gamma: float | None, implied_gamma: float | None) -> float | None:
    """Return the decoder variance (times beta) that the units were trained under, or None where nothing tells it.

    It is the declared gamma. It is the implied one where gamma is not declared, or where the implied one is more than
    AGREEMENT times larger or smaller.
    """
    if gamma is None or implied_gamma is None:
        return implied_gamma if gamma is None else gamma
    return gamma if 1 / AGREEMENT <= implied_gamma / gamma <= AGREEMENT else implied_gamma


@dataclasses.dataclass(frozen=True)
class Measurements:
    """What was measured of one VAE on n images of d pixels times channels.

    Errors are squared errors per pixel, averaged over images, as in eq. (8); KL and information are in nats.

    Attributes:
      images, dimensions, latent_dim: n, d, kappa.
      likelihood: its name. A Gaussian has gamma; "own variances" is a Gaussian whose decoder gives them.
      gamma: the decoder variance as declared, times beta; None where it was not declared. For a likelihood without
        gamma it is beta alone, all reductions of the loss included; so are the next two.
      implied_gamma: the decoder variance (times beta) under which the encoder's sigma_z would be stationary, from the
        active units: the derivative of half the squared error by log sigma_j, over 1 - sigma_j^2. None where none is
        active, or the decoder has variances of its own.
      optimal_gamma: the gamma that fits the error, eq. (10): the error at a sample of z. For a likelihood without gamma
        it is 1, or `dispersion` where that is smaller.
      dispersion: squared residual over the likelihood's variance (Pearson); 1 where the likelihood fits the data.
      kl_per_dimension: [latent], averaged over images.
      latent_variance: [latent], Var_x[mu_j(x)].
      sigma: [latent], mean of sigma_z,j over images.
      sigma_histogram: [48], shares of every (image, dimension) pair in bins of sigma_z of equal width from 0 to 1.2.
      information: I_q(x; z) with its standard error and its cap.
      effective_rank: of Cov_x[mu(x)].
      repeated_units: active units whose means say nothing that others do not say: eigenvalues below 0.001 of the
        correlation of the means.
      data_term: the reconstruction loss as a log has it, summed over numbers: the squared error for a Gaussian, else
        the negative log-likelihood in nats; averaged over images.
      error, error_at_mean: at a sample of z, and at its mean.
      probed_error: at a sample of z, of the examples that are probed.
      shuffled_error: at a sample of another image's z: how well the decoder does without the right z.
      mean_predictor_error: of a decoder that gives the mean image whatever z is: gamma-bar of Prop. 1.
      pca_error: of PCA with as many components as latents, the least error of a linear decoder.
      predicted_active_units: eigenvalues of the data above the effective gamma (section 4; Wang and Ziyin 2022); None
        where it is not known.
      residual_variances: variance of the residuals, image minus reconstruction, along their main directions,
        descending. The directions are found on one half of the images, and measured on the other.
      data_eigenvalues: of the covariance of the images (1/n), descending, at most 256 of them.
      shuffled_error_per_unit: [latent], squared error summed over pixels that is added when z_j is another image's.
      smallest_singular_value: of the decoder's Jacobian d x_hat / dz (pixel values over units of z), median over
        images: by all units, and by the active ones (Kinoshita et al. 2023), None where none is active.
      amortization_gap: nats an image that a descent on the posterior itself gains while the decoder stays (He et al.
        2019): how far the encoder lags behind. None where the decoder cannot be differentiated, or has variances of
        its own.
      implied_gamma_per_unit: [latent], from each active unit alone; NaN for the others.
      second_moment: [latent], E[mu_j^2 + sigma_j^2] over images; 1 at a stationary point.
      squared_sigma: [latent], E[sigma_j^2] over images.
      share_near_prior: share of the (image, dimension) pairs with sigma_z > 0.9.
      mean_residual_share: share of the squared error that the mean residuals make; 0 at a stationary point.
      binary: whether the images hold 0 and 1 alone.
      unreconstructed: small columns of a table of at most 256 that are not reconstructed (`small_columns`), and the
        largest variance among them over the largest of all; (0, 0.0) for other data.
      data_range, output_range: least and largest number of the images and of the decoder's output.
      near_bounds: shares of the decoder's outputs within 0.02 of -1, of 0 and of 1, where tanh and sigmoid end.
      misreading: how near the output comes to the images under other readings.
      codebook: (K, fall of the squared error of the residuals by a codebook of K entries, in the units of gamma); empty
        where directions suffice for every idle unit.
      autoregressive: whether the decoder reads the images too.
      own_variances: where the decoder has variances of its own, quantiles 0, 0.01, 0.5, 1 over images of their mean
        over pixels; else None.
      shown: some examples and their reconstructions at the posterior's mean, [k, ...] each, for a reader to see; JSON
        leaves them out.

    Example:
      >>> x = np.random.default_rng(0).normal(size=(200, 3))  # white noise, which no unit can code
      >>> found = tc.diagnose(lambda x: (0 * x, 0 * x), lambda z: 0 * z, x, gamma=1.0)  # a VAE of zeros
      >>> found.measurements.active_units, found.measurements.kl, found.measurements.gamma
      (0, 0.0, 1.0)
    """

    images: int
    dimensions: int
    latent_dim: int
    likelihood: str
    gamma: float | None
    implied_gamma: float | None
    optimal_gamma: float
    dispersion: float
    kl_per_dimension: np.ndarray
    latent_variance: np.ndarray
    sigma: np.ndarray
    sigma_histogram: np.ndarray
    information: Information
    effective_rank: float
    repeated_units: int
    data_term: float
    error: float
    error_at_mean: float
    probed_error: float
    shuffled_error: float
    mean_predictor_error: float
    pca_error: float
    predicted_active_units: int | None
    residual_variances: np.ndarray
    data_eigenvalues: np.ndarray
    shuffled_error_per_unit: np.ndarray
    smallest_singular_value: tuple[float, float | None]
    amortization_gap: float | None
    implied_gamma_per_unit: np.ndarray
    second_moment: np.ndarray
    squared_sigma: np.ndarray
    share_near_prior: float
    mean_residual_share: float
    binary: bool
    unreconstructed: tuple[int, float]
    data_range: tuple[float, float]
    output_range: tuple[float, float]
    near_bounds: tuple[float, ...]
    misreading: Misreading
    codebook: tuple[tuple[int, float], ...]
    autoregressive: bool
    own_variances: tuple[float, ...] | None
    shown: tuple[np.ndarray, np.ndarray]

    @property
    def kl(self) -> float:
        """Return the KL in nats, summed over dimensions, averaged over images."""
        return float(self.kl_per_dimension.sum())

    @property
    def active_units(self) -> int:
        """Return the number of units with Var_x[mu_j] > 0.01."""
        return int(active_units(self.latent_variance).sum())

    @property
    def active_units_by_kl(self) -> int:
        """Return the number of units with a KL above 0.01 nats."""
        return int(active_units(self.kl_per_dimension, ACTIVE_KL).sum())

    @property
    def effective_gamma(self) -> float | None:
        """Return the decoder variance (times beta) that the units were trained under; None where nothing tells it.

        It is the declared gamma. It is the implied one where gamma is not declared, or where the implied one is more
        than twice as large, or less than half.
        """
        return effective_gamma(self.gamma, self.implied_gamma)

    def as_json(self) -> dict[str, Any]:
        """Return plain numbers, lists and text, for JSON; not what is `shown`."""
        fields = dataclasses.asdict(self) | {"kl": self.kl, "information": self.information._asdict()}
        fields |= {"active_units": self.active_units, "active_units_by_kl": self.active_units_by_kl}
        del fields["shown"]
        fields["misreading"] = self.misreading._asdict()
        return {name: _plain(value) for name, value in fields.items()}


def scale_name(m: Measurements) -> str:
    """Return what scales the KL against the error: "gamma", or "beta" for a likelihood without gamma."""
    return "gamma" if m.likelihood == "gaussian" else "beta"


def facts(m: Measurements) -> dict[str, str]:
    """Write the measurements as names and short texts, the most telling first."""
    information, scale = m.information, scale_name(m)
    smallest, active = m.smallest_singular_value
    declared = "not declared" if m.gamma is None else f"{m.gamma:.4g}"
    fits = "fits the error (eq. (10))" if scale == "gamma" else "fits the noise"
    found = {
        "examples; numbers in each; latent units": f"{m.images:,}; {m.dimensions:,}; {m.latent_dim}",
        "likelihood": m.likelihood,
        "active units: Var[mu_j] > 0.01; KL > 0.01 nats": f"{m.active_units}; {m.active_units_by_kl}",
        "share of sigma_z above 0.9": f"{m.share_near_prior:.3g}",
        "KL (nats, summed over units)": f"{m.kl:.4g}",
        "I_q(x; z) (nats); its cap, log n": f"{information.nats:.4g} +- {information.standard_error:.2g}; "
        f"{information.cap:.4g}",
        "KL of the aggregate posterior to the prior (nats)": f"{information.marginal_kl:.4g}",
        "squared error per number: z sampled; z at its mean": f"{m.error:.4g}; {m.error_at_mean:.4g}",
        "squared error with another example's z": f"{m.shuffled_error:.4g}",
        "squared error of PCA; of the mean predictor": f"{m.pca_error:.4g}; {m.mean_predictor_error:.4g}",
        f"{scale}: declared; implied by the units; what {fits}": f"{declared}; {_maybe(m.implied_gamma)}; "
        f"{m.optimal_gamma:.4g}",
        "effective rank of Cov(mu)": f"{m.effective_rank:.3g}",
        "smallest singular value of dx/dz: all units; active": f"{smallest:.3g}; {_maybe(active)}",
    }
    if m.predicted_active_units is not None:
        found["active units that the spectrum and gamma predict"] = str(m.predicted_active_units)
    if scale == "beta":
        found["squared residual over the likelihood's variance"] = f"{m.dispersion:.4g}"
    if m.amortization_gap is not None:
        found["gain by refining the posterior (nats)"] = f"{m.amortization_gap:.3g}"
    return found


def _plain(value: Any) -> Any:
    """Return a value as JSON has it: lists for arrays, None for a number that is not finite."""
    if isinstance(value, dict):
        return {name: _plain(entry) for name, entry in value.items()}
    if isinstance(value, (np.ndarray, list, tuple)):
        return [_plain(entry) for entry in value]
    value = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(value, float) and not np.isfinite(value) else value


def _maybe(value: float | None) -> str:
    """Write a number, or "unknown"."""
    return "unknown" if value is None else f"{value:.4g}"
