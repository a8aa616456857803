"""Measure how far an encoder is from the best Gaussian posterior: the lag of He et al. 2019."""

from __future__ import annotations

import numpy as np

from tfcollapse.diagnosis.adapter.model_adapter import Encoded, ModelAdapter
from tfcollapse.diagnosis.likelihoods import GAUSSIAN, Likelihood

_EXAMPLES, _STEPS, _PAIRS = 64, 100, 4
_NUMBERS = 1 << 24
"""The most numbers of x that are decoded in one call."""


def amortization_gap(
    adapter: ModelAdapter, encoded: Encoded, gamma: float, seed: int, likelihood: Likelihood = GAUSSIAN
) -> float | None:
    """Return the nats an example by which a descent on the posterior itself lowers the negative ELBO.

    The descent is 100 steps of Adam on (mu, log sigma^2) of every example; the decoder stays. The result is a lower
    bound on the gap between the encoder and the best Gaussian posterior. The energies before and after are measured
    with the same draws of z, and the descent uses other draws. Both come in mirrored pairs.

    Args:
      encoded: the first 64 examples are used.
      gamma: the weight on the KL, which the negative log-likelihood is divided by: for a Gaussian the decoder variance
        times beta; for another likelihood, and for a decoder with variances of its own, beta.
      seed: of the draws.
      likelihood: of the examples; a decoder with variances of its own is a Gaussian.

    Returns:
      None where nothing can differentiate the decoder: functions of NumPy.
    """
    encoded = encoded.first(_EXAMPLES)
    random = np.random.default_rng(seed)
    descent_draws, held_out_draws = (_mirrored(random, *encoded.mean.shape) for _ in range(2))
    energy = _Energy(adapter, encoded, gamma, likelihood)
    posterior = np.stack([encoded.mean, encoded.log_variance]).astype(np.float32)
    try:
        before = energy(posterior, held_out_draws)[0]
        after = energy(_descend(energy, posterior, descent_draws), held_out_draws)[0]
    except _NoGradient:
        return None
    return max(0.0, before - after)


class _NoGradient(Exception):
    """Nothing can differentiate the decoder."""


class _Energy:
    """The negative ELBO, with the negative log-likelihood divided by gamma: nats an example, constants left out."""

    def __init__(self, adapter: ModelAdapter, encoded: Encoded, gamma: float, likelihood: Likelihood):
        self.adapter, self.gamma, self.likelihood = adapter, gamma, likelihood
        self.examples = encoded.examples
        self.numbers = encoded.examples.reshape(len(encoded), -1)

    def __call__(self, posterior: np.ndarray, draws: np.ndarray) -> tuple[float, np.ndarray]:
        """Return the energy and its gradient.

        Args:
          posterior: (mu, log sigma^2), [2, n, latent].
          draws: of the noise, [k, n, latent].
        """
        (mean, log_variance), sigma = posterior, np.exp(0.5 * posterior[1])
        count = len(mean)
        kl = 0.5 * float((np.square(mean) + np.square(sigma) - log_variance).sum(dtype=np.float64))
        gradient = np.stack([mean, 0.5 * (np.square(sigma) - 1)]) / count
        loss = 0.0
        at_once = max(1, _NUMBERS // self.numbers.size)
        for noise in (draws[start : start + at_once] for start in range(0, len(draws), at_once)):
            one, by_latents = self._likelihood(mean + sigma * noise, 1 / (self.gamma * len(draws) * count))
            loss += one
            gradient[0] += by_latents.sum(axis=0)
            gradient[1] += (by_latents * (0.5 * sigma) * noise).sum(axis=0)
        return loss + kl / count, gradient

    def _likelihood(self, latents: np.ndarray, weight: float) -> tuple[float, np.ndarray]:
        """Return the weighted negative log-likelihood at z, [k, n, latent], and its gradient. Raises _NoGradient."""
        draws = len(latents)
        found = self.adapter.vjp(latents.reshape(-1, latents.shape[-1]), np.concatenate([self.examples] * draws))
        if found is None:
            raise _NoGradient
        raw, pull_back = found
        x = np.concatenate([self.numbers] * draws)
        value, cotangent = self._own(raw, x) if self.adapter.own_variance else self._shared(raw, x)
        try:
            gradient = pull_back((weight * cotangent).astype(np.float32))
        except Exception as error:  # a user's decoder may leave its framework, which then has no gradient
            raise _NoGradient from error
        return weight * float(value.sum(dtype=np.float64)), gradient.reshape(latents.shape)

    def _shared(self, raw: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the negative log-likelihood, and its derivative by the outputs before the link, [n, d]."""
        link, likelihood = self.adapter.link, self.likelihood
        mean = link.mean(raw)
        slope = -(x - mean) / likelihood.variance(mean) * link.slope(mean)
        return likelihood.negative_log_likelihood(x, mean), slope

    def _own(self, raw: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the same for a Gaussian whose log variances are outputs too; the derivative is [n, 2 d]."""
        mean, log_variance = np.split(raw, 2, axis=1)
        residual, precision = x - mean, np.exp(-log_variance)
        squares = np.square(residual) * precision
        return 0.5 * (squares + log_variance), np.concatenate([-residual * precision, 0.5 * (1 - squares)], axis=1)


def _descend(energy: _Energy, posterior: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """Return the posterior after the steps of Adam (Kingma and Ba 2015)."""
    rate, decay, square_decay, epsilon = 0.02, 0.9, 0.999, 1e-7
    moment, square = np.zeros_like(posterior), np.zeros_like(posterior)
    for step in range(1, _STEPS + 1):
        gradient = energy(posterior, draws)[1]
        moment += (1 - decay) * (gradient - moment)
        square += (1 - square_decay) * (np.square(gradient) - square)
        length = rate * np.sqrt(1 - square_decay**step) / (1 - decay**step)
        posterior = (posterior - length * moment / (np.sqrt(square) + epsilon)).astype(np.float32)
    return posterior


def _mirrored(random: np.random.Generator, count: int, latent_dim: int) -> np.ndarray:
    """Draw noise, [2 pairs, count, latent], of mean 0 and variance 1 for each example and latent.

    Other moments would be fitted by the descent.
    """
    half = random.standard_normal((_PAIRS, count, latent_dim)).astype(np.float32)
    half /= np.sqrt(np.square(half).mean(axis=0))
    return np.concatenate([half, -half])
