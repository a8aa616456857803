"""Say where a run stands. Whoever only watches runs imports this module, and not Keras."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """Say where one run stands after a row of metrics.csv.

    Attributes:
      run_id: the run.
      step, steps: the steps done, and the steps of the whole run.
      steps_per_second: the speed since the run was last started, compilation included.
      reconstruction_error: the squared error per pixel, mean over the batches of the row.
      gamma: the decoder variance, mean over the batches of the row; None for an AE.
      active_units: the count at the last probe of the training set; None before the first probe and for an AE.

    Example:
      >>> progress = tc.Progress("a-run", 50, 200, 25.0, reconstruction_error=0.02, gamma=0.02, active_units=4)
      >>> progress.seconds_left
      6.0
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
        """Return the seconds that the remaining steps take at this speed."""
        return (self.steps - self.step) / self.steps_per_second


def duration(seconds: float) -> str:
    """Return seconds as 2h05m or 3m20s."""
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02}m" if hours else f"{minutes}m{seconds:02}s"
