"""Hold one statement of the paper and the verdict on it, and define the words of the verdicts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from tfcollapse.config.annotations import arguments_checked

Verdict = Literal["reproduced", "not reproduced", "too close to call", "not trained", "not run", "measured"]
"""The word of a verdict.

  reproduced         the runs show it, beyond the noise
  not reproduced     the runs show the opposite, beyond the noise
  too close to call  the runs are there, and the noise hides the answer
  not trained        a network that the statement needs was not trained
  not run            a run that the statement needs is not there
  measured           a measurement of ours, which judges no statement
"""

REPRODUCED: Verdict = "reproduced"
NOT_REPRODUCED: Verdict = "not reproduced"
TOO_CLOSE: Verdict = "too close to call"
NOT_TRAINED: Verdict = "not trained"
NOT_RUN: Verdict = "not run"
MEASURED: Verdict = "measured"


@arguments_checked
@dataclass(frozen=True)
class Claim:
    """One statement of the paper, judged against a table.

    Attributes:
      text: what the paper says. A statement of ours ends in "(ours)".
      verdict: "reproduced" or "not reproduced": the runs show it, or the opposite, beyond the noise; "too close to
        call": the noise hides the answer; "not trained" or "not run": a network that the statement needs was not
        trained, or is not there; "measured": a measurement of ours, which judges no statement.
      evidence: the numbers behind the verdict, as text. It names the networks that are missing or were not trained.
      brief: the most telling of these numbers, for a short table; empty where all of the evidence is short.

    Raises:
      ConfigError: a verdict of another name.

    Example:
      >>> claims = tc.claims.depth_claims(tc.read_table("results/long/fig1_left.csv"))
      >>> all(isinstance(claim, tc.Claim) for claim in claims)
      True
    """

    text: str
    verdict: Verdict
    evidence: str
    brief: str = ""

    @property
    def short(self) -> str:
        """Return the evidence in a few words."""
        return self.brief or self.evidence

    @property
    def ours(self) -> bool:
        """Say whether the statement is no claim of the paper's, but ours. Its text then says so."""
        return self.text.endswith("(ours)")


def verdict_of(signs: Iterable[int]) -> Verdict:
    """Return the verdict on a statement that must hold at every one of several places.

    Args:
      signs: for each place 1 where it holds beyond the noise, -1 where its opposite does, and 0 where the noise hides
        the answer. Without any place the verdict is "not run".
    """
    signs = list(signs)
    if not signs:
        return NOT_RUN
    return NOT_REPRODUCED if -1 in signs else TOO_CLOSE if 0 in signs else REPRODUCED
