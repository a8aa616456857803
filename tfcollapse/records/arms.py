"""Group the rows of a study of countermeasures by what each does against collapse."""

from __future__ import annotations

from tfcollapse.records.statistics import PLAIN, Row, Rows, family, grouped, network_arm


def objective_arm(row: Row) -> str:
    """Return the change of the objective that a row has, such as "free bits"; plain for an AE too."""
    return family(row).partition(" + ")[2] or PLAIN


def by_network(rows: Rows) -> dict[str, list[Row]]:
    """Group the rows whose objective is plain by `network_arm`."""
    return grouped([row for row in rows if objective_arm(row) == PLAIN], network_arm)


def by_objective(rows: Rows) -> dict[str, list[Row]]:
    """Group the rows of VAEs whose network and training are plain by `objective_arm`."""
    return grouped([row for row in rows if row["objective"] != "AE" and network_arm(row) == PLAIN], objective_arm)
