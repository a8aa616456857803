"""Mistakes a user can mend: one line that says what was expected, what was received, what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """The command line prints it as one line, without a traceback, and exits with status 2."""

    def __str__(self) -> str:
        """The message with what is not printable escaped: part of it may come from somebody else's file."""
        return "".join(c if c.isprintable() else repr(c)[1:-1] for c in super().__str__())


class ConfigError(UserError, ValueError):
    """A declaration or a setting that cannot be right."""


class DataError(UserError):
    """A dataset that is missing, unreadable or damaged."""


class RunError(UserError):
    """A run directory that cannot be used: locked, damaged, full, or another run's."""


class NonFiniteError(RunError):
    """The loss or gamma stopped being a finite number.

    Attributes:
      step: the first step whose loss or gamma is not finite (steps count from 1).
      last_finite: the metrics of the step before it, empty when there is none.
    """

    def __init__(self, step: int, last_finite: dict[str, float]):
        self.step, self.last_finite = step, last_finite
        seen = ", ".join(f"{name} {value:.4g}" for name, value in last_finite.items()) or "none"
        super().__init__(
            f"loss or gamma is not finite at step {step} (last finite values: {seen}): "
            "try a smaller training.learning_rate, or a larger objective.gamma_start"
        )


class Terminated(SystemExit):
    """SIGTERM: what was to be saved has been. Exit status 143, as a shell gives it."""

    def __init__(self) -> None:
        super().__init__(143)


def unknown(kind: str, received: object, choices: Iterable[str]) -> str:
    """The message for a name that is none of `choices`, with the nearest one suggested."""
    names = [str(name) for name in choices]
    near = difflib.get_close_matches(str(received), names, n=1)
    hint = f"did you mean '{near[0]}'? " if near else ""
    return f"unknown {kind} '{received}': {hint}expected one of {', '.join(names)}"


NO_TENSORFLOW = "TensorFlow is not installed: pip install tensorflow, or set KERAS_BACKEND=jax to train with JAX"
