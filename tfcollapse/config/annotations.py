"""Check values against annotations: fields of declarations, and arguments of the public functions and classes."""

from __future__ import annotations

import builtins
import collections.abc
import functools
import inspect
import os
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from sys import float_info
from typing import Any, Literal, TypeVar

from tfcollapse.errors import ConfigError, shown, unknown

C = TypeVar("C", bound=Callable[..., Any])
_LARGEST = float_info.max
_NUMBERS = (int, float, bool)
_PATH = "a path"
_NAMES = {types.NoneType: "none", os.PathLike: _PATH, collections.abc.Callable: "a function"}


class _Mismatch(Exception):
    """A value is not as an annotation has it."""


def arguments_checked(function: C) -> C:
    """Return a function, or a class, whose arguments are checked against its own annotations when it is called.

    A number of NumPy may stand for a number, and an int for a float. An argument without an annotation, or with `Any`,
    is not checked.

    Raises:
      ConfigError: by the function that is returned, in one line that names the argument.
    """
    if isinstance(function, type):
        function.__init__ = _checked_call(function.__init__, function.__name__)  # type: ignore[misc]
        return function
    return _checked_call(function, function.__name__)


def _checked_call(function: C, name: str) -> C:
    signature = inspect.signature(function)

    @functools.wraps(function)
    def call(*positional: Any, **named: Any) -> Any:
        bound, hints = signature.bind_partial(*positional, **named), _hints(function)
        for argument, value in bound.arguments.items():
            if argument in hints:
                bound.arguments[argument] = checked(f"{name}: {argument}", value, hints[argument])
        return function(*bound.args, **bound.kwargs)

    return typing.cast(C, call)


@functools.cache
def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    """Return the annotations of a function's arguments. A name that is imported for type checkers alone is `Any`."""
    scope = _Scope({**vars(builtins), **inspect.unwrap(function).__globals__})
    parameters = inspect.signature(function).parameters.values()
    return {
        each.name: eval(each.annotation, {}, scope) if isinstance(each.annotation, str) else each.annotation
        for each in parameters
        if each.annotation is not each.empty and each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)
    }


class _Scope(dict[str, Any]):
    def __missing__(self, name: str) -> Any:
        return Any


def checked(name: str, value: Any, hint: Any) -> Any:
    """Return `value` as the annotation `hint` has it. Raises ConfigError, which calls the value `name`.

    An int may stand for a float, and a number or an array of NumPy with one number for a number.
    """
    if typing.get_origin(hint) is Literal:
        choices = typing.get_args(hint)
        if not any(type(value) is type(choice) and value == choice for choice in choices):
            raise ConfigError(unknown(f"value of {name}", value, choices))
        return value
    try:
        return _conforming(value, hint)
    except _Mismatch:
        raise ConfigError(f"{name}: expected {_text(hint)}, received {shown(value)}") from None


def _conforming(value: Any, hint: Any) -> Any:
    """Return `value` as `hint` has it. Raises _Mismatch."""
    origin, of = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any or isinstance(hint, TypeVar):
        return value
    if isinstance(hint, types.UnionType) or origin is typing.Union:
        return _one_of(value, of)
    if hint in _NUMBERS:
        return _number(value, hint)
    if origin is tuple:
        return tuple(_items(value, of[:1] * len(value) if _is_list(value) and of[1:] == (...,) else of))
    if origin in (list, collections.abc.Sequence):
        return list(_items(value, of * len(value))) if _is_list(value) else _mismatch()
    if origin in (dict, collections.abc.Mapping):
        if not isinstance(value, Mapping):
            raise _Mismatch
        return {_conforming(key, of[0]): _conforming(item, of[1]) for key, item in value.items()}
    if origin is Literal:
        return checked("", value, hint)
    if origin is collections.abc.Callable:
        return value if callable(value) else _mismatch()
    kind = origin or hint
    if kind is os.PathLike:
        return value if isinstance(value, kind) and isinstance(os.fspath(value), str) else _mismatch()
    if kind is None:
        return value if value is None else _mismatch()
    return value if not isinstance(kind, type) or isinstance(value, kind) else _mismatch()


def _mismatch() -> Any:
    raise _Mismatch


def _one_of(value: Any, options: Iterable[Any]) -> Any:
    for option in options:
        try:
            return _conforming(value, option)
        except (_Mismatch, ConfigError):
            continue
    raise _Mismatch


def _number(value: Any, kind: type) -> Any:
    """Return a number as the built-in type `kind`. A bool is no int."""
    if getattr(value, "shape", None) == () and hasattr(value, "item"):
        value = value.item()  # of NumPy
    if kind is float and type(value) in (int, float) and abs(value) <= _LARGEST:  # nor NaN, nor an int that is no float
        return float(value) + 0.0  # -0.0 is 0.0
    return value if type(value) is kind and kind is not float else _mismatch()


def _is_list(value: Any) -> bool:
    """Return whether a value is a tuple, a list or an array with an axis, and no text and no mapping."""
    if isinstance(value, (str, bytes, Mapping)) or not hasattr(value, "__getitem__"):
        return False
    try:
        return len(value) >= 0
    except TypeError:  # an array of one number, without an axis, has no length
        return False


def _items(value: Any, hints: tuple[Any, ...]) -> Iterable[Any]:
    """Return the items of a list as `hints` have them, one each. Whole numbers in a list are sizes: none is below 0."""
    if not _is_list(value) or len(value) != len(hints):
        raise _Mismatch
    for item, hint in zip(value, hints, strict=True):
        if hint is float and type(item) is float and abs(item) == float("inf"):
            yield item  # the end of an interval
        else:
            converted = _conforming(item, hint)
            if hint is int and converted < 0:
                raise _Mismatch
            yield converted


def _text(hint: Any) -> str:
    """Return what a message says of an annotation."""
    origin, of = typing.get_origin(hint), typing.get_args(hint)
    if isinstance(hint, types.UnionType) or origin is typing.Union:
        return " or ".join(dict.fromkeys(map(_text, of)))
    if origin is tuple:
        return f"tuple of {_text(of[0])}" if of[1:] == (...,) else f"tuple of {len(of)} {_text(of[0])}"
    if origin in (list, collections.abc.Sequence):
        return f"list of {_text(of[0])}"
    if origin in (dict, collections.abc.Mapping):
        return f"dict of {_text(of[1])} by {_text(of[0])}"
    kind = origin or hint
    return _NAMES.get(kind, "any value" if kind is Any else getattr(kind, "__name__", str(kind)))
