"""Hold one statement of the paper against a table."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Claim:
    """One statement of the paper held against a table.

    Attributes:
      text: what the paper says.
      verdict: "supported", "partly supported", "contradicted", or "not tested" with the reason in the evidence.
      evidence: the numbers.
    """

    text: str
    verdict: str
    evidence: str
