"""Group the rows of a study of countermeasures by what each does against collapse.

An arm is a change and all that was declared with it, except the seed. Where two arms would have one name, such as two
floors under the KL, the values in which they differ stand behind the name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tfcollapse.config.declaration import Run
from tfcollapse.config.objective import Objective
from tfcollapse.records.columns import OF_A_TWIN, OF_A_VAE, declared
from tfcollapse.records.naming import differing_columns, value_of, values
from tfcollapse.records.statistics import (
    PLAIN,
    Row,
    Rows,
    aes_and_vaes,
    family,
    grouped,
    network_arm,
)

_OF_A_NETWORK = tuple(column for column in OF_A_TWIN if column != "seed")
"""The columns of what the AE and the VAE of an arm share: network, data and training."""
_AMOUNTS = ("gamma_start", "beta", "warmup_steps", "kl_nats", "importance_samples")
_USUAL = declared(Run(objective=Objective(gamma="optimal")))
"""How much an objective changes, and what the plain one has."""


def objective_arm(row: Row) -> str:
    """Return the change of the objective that a row has, such as "free bits"; plain for an AE too."""
    return family(row).partition(" + ")[2] or PLAIN


def by_network(rows: Rows) -> dict[str, list[Row]]:
    """Group the rows whose objective is plain by `network_arm`. An AE stands in every arm of its network."""
    found: dict[str, list[Row]] = {}
    for name, chosen in _arms([row for row in rows if objective_arm(row) == PLAIN], network_arm, _OF_A_NETWORK).items():
        aes, vaes = aes_and_vaes(chosen)
        for objective, those in (_told_apart(vaes, OF_A_VAE) or {"": []}).items():
            found[name + objective] = [*aes, *those]
    return found


def by_objective(rows: Rows) -> dict[str, list[Row]]:
    """Group the rows of VAEs whose network and training are plain by `objective_arm`."""
    vaes = [row for row in rows if row["objective"] != "AE" and network_arm(row) == PLAIN]
    return _arms(vaes, objective_arm, (*OF_A_VAE, *_OF_A_NETWORK))


def aes_of(vaes: Rows, rows: Rows) -> list[Row]:
    """Return the AEs among `rows` with the network, data and training of `vaes`, which are the rows of one arm."""
    shared = _shared(vaes[0])
    return [row for row in rows if row["objective"] == "AE" and _shared(row) == shared]


def _shared(row: Row) -> list[Any]:
    return [value_of(row, column) for column in _OF_A_NETWORK]


def amounts(rows: Rows) -> str:
    """Return how much the change of an objective is, such as " (KL nats 0.2)"; empty where it has no amount."""
    said = values(rows[0], [column for column in _AMOUNTS if rows[0].get(column) != _USUAL[column]]) if rows else []
    return f" ({', '.join(said)})" if said else ""


def _arms(rows: Rows, name: Callable[[Row], str], columns: Sequence[str]) -> dict[str, list[Row]]:
    """Group rows by their name, and by what tells apart the rows of one name."""
    return {
        whole + apart: same
        for whole, chosen in grouped(rows, name).items()
        for apart, same in _told_apart(chosen, columns).items()
    }


def _told_apart(rows: Rows, columns: Sequence[str]) -> dict[str, list[Row]]:
    """Group rows by those of `columns` in which they differ; the key is these values as text, empty where none do."""
    differing = differing_columns(rows, columns)
    return grouped(rows, lambda row: "".join(f", {text}" for text in values(row, differing)))
