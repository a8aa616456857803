"""Where a run stands. A module of its own, so that who only watches runs need not import Keras."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """One run after one chunk of steps.

    Attributes:
      steps_per_second: of this session, compilation included.
      reconstruction_error: squared error per pixel, mean over the chunk's batches.
      gamma: None for an AE.
      active_units: at the last probe of the training set; None before the first.
    """

    run_id: str
    step: int
    steps: int
    steps_per_second: float
    reconstruction_error: float
    gamma: float | None
    active_units: int | None

    @property
    def seconds_left(self) -> float:
        """At the speed of this session."""
        return (self.steps - self.step) / self.steps_per_second
