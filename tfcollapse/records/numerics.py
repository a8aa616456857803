"""Say which version of the numbers a record has, and mark what is older than the present one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tfcollapse.config.declaration import NUMERICS
from tfcollapse.records.statistics import Row


def older(rows: Sequence[Row]) -> str:
    """List the numerics versions of `rows` that are not the present one, as text; "unknown" where a row names none."""
    versions = {row.get("numerics") for row in rows} - {NUMERICS}
    return ", ".join(sorted("unknown" if version is None else str(version) for version in versions))


def older_mark(rows: Sequence[Row]) -> str:
    """Return what a page of older numbers says at its top; empty where all numbers are of the present version."""
    versions = older(rows)
    if not versions:
        return ""
    return (
        f"**Made with another version of the numbers ({versions}); the present one is {NUMERICS}. The same command may "
        "give other numbers today, and what this says is not counted among the results.**"
    )


_FIRST_VERSION = "d7900b2944b0"
"""The commit that version 1 of the numbers is defined by; it recorded no version."""


def numerics_of(session: Mapping[str, Any]) -> int | None:
    """Return the version of the numbers that a session of `RunDirectory.sessions` had; None where nothing tells."""
    return session.get("numerics", 1 if session.get("commit") == _FIRST_VERSION else None)
