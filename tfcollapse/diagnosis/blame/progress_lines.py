"""Say how long the trainings of `blame` will take, and where each one stands."""

from __future__ import annotations

import time
from collections.abc import Callable

from tfcollapse.diagnosis.blame import advice as blame_advice
from tfcollapse.diagnosis.blame.arms import Arm
from tfcollapse.diagnosis.blame.training import ArmTrainer
from tfcollapse.training.progress import Progress, duration

Say = Callable[[str], None]
"""Takes one line of text."""

_PROGRESS_SECONDS = 10.0
"""The least number of seconds between two lines about one arm."""


class ProgressLines:
    """Say how long the arms will take, and where each one stands.

    Args:
      trainer: trains the arms.
      say: is called with each line.
    """

    def __init__(self, trainer: ArmTrainer, say: Say):
        self.trainer, self.say = trainer, say
        self.names = list(trainer.runs)
        self.left = {name: trainer.steps_left(name) * trainer.cost(name) for name in self.names}
        self.current, self.last_time = "", 0.0
        self.first: tuple[int, float] | None = None

    def announce(self) -> None:
        """Time a few steps, and say how long all arms take. Nothing is timed where all have been trained."""
        done = sum(left == 0 for left in self.left.values())
        total = f"{len(self.names)} trainings"
        if done == len(self.names):
            self.say(f"{total}, all of them done: only the diagnoses are made again")
            return
        seconds = self.trainer.seconds_per_step() * sum(self.left.values())
        self.say(
            f"{total}{f', {done} of them done' if done else ''}: about {duration(seconds)} of training on this "
            "machine. If the first shows no collapse, the others are left out."
        )

    def begin(self, name: str) -> None:
        """Say which arm is trained now."""
        run = self.trainer.runs[name]
        place = f"[{self.names.index(name) + 1}/{len(self.names)}]"
        self.say(f"{place} {name}: {run.training.steps:,} steps  {self.trainer.where(name)}".rstrip())
        self.current, self.last_time, self.first = name, time.monotonic(), None

    def update(self, progress: Progress) -> None:
        """Say where the arm stands, at most every ten seconds. The speed leaves out its first row, which compiles."""
        now = time.monotonic()
        self.first = self.first or (progress.step, now)
        steps, seconds = progress.step - self.first[0], now - self.first[1]
        if now - self.last_time < _PROGRESS_SECONDS or not steps:
            return
        self.last_time = now
        later = self.names[self.names.index(self.current) + 1 :]
        left = (progress.steps - progress.step) * seconds / steps
        others = sum(self.left[name] for name in later) / self.trainer.cost(self.current) * seconds / steps
        self.say(
            f"    step {progress.step:,} of {progress.steps:,}, {steps / seconds:.3g} steps/s, "
            f"error {progress.reconstruction_error:.4g}; {duration(left)} left, {duration(left + others)} for all arms"
        )

    def end(self, arm: Arm) -> None:
        """Say what the arm obtained."""
        self.say(f"    {blame_advice.arm_numbers(arm)}")
