"""One pass over the images, and what it leaves: `Measurements`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tfcollapse.data.memory_mapped import blocks
from tfcollapse.diagnosis.amortization_gap import amortization_gap
from tfcollapse.diagnosis.measurements import Measurements, effective_gamma
from tfcollapse.diagnosis.model_adapter import BLOCK, ModelAdapter, as_float
from tfcollapse.diagnosis.probes import response, shuffled_error, smallest_singular_values, squared_errors
from tfcollapse.errors import ConfigError
from tfcollapse.metrics import posterior
from tfcollapse.metrics import residual_spectrum as revival
from tfcollapse.metrics.information import AggregatePosterior
from tfcollapse.metrics.spectrum import spectrum

_DRAWS = 2_048
_RESIDUAL_IMAGES, _RESIDUAL_PIXELS = 8_192, 1 << 24
_QUANTILES, _MEDIAN = (0.0, 0.01, 0.5, 1.0), 2


def measure(adapter: ModelAdapter, images: np.ndarray, gamma: float | None = None, seed: int = 0) -> Measurements:
    """Measure a VAE on images.

    Memory is bounded by the block of 1,024 images, the d x d covariance up to d = 4,096, and 2^24 numbers of residuals.

    Args:
      images: [n, ...], as `adapter.check_images` returns them.
      gamma: the decoder variance, times beta; None where it is not known.
      seed: of every draw.

    Raises:
      ConfigError: outputs that do not fit or are not finite, images all the same.
    """
    known = spectrum(images, adapter.latent_dim)
    if known.mean_predictor <= 1e-12:
        raise ConfigError("images: expected some that differ, received images all the same")
    seen = _Pass(adapter, images, seed)
    for number, block in enumerate(blocks(images, BLOCK)):
        seen.add(number, as_float(block))
    found = seen.numbers()
    latent = min(adapter.latent_dim, known.dimensions)
    if adapter.own_variance:  # then there is no one gamma
        gamma = found["own_variances"][_MEDIAN]
    # In random order: neighbours of a sorted data set are alike, and its first images all of one kind.
    drawn = np.random.default_rng(seed).permutation(_spread(len(images), BLOCK))
    probed = _probed(adapter, as_float(images[drawn]), gamma, found, seed)
    effective = effective_gamma(gamma, probed["implied_gamma"])
    return Measurements(
        dimensions=known.dimensions,
        latent_dim=adapter.latent_dim,
        gamma=gamma,
        optimal_gamma=found["error"],
        mean_predictor_error=known.mean_predictor,
        pca_error=known.pca(latent),
        predicted_active_units=None if effective is None else known.active_units(latent, effective),
        autoregressive=adapter.autoregressive,
        **found,
        **probed,
    )


def _probed(
    adapter: ModelAdapter, images: np.ndarray, gamma: float | None, found: dict[str, Any], seed: int
) -> dict[str, Any]:
    """What is tried on some images alone, float32 [n <= BLOCK, ...]."""
    variance = found["latent_variance"]
    implied, use = response(adapter, images, variance, seed)
    implied = None if adapter.own_variance else implied
    return {
        "implied_gamma": implied,
        "shuffled_error_per_unit": use,
        "shuffled_error": shuffled_error(adapter, images, seed),
        "smallest_singular_value": smallest_singular_values(adapter, images, variance),
        # with variances of its own a decoder has no gamma that the descent could take
        "amortization_gap": None
        if adapter.own_variance
        else amortization_gap(adapter, images, effective_gamma(gamma, implied) or found["error"], seed),
    }


def _spread(count: int, wanted: int) -> np.ndarray:
    return np.unique(np.linspace(0, count - 1, min(count, wanted)).astype(int))


class _Pass:
    """Sums over blocks, in float64, and the residuals of some images."""

    def __init__(self, adapter: ModelAdapter, images: np.ndarray, seed: int):
        self.adapter, self.seed, self.count = adapter, seed, 0
        drawn = images[_spread(len(images), _DRAWS)]
        moments = [adapter.encode(as_float(block)) for block in blocks(drawn, BLOCK)]
        mean, log_variance = (np.concatenate(part) for part in zip(*moments, strict=True))
        noise = np.random.default_rng(seed).standard_normal(mean.shape)
        self.aggregate = AggregatePosterior(mean, log_variance, noise)
        self.sums: dict[str, Any] = {}
        # Sums of squares about a point near the mean lose no digits.
        self.about = mean.mean(axis=0, dtype=np.float64)
        dimensions = math.prod(images.shape[1:])
        self.kept = np.zeros(len(images), bool)
        self.kept[_spread(len(images), min(_RESIDUAL_IMAGES, max(2, _RESIDUAL_PIXELS // dimensions)))] = True
        self.residuals: list[np.ndarray] = []
        self.own: list[np.ndarray] = []

    def add(self, number: int, images: np.ndarray) -> None:
        mean, log_variance = self.adapter.encode(images)
        random = np.random.default_rng((self.seed, number + 1))
        sigma = np.exp(0.5 * log_variance)
        sample = mean + sigma * random.standard_normal(mean.shape, np.float32)
        at_mean, at_sample = (self.adapter.decode(latents, images) for latents in (mean, sample))
        self.aggregate.add(mean, log_variance)
        centred = mean - self.about
        flat = images.reshape(len(images), -1)
        parts = {
            "error": squared_errors(flat, at_sample.mean).sum() / flat.shape[1],
            "error_at_mean": squared_errors(flat, at_mean.mean).sum() / flat.shape[1],
            "kl": len(images) * posterior.kl_per_dimension(mean, log_variance),
            "sigma": sigma.sum(axis=0, dtype=np.float64),
            "histogram": len(images) * posterior.sigma_histogram(log_variance),
            "first": centred.sum(axis=0),
            "second": centred.T @ centred,
        }
        self.sums = {name: self.sums.get(name, 0.0) + part for name, part in parts.items()}
        self.residuals.append((flat - at_mean.mean)[self.kept[self.count : self.count + len(images)]])
        if at_mean.log_variance is not None:
            self.own.append(np.exp(at_mean.log_variance.astype(np.float64)).mean(axis=1))
        self.count += len(images)

    def numbers(self) -> dict[str, Any]:
        total = {name: part / self.count for name, part in self.sums.items()}
        covariance = total["second"] - np.outer(total["first"], total["first"])
        residuals = np.random.default_rng(self.seed).permutation(np.concatenate(self.residuals))
        return {
            "images": self.count,
            "error": float(total["error"]),
            "error_at_mean": float(total["error_at_mean"]),
            "kl_per_dimension": total["kl"],
            "latent_variance": np.diag(covariance).copy(),
            "sigma": total["sigma"],
            "sigma_histogram": total["histogram"],
            "information": self.aggregate.information(),
            "effective_rank": posterior.effective_rank(covariance),
            "residual_variances": revival.held_out_variances(residuals, self.adapter.latent_dim),
            "own_variances": tuple(np.quantile(np.concatenate(self.own), _QUANTILES)) if self.own else None,
        }
