"""Tell which version of the numbers a record has, and mark records of other versions than the present one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tfcollapse.config.declaration import NUMERICS
from tfcollapse.records.statistics import Row


def older(rows: Sequence[Row]) -> str:
    """Return the numerics versions of `rows` that differ from the present one, as text.

    The versions are sorted and separated by commas, with "unknown" for a row that names none. The text is empty where
    all rows have the present version.
    """
    versions = {row.get("numerics") for row in rows} - {NUMERICS}
    return ", ".join(sorted("unknown" if version is None else str(version) for version in versions))


def older_mark(rows: Sequence[Row]) -> str:
    """Return the notice for the top of a page that holds numbers of another version.

    The notice is plain text, and is empty where all numbers are of the present version.
    """
    versions = older(rows)
    if not versions:
        return ""
    return (
        f"Made with another version of the numbers ({versions}); the present one is {NUMERICS}. The same command may "
        "give other numbers today. These numbers are not counted among the results."
    )


_FIRST_VERSION = "d7900b2944b0"
"""The commit that defines version 1 of the numbers. Its records do not name a version."""


def numerics_of(session: Mapping[str, Any]) -> int | None:
    """Return the version of the numbers of one session of a run; None where its record does not tell.

    Args:
      session: one entry of `RunDirectory.sessions`.
    """
    return session.get("numerics", 1 if session.get("commit") == _FIRST_VERSION else None)
