"""Estimate I_q(x; z): how many nats a sample of z tells about the image that it came from."""

import math
from typing import NamedTuple

import numpy as np


class Information(NamedTuple):
    """An estimate of I_q(x; z) = E log q(z | x) - log q(z), where q(z) is the aggregate posterior over all n images.

    Attributes:
      nats: the estimate, a mean over draws; at most `cap`.
      standard_error: of that mean.
      cap: log n. An estimate near it says that z tells the n images apart. It cannot say how much more z knows.
      marginal_kl: KL[q(z) || N(0, I)] in nats, from the same draws. It is the rest of the KL term:
        KL = I_q + marginal_kl (Hoffman & Johnson 2016).

    Example:
      >>> found = tc.Information(nats=3.5, standard_error=0.06, cap=6.2, marginal_kl=1.0)
      >>> found.nats + found.marginal_kl  # the KL term
      4.5
    """

    nats: float
    standard_error: float
    cap: float
    marginal_kl: float


_EXACT = 1e-6
"""The largest error in nats that rounding may leave in a log density."""
_NARROWEST = -700.0
"""The least log variance that is told from smaller ones: float64 holds the inverse of exp(-700)."""


class AggregatePosterior:
    """Density q(z_s) of some draws z_s, summed over images block by block, in float64.

    Args:
      mean, log_variance: [s, latent], of q(z | x) for the images that the draws come from. These images must be among
        those that are added.
      noise: [s, latent], standard normal.
    """

    def __init__(self, mean: np.ndarray, log_variance: np.ndarray, noise: np.ndarray):
        self._mean, log_variance, noise = _in_float64(mean, log_variance, noise)
        self._offset = np.exp(0.5 * log_variance) * noise
        latents = self._mean + self._offset
        constant = 0.5 * latents.shape[1] * math.log(2 * math.pi)
        self._own = -0.5 * (noise**2 + log_variance).sum(axis=1) - constant
        self._prior = -0.5 * (latents**2).sum(axis=1) - constant
        self._constant = constant
        self._features = np.concatenate([latents**2, latents, np.ones((len(latents), 1))], axis=1)
        self._sum, self._largest = np.zeros(len(latents)), np.full(len(latents), -np.inf)
        self._count = 0

    @np.errstate(over="ignore", invalid="ignore")
    def add(self, mean: np.ndarray, log_variance: np.ndarray) -> None:
        """Add the posteriors of a block of images, [n, latent] each."""
        mean, log_variance = _in_float64(mean, log_variance)
        logs = self._log_densities(mean, log_variance)
        # A draw to which no image so far gives a density that float64 holds has no largest one.
        largest = np.maximum(np.maximum(self._largest, logs.max(axis=1)), np.finfo(np.float64).min)
        self._sum = self._sum * np.exp(self._largest - largest) + np.exp(logs - largest[:, None]).sum(axis=1)
        self._largest, self._count = largest, self._count + len(mean)

    def _log_densities(self, mean: np.ndarray, log_variance: np.ndarray) -> np.ndarray:
        """Return log q(z_s | x_n), [s, n]: by one product of matrices where rounding allows it, else by differences."""
        precision = np.exp(-log_variance)
        squares = self._features[:, : mean.shape[1]].max(axis=0) + np.square(mean).max(axis=0)
        if np.finfo(np.float64).eps * (squares @ precision.T).max() <= _EXACT:
            last = -0.5 * (mean**2 * precision + log_variance).sum(axis=1, keepdims=True) - self._constant
            return self._features @ np.concatenate([-0.5 * precision, mean * precision, last], axis=1).T
        logs = np.empty((len(self._mean), len(mean)))
        for place, (centre, narrow) in enumerate(zip(mean, precision, strict=True)):
            logs[:, place] = -0.5 * np.square(self._mean - centre + self._offset) @ narrow
        return logs - 0.5 * log_variance.sum(axis=1) - self._constant

    @np.errstate(divide="ignore")
    def information(self) -> Information:
        """Return the estimate over the images added so far."""
        cap = math.log(self._count)
        # A draw's own image is one of the n, whatever rounding did to it on its second way through the encoder.
        aggregate = np.maximum(self._largest + np.log(self._sum), self._own) - cap
        ratio = np.minimum(self._own - aggregate, cap)
        error = ratio.std(ddof=1) / math.sqrt(len(ratio)) if len(ratio) > 1 else math.inf
        return Information(float(ratio.mean()), float(error), cap, float((aggregate - self._prior).mean()))


def _in_float64(mean: np.ndarray, log_variance: np.ndarray, *noise: np.ndarray) -> list[np.ndarray]:
    parts = (mean, np.maximum(log_variance, _NARROWEST), *noise)
    return [part.astype(np.float64) for part in parts]
