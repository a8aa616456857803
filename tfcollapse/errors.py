"""Define the errors that a user can correct. Each is one line: what was expected, what was received, what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """An error that a user can correct.

    The command line prints it as one line, without a traceback, and exits with status 2.
    """

    _keras_call_info_injected = True  # else Keras adds lines about the arguments of the layer in which it is raised

    def __str__(self) -> str:
        """Return the message with every character that cannot be printed escaped.

        A part of the message may come from a file of unknown origin.
        """
        return "".join(c if c.isprintable() else repr(c)[1:-1] for c in super().__str__())


class ConfigError(UserError, ValueError):
    """A declaration or a setting that cannot be right."""


class DivergedError(ConfigError):
    """An encoder or a decoder whose outputs are NaN or infinite."""


class DataError(UserError):
    """A dataset that is missing, unreadable or damaged."""


class RunError(UserError):
    """A run directory, table or record that cannot be used: locked, damaged, unwritable, or of another run."""


class NonFiniteError(RunError):
    """A training whose loss or gamma is no longer a finite number.

    Attributes:
      step: the first step whose loss or gamma is not finite; steps are counted from 1.
      last_finite: the metrics of the step before it; empty where there is none.
    """

    def __init__(self, step: int, last_finite: dict[str, float]):
        self.step, self.last_finite = step, last_finite
        seen = ", ".join(f"{name} {value:.4g}" for name, value in last_finite.items()) or "none"
        super().__init__(
            f"loss or gamma is not finite at step {step} (last finite values: {seen}): "
            "try a smaller training.learning_rate, or a larger objective.gamma_start"
        )


class Terminated(SystemExit):
    """The end of a process that received SIGTERM and has saved its state.

    The exit status is 143, as a shell gives it.
    """

    def __init__(self) -> None:
        super().__init__(143)


def unknown(kind: str, received: object, choices: Iterable[str]) -> str:
    """Return the message for a name that is not one of `choices`. It suggests the nearest choice, where one is near.

    Args:
      kind: what the name should be the name of, such as "dataset".
      received: the name that was received.
      choices: the names that are allowed.
    """
    names = [str(name) for name in choices]
    near = difflib.get_close_matches(str(received), names, n=1)
    hint = f"did you mean '{near[0]}'? " if near else ""
    return f"unknown {kind} '{received}': {hint}expected one of {', '.join(names)}"


NO_TENSORFLOW = "TensorFlow is not installed: pip install tensorflow, or set KERAS_BACKEND=jax to train with JAX"
NO_KERAS = "Keras is not installed: pip install keras tensorflow; tfcollapse.diagnose does without"
