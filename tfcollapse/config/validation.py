"""Check declarations: frozen dataclasses whose fields must be as they are annotated, one line for a mistake."""

from __future__ import annotations

import dataclasses
import functools
import typing
from dataclasses import dataclass, field
from typing import Any, TypeVar

from tfcollapse.config.annotations import checked
from tfcollapse.errors import ConfigError, shown, unknown

T = TypeVar("T")
_FLOAT32 = (1.1754943508222875e-38, 3.4028234663852886e38)
"""The least and the largest size of a number that float32 holds in full. A smaller one is computed with as 0."""


@typing.dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(field,))
def declaration(cls: type[T]) -> type[T]:
    """Make a frozen, keyword-only dataclass whose fields are checked against their annotations.

    A method `validate` is called when each field by itself is right.
    """
    checked_class = dataclass(frozen=True, kw_only=True)(cls)
    initialise = checked_class.__init__
    names = [f.name for f in dataclasses.fields(checked_class)]  # type: ignore[arg-type]

    @functools.wraps(initialise)
    def construct_checked(self: Any, **values: Any) -> None:
        for name in values:
            if name not in names:
                raise ConfigError(unknown(f"field of {checked_class.__name__}", name, names))
        initialise(self, **values)
        _check_fields(self)
        getattr(self, "validate", lambda: None)()

    checked_class.__init__ = construct_checked  # type: ignore[method-assign]
    return checked_class


def bounded(default: Any, *, least: float | None = None, above: float | None = None, most: float | None = None) -> Any:
    """Declare a field whose value must be >= `least`, > `above`, <= `most`."""
    return field(default=default, metadata={"least": least, "above": above, "most": most})


def changed(declared: Any) -> dict[str, Any]:
    """Return the fields of a declaration that differ from their defaults, by name; a section is a dict of its own."""
    differing: dict[str, Any] = {}
    for f in dataclasses.fields(declared):
        value = getattr(declared, f.name)
        if value != f.default:
            differing[f.name] = changed(value) if dataclasses.is_dataclass(value) else value
    return differing


def _check_fields(declared: Any) -> None:
    hints = typing.get_type_hints(type(declared))
    for f in dataclasses.fields(declared):
        name = f"{type(declared).__name__}.{f.name}"
        value = checked(name, getattr(declared, f.name), hints[f.name])
        object.__setattr__(declared, f.name, value)
        if isinstance(value, str) and not is_utf8(value):
            raise ConfigError(f"{name}: expected a text in UTF-8, in which records are written, received {value!a}")
        least, above = f.metadata.get("least"), f.metadata.get("above")
        if value is not None and least is not None and value < least:
            raise ConfigError(f"{name}: expected >= {least}, received {shown(value)}")
        if value is not None and above is not None and value <= above:
            raise ConfigError(f"{name}: expected > {above}, received {shown(value)}")
        most = f.metadata.get("most")
        if value is not None and most is not None and value > most:
            raise ConfigError(f"{name}: expected <= {most}, received {shown(value)}")
        if type(value) is float and value and not _FLOAT32[0] <= abs(value) <= _FLOAT32[1]:
            raise ConfigError(
                f"{name}: expected 0 or a size from {_FLOAT32[0]:.2g} to {_FLOAT32[1]:.2g}, which float32 holds, "
                f"received {value}"
            )


def is_utf8(text: str) -> bool:
    """Return whether UTF-8, in which every record is written, can write a text."""
    try:
        text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair, which stands for a byte of a file's name
        return False
    return True


def construct(cls: Any, values: Any, where: str) -> Any:
    """Make a declaration from the dict that `dataclasses.asdict` gave. Raises ConfigError, which names it `where`."""
    if not isinstance(values, dict):
        raise ConfigError(f"{where}: expected an object with the fields of {cls.__name__}, received {shown(values)}")
    hints = typing.get_type_hints(cls)
    return cls(
        **{
            name: construct(hints[name], value, f"{where}.{name}")
            if dataclasses.is_dataclass(hints.get(name))
            else value
            for name, value in values.items()
        }
    )
