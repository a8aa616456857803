"""Compare claims with measurements."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np

HOLDS, FAILS, NOT_APPLICABLE, UNDECIDED, MEASURED = "holds", "fails", "does not apply", "undecided", "measured"


@dataclass(frozen=True)
class Check:
    """One claim compared with a measurement: one row of the table that `tfcollapse theory` prints.

    Attributes:
      claim: what is claimed, with its equation.
      predicted, measured: numbers, or words where the claim is not one number.
      tolerance: how far the two may be apart, in words.
      verdict: HOLDS, FAILS, NOT_APPLICABLE where the claim's own conditions are not met, UNDECIDED where chance
        or a coarse search hides the answer, or MEASURED where nothing is claimed.
    """

    claim: str
    predicted: Any
    measured: Any
    tolerance: str
    verdict: str

    def as_row(self) -> dict[str, Any]:
        """Return the check as a plain dict."""
        return dataclasses.asdict(self)


def equal(claim: str, predicted: float, measured: float, *, relative: float = 0.0, absolute: float = 0.0) -> Check:
    """Return a check that holds where |measured - predicted| <= max(absolute, relative |predicted|)."""
    allowed = max(absolute, relative * abs(predicted))
    words = f"{relative:g} relative" if relative and relative * abs(predicted) >= absolute else f"{absolute:g}"
    near = bool(abs(measured - predicted) <= allowed)  # false for NaN
    return Check(claim, _plain(predicted), _plain(measured), words, _verdict(near))


def at_most(claim: str, bound: float, measured: float) -> Check:
    """Return a check that holds where measured <= bound."""
    return Check(claim, f"<= {bound:.6g}", _plain(measured), "none", _verdict(bool(measured <= bound)))


def at_least(claim: str, bound: float, measured: float) -> Check:
    """Return a check that holds where measured >= bound."""
    return Check(claim, f">= {bound:.6g}", _plain(measured), "none", _verdict(bool(measured >= bound)))


def true(claim: str, expected: str, found: str, holds: bool | None) -> Check:
    """Return a check of a claim that is not one number. It holds where `holds` is true; None is undecided."""
    return Check(claim, expected, found, "none", UNDECIDED if holds is None else _verdict(holds))


def not_applicable(claim: str, condition: str, found: str) -> Check:
    """Return a check of a claim one of whose conditions is not met: it neither holds nor fails."""
    return Check(claim, condition, found, "none", NOT_APPLICABLE)


def measured(question: str, expected: str, found: str, known: bool) -> Check:
    """Return the answer to a question about which nothing is claimed: MEASURED, or UNDECIDED where not `known`."""
    return Check(question, expected, found, "none", MEASURED if known else UNDECIDED)


def _verdict(holds: bool) -> str:
    return HOLDS if holds else FAILS


def _plain(value: float) -> float | int:
    return int(value) if isinstance(value, (int, np.integer)) else float(value)
