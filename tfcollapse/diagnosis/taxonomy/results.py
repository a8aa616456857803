"""Train and diagnose the constructed cases."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from tfcollapse.diagnosis.diagnose import Diagnosis, diagnose
from tfcollapse.diagnosis.taxonomy.cases import CASES, Case


@dataclasses.dataclass(frozen=True)
class CaseResult:
    """What the diagnosis says of one case, or of its near miss.

    Attributes:
      case: the case.
      near: whether it is the near miss.
      diagnoses: one for each seed, from seed 0.
    """

    case: Case
    near: bool
    diagnoses: list[Diagnosis]

    @property
    def expected(self) -> str:
        """The category that every verdict must give."""
        return self.case.near if self.near else self.case.category

    @property
    def wrong(self) -> int:
        """How many verdicts name another category, or several."""
        return sum(diagnosis.verdict.categories != (self.expected,) for diagnosis in self.diagnoses)


def case_results(seeds: int) -> Iterator[CaseResult]:
    """Train every case and its near miss with seeds 0 to `seeds` - 1, and diagnose them."""
    for case in CASES:
        for near in (False, True):
            yield CaseResult(case, near, [_diagnosed(case, near, seed) for seed in range(seeds)])


def _diagnosed(case: Case, near: bool, seed: int) -> Diagnosis:
    trained = case.train(seed, near)
    return diagnose(trained.encoder, trained.decoder, trained.images, trained.gamma)
