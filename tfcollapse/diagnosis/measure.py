"""Measure a VAE in one pass over the images, and by probes on some of them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tfcollapse.data.memory_mapped import blocks
from tfcollapse.diagnosis.adapter.model_adapter import BLOCK, Encoded, ModelAdapter
from tfcollapse.diagnosis.amortization_gap import amortization_gap
from tfcollapse.diagnosis.consistency import ConsistencySums, misreading
from tfcollapse.diagnosis.examples import Examples, read_examples
from tfcollapse.diagnosis.likelihoods import GAUSSIAN, Likelihood, score
from tfcollapse.diagnosis.measurements import Measurements, effective_gamma
from tfcollapse.diagnosis.probes import own_and_shuffled_error, probe_units, smallest_singular_values, squared_errors
from tfcollapse.diagnosis.small_columns import unreconstructed
from tfcollapse.metrics import posterior, residual_spectrum
from tfcollapse.metrics.accumulator import PosteriorAccumulator
from tfcollapse.metrics.codebook import codebook_reductions
from tfcollapse.metrics.information import AggregatePosterior
from tfcollapse.metrics.spectrum import spectrum

_DRAWS = 2_048
_EIGENVALUES, _SHOWN = 256, 8
_RESIDUAL_IMAGES, _RESIDUAL_NUMBERS = 8_192, 1 << 24
_COLUMNS = 256
"""Numbers of an example up to which it may be the row of a table."""
_QUANTILES = (0.0, 0.01, 0.5, 1.0)


def measure(
    adapter: ModelAdapter,
    data: Any,
    gamma: float | None = None,
    seed: int = 0,
    *,
    likelihood: Likelihood = GAUSSIAN,
) -> Measurements:
    """Measure a VAE on examples.

    Memory is bounded by the block of 1,024 images, the d x d covariance up to d = 4,096, and 2^24 numbers of residuals.

    Args:
      data: anything that `examples.read_examples` takes.
      gamma: the decoder variance, times beta; None where it is not known. For a likelihood without gamma, and for a
        decoder with variances of its own, it is beta.
      seed: of every draw.
      likelihood: of the decoder's output.

    Raises:
      ConfigError: data that do not fit; outputs that do not fit or are not finite.
    """
    examples = read_examples(data)
    known = spectrum(examples.array, adapter.latent_dim, examples.scale)
    whole = _whole(adapter, examples, gamma, seed, likelihood)
    with_gamma = likelihood.has_gamma and not adapter.own_variance
    # In random order: neighbours of a sorted data set are alike, and its first images all of one kind.
    chosen = np.random.default_rng(seed).permutation(_spread(len(examples), BLOCK))
    encoded = adapter.encode(examples.as_float(examples.array[chosen]))
    probed = _probed(adapter, encoded, gamma, whole, seed, likelihood)
    effective = effective_gamma(gamma, probed["implied_gamma"])
    components = min(adapter.latent_dim, known.dimensions)
    return Measurements(
        dimensions=known.dimensions,
        latent_dim=adapter.latent_dim,
        likelihood="own variances" if adapter.own_variance else likelihood.name,
        gamma=gamma,
        optimal_gamma=whole["error"] if with_gamma else min(1.0, whole["dispersion"]),
        mean_predictor_error=known.mean_predictor,
        pca_error=known.pca(components),
        predicted_active_units=known.active_units(components, effective) if effective and with_gamma else None,
        data_eigenvalues=known.eigenvalues[:_EIGENVALUES],
        autoregressive=adapter.autoregressive,
        **whole,
        **probed,
    )


def _whole(
    adapter: ModelAdapter, examples: Examples, gamma: float | None, seed: int, likelihood: Likelihood
) -> dict[str, Any]:
    """Measure what is averaged over all examples."""
    one_pass = _Pass(adapter, examples, gamma, seed, likelihood)
    for number, block in enumerate(blocks(examples.array, BLOCK)):
        one_pass.add(number, examples.as_float(block))
    return one_pass.measurements()


def _probed(
    adapter: ModelAdapter,
    encoded: Encoded,
    gamma: float | None,
    whole: dict[str, Any],
    seed: int,
    likelihood: Likelihood,
) -> dict[str, Any]:
    """Measure what is tried on some images alone, at most BLOCK of them in random order."""
    variance = whole["latent_variance"]
    units = probe_units(adapter, encoded, variance, seed, likelihood)
    if adapter.own_variance:  # which answer to the noise too, and seldom are at a stationary point
        unknown = np.full(adapter.latent_dim, np.nan)
        units = units._replace(implied_gamma=None, implied_gamma_per_unit=unknown)
    with_gamma = likelihood.has_gamma and not adapter.own_variance
    weight = effective_gamma(gamma, units.implied_gamma) or (whole["error"] if with_gamma else 1.0)
    output = adapter.decode(encoded.mean, encoded.examples).mean
    own, shuffled = own_and_shuffled_error(adapter, encoded, seed)
    return {
        **units._asdict(),
        "probed_error": own,
        "shuffled_error": shuffled,
        "smallest_singular_value": smallest_singular_values(adapter, encoded, variance),
        "amortization_gap": amortization_gap(adapter, encoded, weight, seed, likelihood),
        "shown": _shown(adapter, encoded.first(_SHOWN)),
        "misreading": misreading(encoded.examples.reshape(len(encoded), -1), output),
    }


def _shown(adapter: ModelAdapter, encoded: Encoded) -> tuple[np.ndarray, np.ndarray]:
    """Return examples and their reconstructions at the posterior's mean, in one shape."""
    output = adapter.decode(encoded.mean, encoded.examples).mean
    # Copies: the examples are a view, which would keep its whole block of examples in memory.
    return encoded.examples.copy(), output.reshape(encoded.examples.shape).copy()


def _spread(count: int, wanted: int) -> np.ndarray:
    """Return at most `wanted` indices below `count`, evenly spread."""
    return np.unique(np.linspace(0, count - 1, min(count, wanted)).astype(int))


class _Pass:
    """Sums over blocks of all examples, and the residuals of some."""

    def __init__(
        self, adapter: ModelAdapter, examples: Examples, gamma: float | None, seed: int, likelihood: Likelihood
    ):
        self.adapter, self.examples, self.gamma = adapter, examples, gamma
        self.seed, self.likelihood = seed, likelihood
        dimensions = math.prod(examples.array.shape[1:])
        self.accumulator = PosteriorAccumulator(dimensions, covariance=True)
        self.consistency = ConsistencySums(likelihood)
        self.aggregate = _aggregate_posterior(adapter, examples, seed)
        self.with_residual = np.zeros(len(examples), bool)
        kept = min(_RESIDUAL_IMAGES, max(2, _RESIDUAL_NUMBERS // dimensions))
        self.with_residual[_spread(len(examples), kept)] = True
        self.residuals: list[np.ndarray] = []
        self.means: list[np.ndarray] = []
        self.own_variances: list[np.ndarray] = []

    def add(self, number: int, images: np.ndarray) -> None:
        """Add block `number` of the images, float32 [n, ...]."""
        encoded = self.adapter.encode(images)
        noise = np.random.default_rng((self.seed, number + 1)).standard_normal(encoded.mean.shape, np.float32)
        at_mean = self.adapter.decode(encoded.mean, images)
        at_sample = self.adapter.decode(encoded.mean + encoded.sigma * noise, images)
        self.aggregate.add(encoded.mean, encoded.log_variance)
        flat, start = images.reshape(len(images), -1), self.accumulator.count
        chosen = self.with_residual[start : start + len(images)]
        variances = None if at_mean.log_variance is None else at_mean.log_variance[chosen]
        scores = score(self.likelihood, flat[chosen], at_mean.mean[chosen], variances)[0]
        self.residuals.append(scores.astype(np.float32))
        self.means.append(encoded.mean[chosen])
        if at_mean.log_variance is not None:
            self.own_variances.append(np.exp(at_mean.log_variance.astype(np.float64)).mean(axis=1))
        errors = squared_errors(flat, at_sample.mean), squared_errors(flat, at_mean.mean)
        self.accumulator.add(encoded.mean, encoded.log_variance, *errors)
        self.consistency.add(encoded.mean, encoded.log_variance, flat, at_sample)

    def measurements(self) -> dict[str, Any]:
        """Return the fields of `Measurements` that the blocks give."""
        sums, checks, own = self.accumulator, self.consistency, self.own_variances
        # Divided by the root of the likelihood's own variance, residuals of every likelihood are alike.
        whitened = np.concatenate(self.residuals) / np.sqrt(checks.information).astype(np.float32)
        # A weak unit's direction may be coded better by another unit; a strong unit's shrinkage may not.
        active = posterior.active_units(sums.latent_variance) & (sums.sigma <= posterior.SIGMA_NEAR_PRIOR)
        further = residual_spectrum.without_linear_part(whitened, np.concatenate(self.means)[:, active])
        residuals = np.random.default_rng(self.seed).permutation(further)
        variances = residual_spectrum.held_out_variances(residuals, self.adapter.latent_dim)
        return {
            "images": sums.count,
            "dispersion": checks.dispersion,
            "error": sums.error,
            "error_at_mean": sums.error_at_mean,
            "kl_per_dimension": sums.kl_per_dimension,
            "latent_variance": sums.latent_variance,
            "sigma": sums.sigma,
            "sigma_histogram": sums.sigma_histogram,
            "information": self.aggregate.information(),
            "effective_rank": posterior.effective_rank(sums.covariance),
            "repeated_units": self._repeated_units(),
            "data_term": checks.data_term,
            "residual_variances": variances,
            "second_moment": checks.second_moment,
            "squared_sigma": checks.squared_sigma,
            "share_near_prior": sums.share_near_prior,
            "mean_residual_share": checks.mean_residual_share,
            "binary": checks.binary,
            "unreconstructed": self._unreconstructed(),
            "data_range": checks.data_range,
            "output_range": checks.output_range,
            "near_bounds": checks.near_bounds,
            "codebook": codebook_reductions(residuals) if self._needs_codebook(variances) else (),
            "own_variances": tuple(np.quantile(np.concatenate(own), _QUANTILES)) if own else None,
        }

    def _unreconstructed(self) -> tuple[int, float]:
        """Count the columns that are not reconstructed, where the data are the rows of a table."""
        rows = self.examples.array
        if rows.ndim != 2 or rows.shape[1] > _COLUMNS:
            return 0, 0.0
        table = self.examples.as_float(rows[_spread(len(rows), _RESIDUAL_IMAGES)]).astype(np.float64)
        checks = self.consistency
        return unreconstructed(
            table, checks.variance, checks.squared_residual, self.adapter.latent_dim, self.gamma or 0.0
        )

    def _repeated_units(self) -> int:
        """Count the active units whose means say nothing that others do not say."""
        active = posterior.active_units(self.accumulator.latent_variance)
        return posterior.repeated_units(self.accumulator.covariance[np.ix_(active, active)])

    def _needs_codebook(self, variances: np.ndarray) -> bool:
        """Tell whether more units are idle than the residual's directions, of such variances, could use.

        Squared residuals of rare counts and pixels are not nats, so a codebook is tried for a Gaussian alone.
        """
        if not self.likelihood.has_gamma:
            return False
        sums, dispersion = self.accumulator, self.consistency.dispersion
        idle = ~posterior.active_units(sums.latent_variance) | (sums.sigma > posterior.SIGMA_NEAR_PRIOR)
        return int(idle.sum()) > residual_spectrum.count_viable_directions(variances, dispersion)


def _aggregate_posterior(adapter: ModelAdapter, examples: Examples, seed: int) -> AggregatePosterior:
    """Draw z from the posterior of some examples: the points at which the aggregate posterior is to be measured."""
    drawn = examples.array[_spread(len(examples), _DRAWS)]
    parts = [adapter.encode(examples.as_float(block)) for block in blocks(drawn, BLOCK)]
    mean = np.concatenate([part.mean for part in parts])
    log_variance = np.concatenate([part.log_variance for part in parts])
    return AggregatePosterior(mean, log_variance, np.random.default_rng(seed).standard_normal(mean.shape))
