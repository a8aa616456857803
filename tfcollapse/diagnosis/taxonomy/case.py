"""Define what a case of the benchmark is: a VAE whose cause of collapse is known because it was built that way."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

EIGENVALUES = (0.16, 0.08, 0.04, *[0.002] * 13)
"""Of the covariance of most cases' data, 4 x 4 numbers: three directions that matter, and noise."""


@dataclasses.dataclass(frozen=True)
class Model:
    """What a case gives to `diagnose`.

    Attributes:
      encoder, decoder: Keras models or plain functions.
      data: what they were fitted to, [n, ...].
      declared: the keywords of `diagnose`: what a user would say of the model.
    """

    encoder: Any
    decoder: Any
    data: Any
    declared: dict[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Case:
    """A VAE of known cause. Whoever adds one decides on `truth` before the diagnosis has seen it.

    Attributes:
      name: a short name, of this case alone.
      about: what was done, and what the diagnosis is told.
      truth: the categories that the verdict must name.
      why: one sentence: why the truth follows from what was done.
      build: the seed to the model.
      accepted: other verdicts that are right as well.
      closed_form: whether the VAE is written down, so that it is built at once, and not trained.
    """

    name: str
    about: str
    truth: str
    why: str
    build: Callable[[int], Model]
    accepted: tuple[str, ...] = ()
    closed_form: bool = True
