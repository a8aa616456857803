"""A small VAE in NumPy, with its gradients written out: trained in a second or two, as nothing is compiled."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

_RATES = (0.9, 0.999)
_EPSILON = 1e-8


def _sigmoid(logits: np.ndarray) -> np.ndarray:
    return 0.5 + 0.5 * np.tanh(0.5 * logits)


LINKS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "mean": lambda output: output,
    "logits": _sigmoid,
    "log_mean": lambda output: np.exp(np.clip(output, -20.0, 10.0)),
}
"""The decoder's last layer to the mean of x."""


def _glorot(random: np.random.Generator, rows: int, columns: int) -> np.ndarray:
    limit = math.sqrt(6.0 / (rows + columns))
    return random.uniform(-limit, limit, (rows, columns))


def _he(random: np.random.Generator, rows: int, columns: int) -> np.ndarray:
    return random.normal(0.0, math.sqrt(2.0 / rows), (rows, columns))


def _torch(random: np.random.Generator, rows: int, columns: int) -> np.ndarray:
    return random.uniform(-1.0, 1.0, (rows, columns)) / math.sqrt(rows)


def _normal(random: np.random.Generator, rows: int, columns: int) -> np.ndarray:
    return random.normal(0.0, 0.05, (rows, columns))


INITIALIZERS = {"glorot": _glorot, "he": _he, "torch": _torch, "normal": _normal}
"""Keras' default, He et al., PyTorch's default for a linear layer, and a plain normal distribution."""


class SmallVAE:
    """A VAE with one hidden layer of ReLUs in the encoder and one in the decoder, or none.

    Attributes:
      weights: every matrix and bias by its name; all are views of one vector, which Adam moves.
      log_gamma: of the decoder variance, where `train` learns it.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        latent_dim: int,
        hidden: int = 32,
        *,
        link: str = "mean",
        initializer: str = "glorot",
        seed: int = 0,
    ):
        """Draw initial weights; biases are 0.

        Args:
          shape: of one example.
          hidden: the width of the hidden layers; 0 for none.
          link: a key of LINKS.
          initializer: a key of INITIALIZERS.
        """
        self.shape, self.hidden, self.link = shape, hidden, link
        self.random = np.random.default_rng(seed)
        d = math.prod(shape)
        sizes = {"mean": (hidden or d, latent_dim), "log_variance": (hidden or d, latent_dim)}
        sizes["output"] = (hidden or latent_dim, d)
        if hidden:
            sizes |= {"encoder": (d, hidden), "decoder": (latent_dim, hidden)}
        self._vector = np.zeros(sum((rows + 1) * columns for rows, columns in sizes.values()) + 1)
        self.weights = self._views(self._vector, sizes)
        for name, size in sizes.items():
            self.weights[name][:] = INITIALIZERS[initializer](self.random, *size)
        self._sizes = sizes

    @staticmethod
    def _views(vector: np.ndarray, sizes: dict[str, tuple[int, int]]) -> dict[str, np.ndarray]:
        views, start = {"log_gamma": vector[-1:]}, 0
        for name, (rows, columns) in sizes.items():
            views[name] = vector[start : start + rows * columns].reshape(rows, columns)
            views[name + "_bias"] = vector[start + rows * columns : start + (rows + 1) * columns]
            start += (rows + 1) * columns
        return views

    @property
    def gamma(self) -> float:
        """The decoder variance as `train` left it."""
        return float(np.exp(self.weights["log_gamma"][0]))

    def encode(self, data: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the posterior's mean and log variance, [n, latent] each, of data [n, ...]."""
        hidden = self._hidden("encoder", self._seen(np.asarray(data, np.float64).reshape(len(data), -1)))
        return self._dense("mean", hidden), self._dense("log_variance", hidden)

    def output(self, latents: np.ndarray) -> np.ndarray:
        """Return the decoder's last layer, [n, ...], of z [n, latent]: the mean, logits, or the mean's logarithm."""
        hidden = self._hidden("decoder", np.asarray(latents, np.float64))
        return self._dense("output", hidden).reshape(len(latents), *self.shape)

    def decode(self, latents: np.ndarray) -> np.ndarray:
        """Return the decoder's mean, [n, ...], of z [n, latent]."""
        return LINKS[self.link](self.output(latents))

    def _seen(self, rows: np.ndarray) -> np.ndarray:
        """Return what the encoder sees of the data: counts by log(1 + x), as is usual."""
        return np.log1p(rows) if self.link == "log_mean" else rows

    def _dense(self, name: str, rows: np.ndarray) -> np.ndarray:
        return rows @ self.weights[name] + self.weights[name + "_bias"]

    def _hidden(self, name: str, rows: np.ndarray) -> np.ndarray:
        return np.maximum(self._dense(name, rows), 0.0) if self.hidden else rows

    def train(
        self,
        data: np.ndarray,
        steps: int = 4_000,
        *,
        gamma: float | str = 1.0,
        beta: float = 1.0,
        free_bits: float = 0.0,
        theta: float = math.inf,
        learning_rate: float = 1e-2,
        batch: int = 128,
    ) -> SmallVAE:
        """Train on data [n, ...] by Adam, whose rate falls to 0 as a cosine, and return the VAE itself.

        The likelihood follows from the link: Gaussian, Bernoulli, or Poisson (negative binomial where `theta` is
        finite).

        Args:
          gamma: the decoder variance; "learned", or "optimal" for eq. (10) on each batch.
          beta: the weight on the KL.
          free_bits: nats; a unit whose KL, averaged over the batch, is below it pays none.
          theta: the inverse dispersion of counts.
        """
        flat = np.asarray(data, np.float64).reshape(len(data), -1)
        first, second = np.zeros_like(self._vector), np.zeros_like(self._vector)
        for step in range(steps):
            rows = flat[self.random.integers(0, len(flat), batch)]
            gradient = self._gradient(rows, gamma, beta, free_bits, theta)
            first += (1 - _RATES[0]) * (gradient - first)
            second += (1 - _RATES[1]) * (np.square(gradient) - second)
            rate = learning_rate * 0.5 * (1 + math.cos(math.pi * step / steps))
            rate *= math.sqrt(1 - _RATES[1] ** (step + 1)) / (1 - _RATES[0] ** (step + 1))
            self._vector -= rate * first / (np.sqrt(second) + _EPSILON)
        return self

    def _gradient(
        self, rows: np.ndarray, gamma: float | str, beta: float, free_bits: float, theta: float
    ) -> np.ndarray:
        """Return the gradient of the loss in nats, averaged over the rows, by the vector of weights."""
        weights, gradient = self.weights, np.zeros_like(self._vector)
        parts = self._views(gradient, self._sizes)

        def back(name: str, inputs: np.ndarray, by_outputs: np.ndarray) -> np.ndarray:
            parts[name][:] = inputs.T @ by_outputs
            parts[name + "_bias"][:] = by_outputs.sum(axis=0)
            return by_outputs @ weights[name].T

        seen = self._seen(rows)
        encoded = self._hidden("encoder", seen)
        mean, log_variance = self._dense("mean", encoded), self._dense("log_variance", encoded)
        variance = np.exp(log_variance)
        noise = np.sqrt(variance) * self.random.standard_normal(mean.shape)
        decoded = self._hidden("decoder", mean + noise)
        reconstruction = LINKS[self.link](self._dense("output", decoded))
        excess = reconstruction - rows
        if self.link == "mean":
            error = np.square(excess).mean()
            if gamma == "optimal":
                weights["log_gamma"][0] = math.log(error)
            elif not isinstance(gamma, str):
                weights["log_gamma"][0] = math.log(gamma)
            else:  # of (error / gamma + log gamma) / 2 for each of d numbers
                parts["log_gamma"][0] = 0.5 * rows.shape[1] * (1.0 - error / self.gamma)
            excess = excess / self.gamma
        excess = excess / (1.0 + reconstruction / theta) / len(rows) if math.isfinite(theta) else excess / len(rows)
        by_latents = back("output", decoded, excess)
        if self.hidden:
            by_latents = back("decoder", mean + noise, by_latents * (decoded > 0))
        kl = 0.5 * (np.square(mean) + variance - log_variance - 1.0).mean(axis=0)
        paid = beta * (kl >= free_bits) / len(rows)
        by_mean = by_latents + paid * mean
        by_log_variance = 0.5 * (by_latents * noise + paid * (variance - 1.0))
        by_encoded = back("mean", encoded, by_mean) + back("log_variance", encoded, by_log_variance)
        if self.hidden:
            back("encoder", seen, by_encoded * (encoded > 0))
        return gradient

    def padded(self, units: int) -> SmallVAE:
        """Return the VAE with further units at the prior that the decoder does not read: a stationary point again."""
        old = self.weights
        wider = SmallVAE(self.shape, old["mean"].shape[1] + units, self.hidden, link=self.link)
        new: dict[str, Any] = wider.weights
        for name in old:
            new[name][...] = 0.0
            new[name][tuple(slice(size) for size in old[name].shape)] = old[name]
        return wider
