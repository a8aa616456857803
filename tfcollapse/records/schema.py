"""Check what a JSON record holds, once, where it is read: a record may be damaged, or a stranger's."""

from __future__ import annotations

import pathlib
import reprlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tfcollapse.config.validation import is_utf8
from tfcollapse.errors import RunError

Schema = Any
"""What a value must be:

  float        a number up to LARGEST, so neither NaN nor infinite; a bool is none
  int          a whole number up to LARGEST; a bool is none
  str, bool    a text that UTF-8 can write; True or False
  None         null
  (S, T)       one of several
  [S]          a list whose values are all S
  {...: S}     an object whose values are all S, whatever their names, which are texts that UTF-8 can write
  {"a": S}     an object that has this name, and may have others; "a?" may be left out
  Such         what a schema says, and a condition
  Any          any value
"""

_NAMES = {float: "a number", int: "a whole number", str: "a text in UTF-8", bool: "true or false", None: "null"}


LARGEST = 1e100
"""The largest number in a record. No run of float32 computes a larger one, and a figure could not show it."""


@dataclass(frozen=True)
class Such:
    """A schema with a condition.

    Attributes:
      schema: what the value must be.
      holds: whether a value that is so fulfils the condition.
      text: the condition, as a message says it.
    """

    schema: Schema
    holds: Callable[[Any], bool]
    text: str


def columns(*names: str, **more: Schema) -> Such:
    """Return the schema of an object with lists of numbers, at least one each, of one length under all `names`.

    Args:
      names: the names of the lists.
      more: what else the object has.
    """
    schema = {**dict.fromkeys(names, [float]), **more}
    text = f"lists of one length, not empty, under {', '.join(names)}"
    return Such(schema, lambda value: {len(value[name]) or -1 for name in names} == {len(value[names[0]])}, text)


POSITIVE = Such(float, lambda value: value > 0, "a number above 0")


class _Mismatch(Exception):
    """A value is not as its schema says. Holds the names that lead to the value, what was expected, and the value."""

    def __init__(self, place: tuple[str, ...], expected: str, received: Any):
        self.place, self.expected, self.received = place, expected, received


def check(path: pathlib.Path, values: Any, schema: Schema, advice: str) -> Any:
    """Return `values`, which the file `path` holds, where they are as `schema` says.

    Args:
      path: the file, as the message names it.
      values: what `json.loads` returned.
      schema: see `Schema`.
      advice: what to do about a file that is not so.

    Raises:
      RunError: a value is missing or of another kind.
    """
    try:
        _check(values, schema, ())
    except _Mismatch as error:
        where = f" at {'.'.join(error.place)[:200]}" if error.place else ""
        received = reprlib.repr(error.received)
        raise RunError(f"'{path}': expected {error.expected}{where}, received {received}: {advice}") from None
    return values


def fits(values: Any, schema: Schema) -> bool:
    """Return whether `values` are as `schema` says."""
    try:
        _check(values, schema, ())
    except _Mismatch:
        return False
    return True


def _check(value: Any, schema: Schema, place: tuple[str, ...]) -> None:
    match schema:
        case Such():
            _check(value, schema.schema, place)
            if not schema.holds(value):
                raise _Mismatch(place, schema.text, value)
        case tuple():
            if not any(fits(value, option) for option in schema):
                raise _Mismatch(place, " or ".join(map(_name, schema)), value)
        case [of]:
            if not isinstance(value, list):
                raise _Mismatch(place, "a list", value)
            for number, item in enumerate(value):
                _check(item, of, (*place, str(number)))
        case Mapping():
            _check_object(value, schema, place)
        case _:
            if schema is not Any and not _is(value, schema):
                raise _Mismatch(place, _name(schema), value)


def _check_object(value: Any, schema: Mapping[Any, Schema], place: tuple[str, ...]) -> None:
    if not isinstance(value, dict):
        raise _Mismatch(place, "an object", value)
    for key, of in schema.items():
        names = list(value) if key is ... else [key.removesuffix("?")]
        for name in names:
            if not is_utf8(name):
                raise _Mismatch(place, "names in UTF-8", name)
            if name in value:
                _check(value[name], of, (*place, name))
            elif not key.endswith("?"):
                raise _Mismatch((*place, name), _name(of), None)


def _is(value: Any, kind: type | None) -> bool:
    if kind is None:
        return value is None
    if kind is float or kind is int:
        return type(value) in (int, kind) and abs(value) <= LARGEST
    if kind is str:
        return isinstance(value, str) and is_utf8(value)
    return type(value) is kind


def _name(schema: Schema) -> str:
    if isinstance(schema, Such):
        return schema.text
    if isinstance(schema, tuple):
        return " or ".join(map(_name, schema))
    return "a list" if isinstance(schema, list) else "an object" if isinstance(schema, Mapping) else _NAMES[schema]


_SPLIT = {
    "images?": int,
    "active_units?": (int, None),
    "sigma_histogram?": ([float], None),
    **dict.fromkeys(("reconstruction_error?", "reconstruction_error_at_mean?", "kl?", "negative_elbo?"), (float, None)),
    **dict.fromkeys(("sigma_above_0.9?", "mutual_information?", "effective_rank?"), (float, None)),
}
_NUMBERS = ("gamma", "mean_predictor_error", "pca_error", "affine_error", "seconds", "steps_per_second")
RESULT: Schema = {
    "status": str,
    "reason?": str,
    "source?": str,
    "image_shape?": [int],
    "train?": _SPLIT,
    "test?": _SPLIT,
    "signal?": {"encoder?": [float], "decoder?": [float]},
    "parameters?": int,
    "affine_active_units?": (int, None),
    **{f"{name}?": (float, None) for name in _NUMBERS},
}
"""What the package reads of a run's result.json."""

ENVIRONMENT: Schema = {"commit": str, "machine": str, "versions": {...: str}, "numerics?": (int, None)}
"""What the package reads of one session in a run's environment.json, and of what made another record."""
