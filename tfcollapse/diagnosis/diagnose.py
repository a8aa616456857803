"""`tfcollapse.diagnose`: is this VAE collapsed, in which way, and what would change it."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from tfcollapse.diagnosis.measure import measure
from tfcollapse.diagnosis.measurements import Measurements, facts
from tfcollapse.diagnosis.model_adapter import ModelAdapter, as_float, check_images
from tfcollapse.diagnosis.verdict import DEFAULT, MEANING, Thresholds, Verdict, decide
from tfcollapse.errors import ConfigError


@dataclasses.dataclass(frozen=True)
class Diagnosis:
    """What was measured, and what it says.

    Attributes:
      measurements: the numbers.
      verdict: the category or categories, per model and per dimension, with the evidence.
    """

    measurements: Measurements
    verdict: Verdict

    def as_json(self) -> dict[str, Any]:
        """Plain numbers, lists and text."""
        return {"verdict": self.verdict.as_json(), "measurements": self.measurements.as_json()}

    def lines(self) -> list[str]:
        """The diagnosis for a terminal."""
        verdict = self.verdict
        text = [f"{_named(name)}: {verdict.counts.get(name, '')} {MEANING[name]}" for name in verdict.categories]
        text += ["", "evidence (how many times it would have to change to cross the threshold)"]
        for each in verdict.evidence:
            text.append(f"  {each.value:<10.4g} {each.name}")
            text.append(f"  {'':10} against {each.threshold:.4g}, {each.distance:.3g} times: {each.reading}")
        text += ["", "measured", *(f"  {name:<44} {value}" for name, value in facts(self.measurements).items())]
        text += ["", *(f"note: {note}" for note in verdict.notes), f"what would change it: {verdict.change}"]
        return text

    def __str__(self) -> str:
        return "\n".join(self.lines())


def diagnose(
    encoder: Any,
    decoder: Any,
    images: np.ndarray,
    gamma: float | None = None,
    *,
    beta: float = 1.0,
    thresholds: Thresholds = DEFAULT,
    seed: int = 0,
) -> Diagnosis:
    """Say whether a VAE's posterior has collapsed, which of the paper's categories (section 3) it is, and why.

    Args:
      encoder: a Keras model or a plain function, images [n, ...] to (mean, log_variance), [n, latent] each.
      decoder: a Keras model or a plain function, z [n, latent] to images; or to (mean, log_variance) per pixel; or, of
        two inputs, (z, images) to images, for an autoregressive decoder.
      images: [n >= 2, ...], uint8 or in [0, 1], as the encoder takes them (uint8 is divided by 255 first); what it
        was trained on, all of it where there is time.
      gamma: the decoder VARIANCE in the loss; a squared error summed over pixels plus the KL in nats is gamma = 1/2,
        one averaged over the d pixels is gamma = d / 2. None where it is not known: active units show it.
      beta: the weight on the KL.
      thresholds: where the decisions are made.
      seed: of the draws of z.

    Raises:
      ConfigError: gamma <= 0, images that are not in [0, 1], outputs of shapes that do not fit, NaN.

    Example:
      >>> print(diagnose(vae.encoder, vae.decoder, images, gamma=0.5))
    """
    for name, value in (("gamma", gamma), ("beta", beta)):
        if value is not None and not 0 < value < np.inf:
            raise ConfigError(f"{name}: expected a number > 0, received {value}")
    images = check_images(images)
    adapter = ModelAdapter(encoder, decoder, as_float(images[:2]))
    found = measure(adapter, images, None if gamma is None else gamma * beta, seed)
    return Diagnosis(found, decide(found, thresholds))


def _named(category: str) -> str:
    return category if category in ("healthy", "undecided") else f"category ({category})"
