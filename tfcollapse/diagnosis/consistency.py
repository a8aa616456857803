"""Measure whether a VAE stands at a stationary point of its loss, and whether its outputs are what they are taken for.

None of this needs training. At a stationary point of a VAE's loss, whatever the likelihood and the weight on the KL:

  * the mean residual of every output with a bias is 0;
  * E[mu_j^2 + sigma_j^2] = 1 for every unit, where the encoder's heads and the decoder's first layer are linear: only
    the KL changes where z_j is scaled by the encoder and scaled back by the decoder, and its derivative is
    E[mu_j^2 + sigma_j^2] - 1;
  * sigma_j < 1 on the units that the decoder uses.

Outputs that are logits, or of another scale than the data, are near the data after the right function alone.
"""

from typing import NamedTuple

import numpy as np

from tfcollapse.diagnosis import likelihoods
from tfcollapse.diagnosis.adapter.model_adapter import Output
from tfcollapse.diagnosis.likelihoods import LINKS, Likelihood

_BEYOND = 0.25
"""An output is outside the data's range where it is further away than this share of it."""
BOUNDS, NEAR_BOUND = (-1.0, 0.0, 1.0), 0.02
"""Where outputs of tanh and of sigmoid end, and the distance up to which an output is near such an end."""


class ConsistencySums:
    """Sums over blocks of all examples, in float64.

    Args:
      likelihood: of the decoder's output.
    """

    def __init__(self, likelihood: Likelihood):
        self.likelihood, self.count = likelihood, 0
        self._totals: dict[str, np.ndarray] = {}
        self._low, self._high, self.binary = np.inf, -np.inf, True
        self._output_low, self._output_high = np.inf, -np.inf
        self._near_bounds = np.zeros(len(BOUNDS))
        self._origin: np.ndarray | None = None  # the variance is summed around it: squares of dates are too large

    def add(self, encoded_mean: np.ndarray, encoded_log_variance: np.ndarray, x: np.ndarray, output: Output) -> None:
        """Add a block.

        Args:
          encoded_mean, encoded_log_variance: [n, latent], of the posterior.
          x: [n, d], the examples.
          output: of the decoder at a sample of z.
        """
        squared_sigma = np.exp(encoded_log_variance.astype(np.float64))
        if self._origin is None:
            self._origin = x.mean(axis=0, dtype=np.float64)
        moved = x - self._origin
        scores, information = likelihoods.score(self.likelihood, x, output.mean, output.log_variance)
        block = {
            "squared_sigma": squared_sigma.sum(axis=0),
            "second_moment": (np.square(encoded_mean, dtype=np.float64) + squared_sigma).sum(axis=0),
            "score": scores.sum(axis=0),
            "squared_score": np.square(scores).sum(axis=0),
            "information": information.sum(axis=0),
            "data_term": self._data_term(x, output),
            "squared_residual": np.square(x - output.mean, dtype=np.float64).sum(axis=0),
            "moved": moved.sum(axis=0),
            "squared_move": np.square(moved).sum(axis=0),
        }
        self._totals = {name: self._totals.get(name, 0.0) + total for name, total in block.items()}
        self.count += len(x)
        self._low, self._high = min(self._low, float(x.min())), max(self._high, float(x.max()))
        self.binary = self.binary and bool(np.isin(x, (0, 1)).all())
        self._output_low = min(self._output_low, float(output.mean.min()))
        self._output_high = max(self._output_high, float(output.mean.max()))
        self._near_bounds += [np.mean(np.abs(output.mean - bound) <= NEAR_BOUND) * len(x) for bound in BOUNDS]

    def _data_term(self, x: np.ndarray, output: Output) -> np.ndarray:
        """Return the squared error, or the negative log-likelihood in nats, summed over the block."""
        nats = likelihoods.negative_log_likelihoods(self.likelihood, x, output.mean, output.log_variance).sum()
        return 2.0 * nats if self.likelihood.has_gamma and output.log_variance is None else nats

    def _mean(self, name: str) -> np.ndarray:
        return self._totals[name] / self.count

    @property
    def squared_sigma(self) -> np.ndarray:
        """E[sigma_j^2], [latent]."""
        return self._mean("squared_sigma")

    @property
    def second_moment(self) -> np.ndarray:
        """E[mu_j^2 + sigma_j^2], [latent]."""
        return self._mean("second_moment")

    @property
    def information(self) -> np.ndarray:
        """The expected information of every number, [d], never 0: the variance of its score at the likelihood's own."""
        information = self._mean("information")
        return np.maximum(information, 1e-6 * max(float(information.mean()), 1e-300))

    @property
    def dispersion(self) -> float:
        """Pearson's dispersion: squared scores over the information. For a Gaussian it is the error, eq. (10)."""
        return float(self._mean("squared_score").sum() / self._mean("information").sum())

    @property
    def mean_residual_share(self) -> float:
        """The share of the squared scores that their means make, beyond what chance gives them."""
        squares = self._mean("squared_score")
        systematic = np.square(self._mean("score")) - squares / self.count
        return float(max(0.0, systematic.sum()) / max(squares.sum(), 1e-300))

    @property
    def data_term(self) -> float:
        """The squared error, for a Gaussian, or the negative log-likelihood in nats, summed over numbers."""
        return float(self._mean("data_term"))

    @property
    def variance(self) -> np.ndarray:
        """The variance of every number of an example, [d]."""
        return self._mean("squared_move") - np.square(self._mean("moved"))

    @property
    def squared_residual(self) -> np.ndarray:
        """The squared error of every number of an example, [d], z sampled."""
        return self._mean("squared_residual")

    @property
    def data_range(self) -> tuple[float, float]:
        """The least and the largest number of the data."""
        return self._low, self._high

    @property
    def output_range(self) -> tuple[float, float]:
        """The least and the largest number that the decoder gave."""
        return self._output_low, self._output_high

    @property
    def near_bounds(self) -> tuple[float, ...]:
        """The share of the outputs within `NEAR_BOUND` of each of `BOUNDS`."""
        return tuple((self._near_bounds / self.count).tolist())


class Misreading(NamedTuple):
    """How near the output comes to the data as it is, and after a function, as squared error per number.

    Attributes:
      outside: the share of the outputs that are beyond the data's range by a quarter of it.
      as_it_is: the error of the output.
      rescaled: the error of the best a * output + b, with one a and b for all numbers.
      scale: that a.
      as_logits: the error of the output's sigmoid; infinite where the data are not in [0, 1].
      as_log_mean: the error of the output's exponential; infinite where the data are not counts.
      constant: the error of the best constant, the same for all numbers.
      mean_example: the error of the mean of these examples.

    Example:
      >>> x = np.random.default_rng(0).normal(size=(200, 3))  # white noise, which no unit can code
      >>> found = tc.diagnose(lambda x: (0 * x, 0 * x), lambda z: 0 * z, x, gamma=1.0)  # a VAE of zeros
      >>> found.measurements.misreading.outside
      0.0
    """

    outside: float
    as_it_is: float
    rescaled: float
    scale: float
    as_logits: float
    as_log_mean: float
    constant: float
    mean_example: float


def misreading(x: np.ndarray, output: np.ndarray) -> Misreading:
    """Measure what the output would be under another reading.

    Args:
      x: [n, d], examples.
      output: [n, d], the decoder's output at the posterior's mean.
    """
    x, output = x.astype(np.float64), output.astype(np.float64)
    low, high = float(x.min()), float(x.max())
    beyond = _BEYOND * (high - low)
    scale = _slope(output, x)
    counts = low >= 0 and bool(np.array_equal(x, np.round(x))) and high > 1
    return Misreading(
        outside=float(((output < low - beyond) | (output > high + beyond)).mean()),
        as_it_is=_error(x, output),
        rescaled=_error(x, x.mean() + scale * (output - output.mean())),
        scale=scale,
        as_logits=_error(x, LINKS["logits"].mean(output)) if low >= 0 and high <= 1 else np.inf,
        as_log_mean=_error(x, LINKS["log_mean"].mean(output)) if counts else np.inf,
        constant=float(x.var()),
        mean_example=float(x.var(axis=0).mean()),
    )


def _error(x: np.ndarray, output: np.ndarray) -> float:
    return float(np.square(x - output).mean())


def _slope(output: np.ndarray, x: np.ndarray) -> float:
    """Return the slope of the regression of the data on the output, over all numbers; 0 for a constant output."""
    centred = output - output.mean()
    variance = float(np.square(centred).mean())
    return float((centred * (x - x.mean())).mean() / variance) if variance > 0 else 0.0
