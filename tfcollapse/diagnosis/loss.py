"""Read what people know of their VAE: its loss. The decoder variance gamma and the weight on the KL follow from it.

A loss is weight * error + beta * KL, averaged over examples, where error and KL are reduced in some way. Divided by
weight times the error's reduction, it is eq. (4) (halved) for some gamma and beta:

  error                       | reduction             | gamma        | beta
  squared error               | summed                | 1 / 2w       | beta
  squared error               | averaged over d       | d / 2w       | beta
  half squared error          | summed                | 1 / w        | beta
  cross-entropy, Poisson, ... | summed                | -            | beta / w
  cross-entropy, Poisson, ... | averaged over d       | -            | beta d / w
"""

from __future__ import annotations

import dataclasses
import math
import re

from tfcollapse.config.annotations import arguments_checked
from tfcollapse.diagnosis import likelihoods
from tfcollapse.diagnosis.likelihoods import Likelihood
from tfcollapse.errors import ConfigError

SUMMED, AVERAGED, CHANNELS = REDUCTIONS = ("summed", "averaged", "averaged over channels")
_ERRORS = {
    "squared error": "gaussian",
    "half squared error": "gaussian",
    "cross-entropy": "bernoulli",
    "poisson": "poisson",
}
EXAMPLES = "'squared error summed', 'cross-entropy averaged over pixels, beta 4', 'mse, weight 784'"


@arguments_checked
@dataclasses.dataclass(frozen=True)
class Loss:
    """The loss that a VAE was trained by: weight * error + beta * KL, averaged over examples.

    Attributes:
      error: "squared error", "half squared error", "cross-entropy" or "poisson".
      reduction: of the error over the numbers of an example: "summed", "averaged", or "averaged over channels" (summed
        over all but the last axis, as Keras' losses do before a sum over pixels).
      weight: on the error.
      beta: on the KL.
      kl_averaged: whether the KL is averaged over latents, not summed.
      kl_batch: how many examples the KL is summed over where the error is averaged over them; else 1.
      logits: whether the decoder's output is said to be logits.

    Raises:
      ConfigError: an unknown name, a number that is not > 0.

    Example:
      >>> tc.Loss("squared error", "averaged").gamma((28, 28, 1))
      392.0
      >>> tc.Loss.parse("squared error averaged over pixels, weight 784, beta 0.5").gamma((28, 28, 1))
      0.5
    """

    error: str
    reduction: str
    weight: float = 1.0
    beta: float = 1.0
    kl_averaged: bool = False
    kl_batch: int = 1
    logits: bool = False

    def __post_init__(self) -> None:
        if self.error not in _ERRORS:
            raise ConfigError(f"loss: expected an error of {', '.join(_ERRORS)}, received {self.error!r}")
        if self.reduction not in REDUCTIONS:
            raise ConfigError(f"loss: expected an error that is {', '.join(REDUCTIONS)}, received {self.reduction!r}")
        for name in ("weight", "beta", "kl_batch"):
            value = getattr(self, name)
            if not (isinstance(value, (int, float)) and 0 < value < math.inf):
                raise ConfigError(f"loss: expected {name} > 0, received {value!r}")

    @classmethod
    def parse(cls, words: str) -> Loss:
        """Read a loss from words, such as "squared error averaged over pixels, weight 784, beta 0.5".

        Raises:
          ConfigError: words that are not understood, or that leave the error or its reduction open.
        """
        return _parse(words)

    @property
    def likelihood(self) -> Likelihood:
        """Return the likelihood whose negative logarithm the error is, up to its weight."""
        return likelihoods.named(_ERRORS[self.error])

    def gamma(self, shape: tuple[int, ...]) -> float | None:
        """Return the decoder variance; None where the likelihood has none.

        Args:
          shape: of one example.
        """
        if not self.likelihood.has_gamma:
            return None
        factor = self.weight * (0.5 if self.error == "half squared error" else 1.0)
        return 0.5 * self._averaged_over(shape) / factor

    def kl_weight(self, shape: tuple[int, ...], latent_dim: int) -> float:
        """Return the weight on the KL where the negative log-likelihood has weight 1 (that with `gamma`).

        Args:
          shape: of one example.
          latent_dim: how many latents there are.
        """
        beta = self.beta * self.kl_batch / (latent_dim if self.kl_averaged else 1)
        return beta if self.likelihood.has_gamma else beta * self._averaged_over(shape) / self.weight

    def other_reduction(self) -> Loss:
        """Return the same loss with the error reduced the other way: what it may be by mistake."""
        return dataclasses.replace(self, reduction=SUMMED if self.reduction == AVERAGED else AVERAGED)

    def words(self, shape: tuple[int, ...], latent_dim: int) -> str:
        """Write the loss, and the gamma and beta that follow from it."""
        text = f"{self.error} {self.reduction}"
        if self.reduction == AVERAGED:
            text += f" over {math.prod(shape)} numbers"
        if self.reduction == CHANNELS:
            text += f" (the last axis, {shape[-1]} numbers)"
        text += f", weight {self.weight:g}, beta {self.beta:g}"
        text += ", KL averaged over latents" * self.kl_averaged
        text += f", KL summed over a batch of {self.kl_batch}" * (self.kl_batch != 1)
        gamma, beta = self.gamma(shape), self.kl_weight(shape, latent_dim)
        return f"{text}: " + (f"gamma {gamma:.4g}, beta {beta:.4g}" if gamma is not None else f"beta {beta:.4g}")

    def _averaged_over(self, shape: tuple[int, ...]) -> int:
        return {SUMMED: 1, AVERAGED: math.prod(shape), CHANNELS: shape[-1]}[self.reduction]


_NUMBER = r"([0-9]+(?:\.[0-9]*)?(?:e[+-]?[0-9]+)?|\.[0-9]+)"
_OVER_NUMBERS = r"(?: over(?: all)?(?: the)? (?:[0-9]+ )?(?:batch and )?"
_OVER_NUMBERS += r"(?:pixels|numbers|dimensions|features|everything|inputs|genes|columns)(?: and batch)?)?"
_OVER_BATCH = r"(?:averaged|mean|average|summed|sum) over(?: the)? (?:batch|images|examples|rows|samples)(?! and)"
_PATTERNS: tuple[tuple[str, str], ...] = (
    ("kl_batch", rf"kl (?:summed|sum) over (?:a |the )?batch(?: of)? {_NUMBER}"),
    ("kl_averaged", r"kl (?:averaged|average|mean) over(?: the)? (?:latents|units|dimensions|latent dimensions)"),
    ("kl_batch_mean", r"kl (?:averaged|average|mean) over(?: the)? (?:batch|images|examples|rows|samples)"),
    ("kl_summed", r"kl (?:summed|sum)(?: over(?: the)? (?:latents|units|dimensions))?"),
    ("beta_times", rf"{_NUMBER} \* (?:the )?kl[a-z]*"),
    ("beta", rf"(?:beta|kl weight|kl_weight|weight on the kl)[ :=]*{_NUMBER}"),
    ("weight", rf"(?:weight(?:ed)?(?: by)?|times|factor)[ :=]*{_NUMBER}"),
    ("factor", rf"(?:{_NUMBER} \*|\* {_NUMBER})"),
    ("batch", _OVER_BATCH),
    ("with_logits", r"(?:bcewithlogitsloss|binary cross[- ]?entropy with logits|cross[- ]?entropy with logits)"),
    ("half", r"(?:half|1/2)(?: the)?"),
    ("logits", r"(?:from |with |of )?logits(?: ?= ?true)?"),
    ("mse", r"(?:mse ?loss|mse|mean squared error|mean square error)"),
    ("sse", r"(?:sum of (?:the )?(?:squares|squared errors)|sse)"),
    ("squared", r"(?:squared errors|squared error|square error|l2)"),
    ("cross", r"(?:binary )?(?:cross[- ]?entropy|crossentropy|bce ?loss|bce|log loss)"),
    ("poisson", r"poisson(?: nll| loss| negative log[- ]likelihood)?"),
    ("channels", r"(?:averaged|mean|average) over(?: the)? (?:channels|last axis)"),
    ("averaged", rf"(?:averaged|mean|average|reduction ?=? ?mean){_OVER_NUMBERS}"),
    ("summed", rf"(?:summed|sum|reduction ?=? ?sum){_OVER_NUMBERS}"),
)
_KL_MEANS = {"kl_averaged", "kl_batch_mean"}
_FILLER = (
    r"\b(?:nn|f|kld|kl divergence|kl|beta-vae|and|with|the|plus|of|per|image|example|error|loss|then|a|but)\b|[,;:+.*]"
)


def _parse(words: str) -> Loss:
    """Take the parts of a loss out of its words, one pattern after the other; nothing may be left over."""
    if not isinstance(words, str):
        raise ConfigError(f"loss: expected words such as {EXAMPLES}, or a tfcollapse.Loss, received {words!r}")
    plain = re.sub(r"[()'\"]", " ", words.lower().replace("_", " ").replace("*", " * "))
    rest, said = " ".join(plain.split()), {}
    for name, pattern in _PATTERNS:
        match = re.search(rf"(?<![a-z0-9]){pattern}(?![a-z0-9])", rest)
        if match:
            said[name] = float(next((number for number in match.groups() if number), 1.0))
            rest = f"{rest[: match.start()]} {rest[match.end() :]}"
    left = re.sub(_FILLER, " ", rest).split()
    if re.search(r"kl (?:averaged|average|mean)\b", " ".join(plain.split())) and not said.keys() & _KL_MEANS:
        raise ConfigError(f"loss: expected 'KL averaged over latents' or 'over the batch', received '{words}'")
    if left:
        raise ConfigError(f"loss: expected words such as {EXAMPLES}, received '{words}': '{' '.join(left)}' is unknown")
    return Loss(
        error=_error(words, said),
        reduction=_reduction(words, said),
        weight=said.get("weight", 1.0) * said.get("factor", 1.0),
        beta=said.get("beta", 1.0) * said.get("beta_times", 1.0),
        kl_averaged="kl_averaged" in said,
        kl_batch=int(said.get("kl_batch", 1)),
        logits="logits" in said or "with_logits" in said,
    )


def _error(words: str, said: dict[str, float]) -> str:
    """Return the one error that the words name."""
    errors = [
        name
        for name, keys in (
            ("squared error", ("mse", "squared", "sse")),
            ("cross-entropy", ("cross", "with_logits")),
            ("poisson", ("poisson",)),
        )
        if any(key in said for key in keys)
    ]
    if len(errors) != 1:
        raise ConfigError(f"loss: expected one of squared error, cross-entropy, poisson in it, received '{words}'")
    return "half squared error" if "half" in said and errors[0] == "squared error" else errors[0]


def _reduction(words: str, said: dict[str, float]) -> str:
    """Return how the words reduce the error. "mse" alone is averaged."""
    reductions = [
        name for name, key in ((SUMMED, "summed"), (AVERAGED, "averaged"), (CHANNELS, "channels")) if key in said
    ]
    if "sse" in said:  # is a sum already; a mean beside it is over the batch
        return SUMMED
    if CHANNELS in reductions:
        return CHANNELS
    if not reductions and "mse" in said:
        return AVERAGED
    if len(reductions) != 1:
        raise ConfigError(
            f"loss: expected an error that is 'summed' or 'averaged' over the numbers of an example, received '{words}'"
        )
    return reductions[0]
