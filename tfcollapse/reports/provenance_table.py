"""Say on a page how its numbers were made: by what command, commit and versions, and on what machine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tfcollapse.records.numerics import older_mark
from tfcollapse.reports.blocks import Block, Code, Content, Paragraph, Strong, Table, joined


def provenance_table(records: Sequence[Mapping[str, Any]], more: Mapping[str, Content | None]) -> Table:
    """Return the table of how numbers were made. What several records share stands there once.

    Args:
      records: rows of a study's table, or what `records.provenance.environment` returned.
      more: what this page says beside it, by name. An empty value is left out.
    """
    ran = [record for record in records if record.get("commit")]
    commands = dict.fromkeys(str(record["command"]) for record in records if record.get("command"))
    facts: dict[str, Content | None] = {
        "command": joined([Code(command) for command in commands], "; "),
        "commit": distinct_sessions(record["commit"] for record in ran),
        "numerics version": distinct(record["numerics"] for record in records if record.get("numerics") is not None),
        "hardware": distinct_sessions(record["machine"] for record in ran),
        "versions": distinct_sessions(_versions(record["versions"]) for record in ran),
        **more,
    }
    return Table(("what", "value"), [(name, value) for name, value in facts.items() if value])


def older_notice(records: Sequence[Mapping[str, Any]]) -> list[Block]:
    """Return the notice that numbers are of another version, as no block or one."""
    notice = older_mark(records)
    return [Paragraph(Strong(notice))] if notice else []


def distinct(values: Iterable[Any]) -> str:
    """Return different values as text, in their order."""
    return "; ".join(dict.fromkeys(str(value) for value in values))


def distinct_sessions(values: Iterable[str]) -> str:
    """Return the different parts of values as text. A value has a part for each of the sessions that made a run."""
    return distinct(part for value in values for part in value.split("; "))


def _versions(versions: Any) -> str:
    """Return package versions as text; a table's row has them as text already."""
    if isinstance(versions, Mapping):
        return " ".join(f"{name} {version}" for name, version in versions.items())
    return str(versions)
