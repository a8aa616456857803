"""Show the claims of a study with their verdicts. Every verdict names the number of steps that it is about."""

from __future__ import annotations

from collections.abc import Sequence

from tfcollapse.claims.claim import MEASURED, Claim
from tfcollapse.records.statistics import Rows
from tfcollapse.reports.blocks import Content, Strong, Table


def claims_table(claims: Sequence[Claim], rows: Rows) -> Table:
    """Return the claims with the verdict on each, as a table.

    Args:
      claims: the judged claims.
      rows: the rows that they were judged on.
    """
    return Table(
        ("the paper says", "this run", "evidence"),
        [(claim.text, verdict(claim, rows), claim.evidence) for claim in claims],
    )


def verdict(claim: Claim, rows: Rows) -> Content:
    """Return the verdict on a claim and the steps of the trainings that it is about."""
    if claim.verdict == MEASURED:
        return Strong(claim.verdict)
    return Strong(claim.verdict), f" at {steps(rows)} steps"


def steps(rows: Rows) -> str:
    """Return the numbers of steps of a table's runs as text, such as 10,000 / 20,000."""
    return " / ".join(f"{count:,}" for count in sorted({row["steps"] for row in rows}))
