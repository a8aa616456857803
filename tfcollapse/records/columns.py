"""What the columns of a table say of a run: every declared field by name, and whether its network was trained."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from tfcollapse.config.declaration import ARCHITECTURE_FIELDS, NUMERICS, Run

Row = Mapping[str, Any]

_NAMES = {
    "data.name": "dataset",
    "data.train": "first_train",
    "data.test": "first_test",
    "objective.kind": "objective",
    "objective.gamma": "gamma_mode",
}
"""The column of a field, where it is not called as the field is."""

_SECTIONS = ("objective", "network", "data", "training")

COLUMNS: dict[str, str] = {
    f"{section}.{field.name}": _NAMES.get(f"{section}.{field.name}", field.name)
    for section in _SECTIONS
    for field in dataclasses.fields(getattr(Run(), section))
} | {"seed": "seed", "numerics": "numerics"}
"""The column of every declared field of a run, by the key that `--set` takes."""

OF_A_VAE = tuple(column for key, column in COLUMNS.items() if key.startswith("objective.") and column != "objective")
"""What an AE has none of."""

OF_A_TWIN = tuple(column for key, column in COLUMNS.items() if not key.startswith("objective."))
"""What an AE shares with the VAE that it is the twin of."""

TRAINED = 0.95
"""A network whose error is not below this share of the mean predictor's has not been trained."""


def declared(run: Run) -> dict[str, Any]:
    """The declared fields of a run as one row; None where its objective or architecture has no such field."""
    row = {}
    for key, column in COLUMNS.items():
        section, _, field = key.rpartition(".")
        value = getattr(getattr(run, section) if section else run, field)
        row[column] = ",".join(map(str, value)) if isinstance(value, tuple) else value
    other = {name for fields in ARCHITECTURE_FIELDS.values() for name in fields} - set(run.network.own_fields)
    absent = {*other, *(OF_A_VAE if run.objective.kind == "ae" else ())}
    if run.objective.warmup == "none":
        absent.add("warmup_steps")
    return {**row, **dict.fromkeys(absent), "objective": run.objective.label}


def trained(row: Row) -> bool:
    """Whether a finished run's training error is clearly below the mean predictor's, which ignores its input."""
    error, ignoring = row.get("train_error"), row.get("mean_predictor_error")
    return error is not None and ignoring is not None and error < TRAINED * ignoring


def not_trained(rows: Sequence[Row]) -> list[Row]:
    """The rows of a table whose error does not show that the network was trained. They support no claim.

    A network that a fixed gamma alone has made a mean predictor is none of them: the same network, start and budget
    were trained at a smaller gamma, at no larger one, and its decoder has found the mean. Rows that `marked` has seen
    in their whole table keep what it found.
    """
    return [row for row, shown in zip(rows, _shown(rows), strict=True) if shown is False]


def marked(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """The rows of a whole table with a column `trained`: False for those of `not_trained`, None without an error."""
    return [{**row, "trained": shown} for row, shown in zip(rows, _shown(rows), strict=True)]


def _shown(rows: Sequence[Row]) -> list[bool | None]:
    fixed = [row for row in rows if row.get("gamma_mode") == "fixed" and row.get("train_error") is not None]
    found: list[bool | None] = []
    for row in rows:
        if "trained" in row:
            found.append(row["trained"])
        elif row.get("train_error") is None:
            found.append(None)
        else:
            found.append(trained(row) or _pruned_by_gamma(row, fixed))
    return found


_BESIDE_GAMMA = (*OF_A_TWIN, "beta", "warmup", "warmup_steps")


def _pruned_by_gamma(row: Row, fixed: Sequence[Row]) -> bool:
    if row.get("gamma_mode") != "fixed" or row.get("mean_predictor_error") is None:
        return False
    twins = [other for other in fixed if all(row.get(name) == other.get(name) for name in _BESIDE_GAMMA)]
    smaller = [trained(other) for other in twins if other["gamma_start"] < row["gamma_start"]]
    larger = [trained(other) for other in twins if other["gamma_start"] > row["gamma_start"]]
    found_the_mean = row["train_error"] <= (2 - TRAINED) * row["mean_predictor_error"]
    return found_the_mean and any(smaller) and not any(larger)


def older(rows: Sequence[Row]) -> str:
    """The numerics versions of `rows` that are not the present one, as text; "unknown" where a row names none."""
    versions = {row.get("numerics") for row in rows} - {NUMERICS}
    return ", ".join(sorted("unknown" if version is None else str(version) for version in versions))


def older_mark(rows: Sequence[Row]) -> str:
    """What stands at the top of a page whose numbers the present code need not give; empty where it does."""
    versions = older(rows)
    if not versions:
        return ""
    return (
        f"**Made with another version of the numbers ({versions}); the present one is {NUMERICS}. The same command may "
        "give other numbers today, and what this says is not counted among the results.**"
    )
