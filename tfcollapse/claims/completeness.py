"""Restrict claims to the runs that are there and to networks that were trained, and name those that are missing."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

from tfcollapse.claims.claim import NOT_REPRODUCED, NOT_RUN, NOT_TRAINED, Claim
from tfcollapse.records.naming import cells
from tfcollapse.records.statistics import Mean, Rows, by, family
from tfcollapse.records.trained import marked, not_trained


def of_trained(claims: Callable[[Rows], list[Claim]]) -> Callable[[Rows], list[Claim]]:
    """Return `claims` restricted to trained networks.

    The numbers of networks that were not trained are withheld from `claims`, and the status of these rows is "not
    trained". The evidence of each claim that they would change names these networks. A function that is already
    restricted is returned unchanged.

    Args:
      claims: a function from the rows of a whole table to judged claims.
    """
    if getattr(claims, "of_trained", False):
        return claims

    @functools.wraps(claims)
    def judged(rows: Rows) -> list[Claim]:
        rows = marked(rows)
        out = not_trained(rows)
        if not out:
            return claims(rows)
        note = f"left out as not trained: {cells(out, rows)}"
        with_all = claims(rows)
        return [
            claim
            if NOT_TRAINED in claim.evidence or claim in with_all
            else dataclasses.replace(claim, evidence=f"{claim.evidence}; {note}")
            for claim in claims([_without_numbers(row) if row in out else row for row in rows])
        ]

    judged.of_trained = True  # type: ignore[attr-defined]
    return judged


_NUMBERS = (
    *("train_error", "test_error", "train_error_at_mean", "late_fall", "late_fall_error"),
    *("gamma", "gamma_pace", "active_units", "kl", "sigma_above_0.9", "sigma_histogram", "negative_elbo"),
    *("mutual_information", "effective_rank", "test_negative_elbo"),
)
"""The columns of what a training obtained."""


def _without_numbers(row: Mapping[str, Any]) -> dict[str, Any]:
    return {**row, **dict.fromkeys(_NUMBERS), "status": NOT_TRAINED}


def missing(rows: Rows) -> str:
    """Return which of `rows` have no error and why, and how many have one, as text; empty where all have one."""
    out = _without_error(rows)
    return "; ".join([*(f"{state}: {cells(those, rows)}" for state, those in out.items()), _there(rows)]) if out else ""


def states(rows: Rows) -> str:
    """Return why some of the rows of one cell have no error, such as "not trained"; empty where all have one."""
    return " and ".join(_without_error(rows))


def _without_error(rows: Rows) -> dict[str, list[Mapping[str, Any]]]:
    """Return the rows that have no error by the reason."""
    out: dict[str, list[Mapping[str, Any]]] = {NOT_TRAINED: [], "failed": [], NOT_RUN: []}
    for row in rows:
        if row.get("train_error") is None:
            out[row["status"] if row["status"] in out else NOT_RUN].append(row)
    return {state: those for state, those in out.items() if those}


def _there(rows: Rows) -> str:
    """Return how many of `rows` have an error, as text."""
    there = sum(row.get("train_error") is not None for row in rows)
    trained = " and trained" if any(row["status"] == NOT_TRAINED for row in rows) else ""
    return f"{there} of {len(rows)} runs are there{trained}"


def whole(*cells: Rows) -> bool:
    """Return whether each cell has runs, and all of its runs have an error."""
    return all(rows and all(row.get("train_error") is not None for row in rows) for rows in cells)


def as_far_as_there(claim: Claim, rows: Rows, *, contradicted: bool = False) -> Claim:
    """Return `claim` with the verdict "not trained" or "not run" where it needs runs that have no error.

    The evidence names what is missing.

    Args:
      claim: a claim that must hold for all of `rows`, judged on those that have an error.
      rows: all rows that the claim is about.
      contradicted: whether a verdict "not reproduced" stands. It does where the statement must hold in each of several
        cells, and only cells that are `whole` were judged: then no run that is missing can change it.
    """
    gaps = missing(rows)
    if not gaps:
        return claim
    waits = NOT_TRAINED if any(row["status"] == NOT_TRAINED for row in rows) else NOT_RUN
    verdict = claim.verdict if contradicted and claim.verdict == NOT_REPRODUCED else waits
    some = any(row.get("train_error") is not None for row in rows)
    evidence, brief = (f"so far {text}; " if some and text else "" for text in (claim.evidence, claim.short))
    return Claim(claim.text, verdict, evidence + gaps, brief + _there(rows))


def means(rows: Rows, key: str, measure: str) -> dict[Any, Mean]:
    """Return the mean over seeds of the column `measure` for each value of the column `key`, in ascending order.

    A value is left out where it has no measure, or where one of its seeds was not trained. In the latter case the mean
    of the other seeds would be a mean over a selection.
    """
    chosen = {row[key] for row in rows if row["status"] == NOT_TRAINED}
    return {value: Mean(values) for value, values in by(rows, key, measure).items() if values and value not in chosen}


def of_family(rows: Rows, objective: str) -> Rows:
    """Return the rows of one objective, whatever their gamma, such as AE, VAE or VAE + KL warm-up."""
    return [row for row in rows if family(row) == objective]


def listed(values: Mapping[Any, float], form: str = ".5f") -> str:
    """Return values by the value of a column as text."""
    return ", ".join(f"{key:g}: {value:{form}}" for key, value in values.items()) or "none"
