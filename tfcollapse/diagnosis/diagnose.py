"""Say whether a VAE is collapsed, in which way, and what would change it: `tfcollapse.diagnose`."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from tfcollapse.diagnosis.categories import CATEGORIES
from tfcollapse.diagnosis.examples import read_examples
from tfcollapse.diagnosis.measure import measure
from tfcollapse.diagnosis.measurements import Measurements, facts
from tfcollapse.diagnosis.model_adapter import ModelAdapter
from tfcollapse.diagnosis.verdict import DEFAULT, Thresholds, Verdict, decide
from tfcollapse.errors import ConfigError


@dataclasses.dataclass(frozen=True)
class Diagnosis:
    """What was measured of a VAE, and the verdict.

    Attributes:
      measurements: the numbers.
      verdict: the categories of the model and of each latent dimension, with the evidence.
    """

    measurements: Measurements
    verdict: Verdict

    def as_json(self) -> dict[str, Any]:
        """Return plain numbers, lists and text."""
        return {"verdict": self.verdict.as_json(), "measurements": self.measurements.as_json()}

    def lines(self) -> list[str]:
        """Write the diagnosis as lines for a terminal."""
        verdict, categories = self.verdict, [CATEGORIES[name] for name in self.verdict.categories]
        text = [
            f"{category.title}: {verdict.counts.get(category.name, '')} {category.meaning}" for category in categories
        ]
        text += ["", "evidence (and how many times larger or smaller it would have to be to cross the threshold)"]
        for evidence in verdict.evidence:
            text.append(f"  {evidence.value:<10.4g} {evidence.name}")
            text.append(
                f"  {'':10} against {evidence.threshold:.4g}, {evidence.distance:.3g} times: {evidence.reading}"
            )
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
      images: [n >= 2, ...], in the units in which the model was trained, or anything that `read_examples` takes (uint8
        with other values than 0 and 1 is divided by 255). Give what the model was trained on, all of it where there is
        time.
      gamma: the decoder VARIANCE in the loss; a squared error summed over pixels plus the KL in nats is gamma = 1/2,
        one averaged over the d pixels is gamma = d / 2. None where it is not known; the active units then show it.
      beta: the weight on the KL.
      thresholds: the values at which the decisions change.
      seed: of the draws of z.

    Raises:
      ConfigError: gamma <= 0, data that are no numbers, outputs of shapes that do not fit, NaN.

    Example:
      >>> print(diagnose(vae.encoder, vae.decoder, images, gamma=0.5))
    """
    for name, value in (("gamma", gamma), ("beta", beta)):
        if value is not None and not 0 < value < np.inf:
            raise ConfigError(f"{name}: expected a number > 0, received {value}")
    examples = read_examples(images)
    adapter = ModelAdapter(encoder, decoder, examples.as_float(examples.array[:2]))
    measurements = measure(adapter, examples, None if gamma is None else gamma * beta, seed)
    return Diagnosis(measurements, decide(measurements, thresholds))
