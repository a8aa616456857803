"""Say in what runs differ whose names are alike."""

from __future__ import annotations

from collections.abc import Sequence

from tfcollapse.config.declaration import Run
from tfcollapse.records.columns import declared
from tfcollapse.records.naming import differing_columns, values


def told_apart(runs: Sequence[Run]) -> dict[Run, str]:
    """Return for each run what is not the default, and tells it from runs whose id differs in the last part alone."""
    usual = declared(Run())
    alike: dict[str, list[Run]] = {}
    for run in runs:
        alike.setdefault(run.run_id.rpartition("-")[0], []).append(run)
    found: dict[Run, str] = {}
    for group in alike.values():
        rows = [declared(run) for run in group]
        differing = differing_columns(rows, [column for column in rows[0] if column != "objective"])
        for run, row in zip(group, rows, strict=True):
            own = [column for column in differing if row[column] != usual[column]]
            found[run] = "".join(f"  {text}" for text in values(row, own))
    return found
