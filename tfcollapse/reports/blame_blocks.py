"""Show who is to blame for the collapse of one VAE: the findings that `tfcollapse blame` left in its directory."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping
from typing import Any

from tfcollapse.records.files import read_json
from tfcollapse.records.schema import Schema, check
from tfcollapse.reports.blocks import Block, Heading, Paragraph, Strong, Table, prose

_BLAME: Schema = {
    **dict.fromkeys(("headline", "next_step"), str),
    "findings": [dict.fromkeys(("suspect", "verdict", "evidence"), str)],
}


def saved_blame(path: pathlib.Path) -> dict[str, Any] | None:
    """Return what the blame.json in a run's directory says; None where there is none. Raises RunError."""
    file = path / "blame.json"
    if not file.exists():
        return None
    return check(file, read_json(file), _BLAME, "run 'tfcollapse blame' again, or move the file away")


def blame_words(blame: Mapping[str, Any]) -> list[Block]:
    """Return who is to blame and what to do next. The argument is as `Blame.as_json` gives it."""
    return [Paragraph(Strong(blame["headline"])), Paragraph(("Next: ", *prose(blame["next_step"]), "."))]


def findings_table(blame: Mapping[str, Any]) -> Table:
    """Return what was found of each suspect. The argument is as `Blame.as_json` gives it."""
    findings = [(found["suspect"], Strong(found["verdict"]), found["evidence"]) for found in blame["findings"]]
    return Table(("suspect", "finding", "evidence"), findings)


def blame_blocks(path: pathlib.Path, level: int) -> list[Block]:
    """Return the section on who is to blame, from a run's directory; nothing where `tfcollapse blame` left none there.

    Args:
      path: the directory.
      level: of the section's heading.

    Raises:
      RunError: the answer is damaged.
    """
    blame = saved_blame(path)
    if blame is None:
        return []
    return [Heading(level, "Who is to blame"), *blame_words(blame), findings_table(blame)]
