"""Define the errors that a user can correct. Each is one line: what was expected, what was received, what to do."""

from __future__ import annotations

import difflib
import re
import reprlib
from collections.abc import Iterable, Sequence

_MOST_OF_A_VALUE, _MOST_OF_A_WORD, _MOST_OF_A_MESSAGE = 120, 400, 2_000
"""The longest text of a value that is received, of anything without a space, and of a message, in characters."""
_REPR = reprlib.Repr()
_REPR.maxstring = _REPR.maxother = _MOST_OF_A_VALUE


class UserError(Exception):
    """An error that a user can correct.

    The command line prints it as one line, without a traceback, and exits with status 2.

    Example:
      >>> try:
      ...     tc.Objective(kind="gan")
      ... except tc.UserError as error:
      ...     print(error)
      unknown value of Objective.kind 'gan': expected one of ae, vae
    """

    _keras_call_info_injected = True  # else Keras adds lines about the arguments of the layer in which it is raised

    def __str__(self) -> str:
        """Return the message with every character that cannot be printed escaped, and with long parts shortened.

        A part of the message may come from a file of unknown origin, or repeat a long argument.
        """
        printable = "".join(c if c.isprintable() else repr(c)[1:-1] for c in super().__str__())
        words = re.sub(rf"\S{{{_MOST_OF_A_WORD + 1},}}", lambda word: _cut(word[0], _MOST_OF_A_WORD), printable)
        return _cut(words, _MOST_OF_A_MESSAGE)


class ConfigError(UserError, ValueError):
    """A declaration, an argument or a setting that cannot be right. It is a ValueError too.

    Example:
      >>> try:
      ...     tc.Network(depth=-1)
      ... except tc.ConfigError as error:
      ...     print(error)
      Network.depth: expected >= 0, received -1
    """


class DivergedError(ConfigError):
    """An encoder or a decoder whose outputs are NaN or infinite."""


class DataError(UserError):
    """A dataset that is missing, unreadable or damaged.

    Example:
      >>> try:
      ...     tc.load(tc.Data(name="nowhere.npy"))
      ... except tc.DataError as error:
      ...     print(error)
      data.name 'nowhere.npy': No such file or directory: expected a .npy or .npz file
    """


class RunError(UserError):
    """A run directory, table or record that cannot be used: locked, damaged, unwritable, or of another run.

    Example:
      >>> try:
      ...     tc.read_table("nowhere.csv")
      ... except tc.RunError as error:
      ...     print(error)
      'nowhere.csv': there is no such file
    """


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


def shown(value: object) -> str:
    """Return a value as a message repeats it: a short one line, whatever the value is."""
    try:
        return _REPR.repr(value)
    except ValueError:  # Python writes no int of more than 4,300 digits
        return f"{type(value).__name__} with a number of thousands of digits"


def line_of(error: BaseException) -> str:
    """Return an error as one line: its type, and up to 160 characters of its message's first line."""
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0][:160]}" if text else type(error).__name__


def _cut(text: str, most: int) -> str:
    """Return a text of at most `most` characters: its start and its end, where it is longer."""
    half = (most - 3) // 2
    return text if len(text) <= most else f"{text[:half]}...{text[-half:]}"


def unknown(kind: str, received: object, choices: Iterable[str], meant: Sequence[str] = ()) -> str:
    """Return the message for a name that is not one of `choices`. It suggests the nearest choice, where one is near.

    Args:
      kind: what the name should be the name of, such as "dataset".
      received: the name that was received.
      choices: the names that are allowed.
      meant: what is suggested; by default the choice that is nearest to what was received.
    """
    names = [str(name) for name in choices]
    text = _cut(received, _MOST_OF_A_VALUE) if isinstance(received, str) else shown(received)
    near = meant or difflib.get_close_matches(text, names, n=1)
    hint = f"did you mean {' or '.join(map(repr, near))}? " if near else ""
    return f"unknown {kind} '{text}': {hint}expected one of {', '.join(names)}"


NO_TENSORFLOW = "TensorFlow is not installed: pip install tensorflow, or set KERAS_BACKEND=jax to train with JAX"
NO_KERAS = "Keras is not installed: pip install keras tensorflow; tfcollapse.diagnose does without"
