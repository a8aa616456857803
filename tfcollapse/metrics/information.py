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


class AggregatePosterior:
    """Density q(z_s) of some draws z_s, summed over images block by block, in float64.

    Args:
      mean, log_variance: [s, latent], of q(z | x) for the images that the draws come from. These images must be among
        those that are added.
      noise: [s, latent], standard normal.
    """

    def __init__(self, mean: np.ndarray, log_variance: np.ndarray, noise: np.ndarray):
        mean, log_variance = mean.astype(np.float64), log_variance.astype(np.float64)
        latents = mean + np.exp(0.5 * log_variance) * noise
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
        mean, log_variance = mean.astype(np.float64), log_variance.astype(np.float64)
        precision = np.exp(-log_variance)
        last = -0.5 * (mean**2 * precision + log_variance).sum(axis=1, keepdims=True) - self._constant
        logs = self._features @ np.concatenate([-0.5 * precision, mean * precision, last], axis=1).T
        largest = np.maximum(self._largest, logs.max(axis=1))
        self._sum = self._sum * np.exp(self._largest - largest) + np.exp(logs - largest[:, None]).sum(axis=1)
        self._largest, self._count = largest, self._count + len(mean)

    def information(self) -> Information:
        """Return the estimate over the images added so far."""
        cap = math.log(self._count)
        aggregate = self._largest + np.log(self._sum) - cap
        ratio = self._own - aggregate
        error = ratio.std(ddof=1) / math.sqrt(len(ratio)) if len(ratio) > 1 else math.inf
        return Information(float(ratio.mean()), float(error), cap, float((aggregate - self._prior).mean()))
