"""Find tables of a user's own studies whose files nobody has named, and say how to name one."""

from __future__ import annotations

import pathlib
from collections.abc import Collection, Sequence

from tfcollapse.records.table import tables_in

BELOW = "**/*.csv"
"""The pattern of all tables in a directory or below it."""


def unnamed(directory: pathlib.Path, declared: Collection[str], pattern: str = "*.csv") -> list[pathlib.Path]:
    """Return the tables of studies that are not among `declared`; `pattern` says where in the directory they lie."""
    return [path for path in tables_in(directory, pattern) if path.stem not in declared]


def advice(tables: Sequence[pathlib.Path], option: str = "--study FILE.py") -> str:
    """Return how to name a study of one's own, with the first of the tables that need it, where there are any."""
    return f"{option} names a study of your own" + (f", such as that of '{tables[0]}'" if tables else "")
