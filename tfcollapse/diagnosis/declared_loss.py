"""Hold what a user says of the loss, as the numbers that the diagnosis needs."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np

from tfcollapse.diagnosis import likelihoods
from tfcollapse.diagnosis.likelihoods import GAUSSIAN, NAMES, Likelihood
from tfcollapse.diagnosis.loss import AVERAGED, Loss
from tfcollapse.errors import ConfigError

NOTHING, NUMBER, WORDS, TRAINING = "nothing", "number", "words", "training"
NEARLY_ONE = 1.5
"""A weight on the KL up to this is that of the ELBO, nearly."""


@dataclasses.dataclass(frozen=True)
class DeclaredLoss:
    """The loss that a VAE is said to be trained by.

    Attributes:
      likelihood: of the decoder's output.
      gamma: the decoder variance; None where it is not declared, or the likelihood has none.
      beta: the weight on the KL, all reductions of the loss included.
      source: how it is known: NOTHING is declared; a NUMBER or WORDS, which cannot be trusted where no unit is active;
        or TRAINING, which is our own.
      learned: whether gamma is a weight that was trained.
      averaged: whether the words say that the error is averaged over numbers.
      logged: the reconstruction loss that the log of the training shows, without its weight; None where it is not told.
      logged_share: the share of the squared error, or of the negative log-likelihood, that such a log shows: 1/2 where
        the error is halved.
      text: the loss in words with what follows from it; empty where no words were given.
      logits: whether the words say that the output is logits.
    """

    likelihood: Likelihood = GAUSSIAN
    gamma: float | None = None
    beta: float = 1.0
    source: str = NOTHING
    learned: bool = False
    averaged: bool = False
    logged: float | None = None
    logged_share: float = 1.0
    text: str = ""
    logits: bool = False

    @property
    def weight(self) -> float | None:
        """Gamma times beta; beta for a likelihood without gamma; None where gamma is not known."""
        if not self.likelihood.has_gamma:
            return self.beta
        return None if self.gamma is None else self.gamma * self.beta


UNDECLARED = DeclaredLoss()
"""Nothing is known of the loss."""


def declared_loss(
    shape: tuple[int, ...],
    latent_dim: int,
    gamma: float | None = None,
    beta: float = 1.0,
    loss: str | Loss | None = None,
    likelihood: str | Likelihood | None = None,
    learned: bool = False,
    logged: float | None = None,
) -> DeclaredLoss:
    """Turn the arguments of `diagnose` into numbers.

    Args:
      shape: of one example.
      latent_dim: how many latents there are.
      gamma, beta, loss, likelihood, learned, logged: as `diagnose` takes them.

    Raises:
      ConfigError: numbers that are not > 0, or arguments that exclude each other.
    """
    gamma, logged = (
        None if value is None else _number(name, value) for name, value in (("gamma", gamma), ("logged", logged))
    )
    beta = _number("beta", beta)
    for name, value in (("gamma", gamma), ("beta", beta)):
        if value is not None and value <= 0:
            raise ConfigError(f"{name}: expected a number > 0, received {value:g}")
    if learned and (gamma is None or loss is not None):
        raise ConfigError("gamma_learned: expected the gamma that training ended with, received no gamma")
    if loss is None:
        found = likelihoods.named(likelihood or GAUSSIAN)
        if gamma is not None and not found.has_gamma:
            raise ConfigError(f"gamma: expected none with the {found.name} likelihood, received {gamma}: declare beta")
        number = gamma is not None or not found.has_gamma
        return DeclaredLoss(found, gamma, beta, NUMBER if number else NOTHING, learned, logged=logged)
    if gamma is not None:
        raise ConfigError(f"loss: expected either loss or gamma, received both: gamma follows from '{loss}'")
    return _in_words(shape, latent_dim, beta, loss, likelihood, learned, logged)


def _in_words(
    shape: tuple[int, ...],
    latent_dim: int,
    beta: float,
    loss: str | Loss,
    likelihood: str | Likelihood | None,
    learned: bool,
    logged: float | None,
) -> DeclaredLoss:
    """Turn a loss in words into numbers."""
    loss = Loss.parse(loss) if not isinstance(loss, Loss) else loss
    found = loss.likelihood if likelihood is None else likelihoods.named(likelihood)
    if found.name in NAMES and found.name != loss.likelihood.name:
        raise ConfigError(f"likelihood: expected the one of the loss, {loss.likelihood.name}, received {found.name}")
    if beta != 1 and loss.beta != 1:
        raise ConfigError(f"beta: expected it once, received {beta:g} beside {loss.beta:g} in the loss")
    loss = dataclasses.replace(loss, beta=loss.beta * beta)
    return DeclaredLoss(
        found,
        loss.gamma(shape),
        loss.kl_weight(shape, latent_dim),
        WORDS,
        learned,
        averaged=loss.reduction == AVERAGED,
        logged=logged,
        logged_share=0.5 if loss.error == "half squared error" else 1.0,
        text=loss.words(shape, latent_dim),
        logits=loss.logits,
    )


def _number(name: str, value: Any) -> float:
    """Return a number, or a tensor or variable of one number, as a float. Raises ConfigError for anything else."""
    detached = value.detach() if hasattr(value, "detach") else value
    try:
        number = float(np.asarray(detached).reshape(())) if not isinstance(detached, str) else math.nan
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise ConfigError(
            f"{name}: expected a number > 0, received {value!r}"
            if name != "logged"
            else f"logged: expected a number, received {value!r}"
        )
    return number
