"""Call the code of a user's own study file: what goes wrong in it is one line that names the file and its line."""

from __future__ import annotations

import functools
import pathlib
import traceback
from collections.abc import Callable
from typing import Any

from tfcollapse.claims.claim import Claim
from tfcollapse.errors import ConfigError, Terminated, shown
from tfcollapse.records.table import lacks_column


class StudyError(ConfigError):
    """The code of a study file failed, or returned what nobody can use."""


def failure(path: pathlib.Path, error: BaseException, what: str = "") -> StudyError:
    """Return the error in the code of the study file `path` as one line; `what` is the part of the study it is in."""
    return StudyError(f"study file '{path}'{_line(error, path)}: {what}{type(error).__name__}: {error}")


def own_draw(path: pathlib.Path, draw: Callable[..., Any]) -> Callable[..., Any]:
    """Return a user's `Study.draw`, which raises StudyError where it fails or returns no Figure."""
    return _guarded(path, "draw", draw, "a matplotlib Figure", _is_figure)


def own_claims(path: pathlib.Path, claims: Callable[..., Any]) -> Callable[..., Any]:
    """Return a user's `Study.claims`, which raises StudyError where it fails or returns no list of Claim."""
    return _guarded(path, "claims", claims, "a list of Claim", _is_claims)


def _is_figure(found: Any) -> bool:
    from matplotlib.figure import Figure  # which a list of runs does without

    return isinstance(found, Figure)


def _is_claims(found: Any) -> bool:
    return isinstance(found, list) and all(isinstance(claim, Claim) for claim in found)


def _guarded(
    path: pathlib.Path, name: str, function: Callable[..., Any], expected: str, fits: Callable[[Any], bool]
) -> Callable[..., Any]:
    @functools.wraps(function)
    def call(rows: Any) -> Any:
        try:
            found = function(rows)
        except Terminated:  # this process received SIGTERM
            raise
        except (Exception, SystemExit) as error:
            if lacks_column(rows, error):  # it is the table that is at fault
                raise
            raise failure(path, error, f"{name}: ") from error
        if not fits(found):
            raise StudyError(f"study file '{path}': {name}: expected {expected}, received {shown(found)}")
        return found

    return call


def _line(error: BaseException, path: pathlib.Path) -> str:
    """Return the last line of `path` that led to `error`, as text for the message."""
    frames = [(frame.filename, frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
    if isinstance(error, SyntaxError):
        frames.append((str(error.filename), error.lineno))
    lines = [line for name, line in frames if pathlib.Path(name).resolve() == path.resolve()]
    return f", line {lines[-1]}" if lines else ""
