"""Hold one statement of the paper and the judgement on it."""

from __future__ import annotations

from dataclasses import dataclass

from tfcollapse.config.annotations import arguments_checked


@arguments_checked
@dataclass(frozen=True)
class Claim:
    """One statement of the paper, judged against a table.

    Attributes:
      text: what the paper says.
      verdict: "supported", "partly supported", "contradicted" or "not tested"; the evidence says why it was not tested.
      evidence: the numbers behind the verdict, as text.
    """

    text: str
    verdict: str
    evidence: str
