"""Group the rows of a study of countermeasures by what each does against collapse."""

from __future__ import annotations

from tfcollapse.records.statistics import PLAIN, Row, Rows, family, network_arm


def objective_arm(row: Row) -> str:
    """Return the change of the objective that a row has, such as "free bits"; plain for an AE too."""
    return family(row).partition(" + ")[2] or PLAIN


def by_network(rows: Rows) -> dict[str, list[Row]]:
    """Group the rows whose objective is plain by `network_arm`."""
    return _grouped([(network_arm(row), row) for row in rows if objective_arm(row) == PLAIN])


def by_objective(rows: Rows) -> dict[str, list[Row]]:
    """Group the rows of VAEs whose network and training are plain by `objective_arm`."""
    vaes = [row for row in rows if row["objective"] != "AE" and network_arm(row) == PLAIN]
    return _grouped([(objective_arm(row), row) for row in vaes])


def _grouped(pairs: list[tuple[str, Row]]) -> dict[str, list[Row]]:
    groups: dict[str, list[Row]] = {}
    for name, row in pairs:
        groups.setdefault(name, []).append(row)
    return groups
