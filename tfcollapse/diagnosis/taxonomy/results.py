"""Build and diagnose the cases of the benchmark, and hold the verdicts against the truth."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator

from tfcollapse.diagnosis.categories import UNDECIDED
from tfcollapse.diagnosis.diagnose import diagnose
from tfcollapse.diagnosis.taxonomy.case import Case
from tfcollapse.diagnosis.taxonomy.cases import GROUPS
from tfcollapse.diagnosis.verdict import Verdict
from tfcollapse.errors import ConfigError, UserError

REFUSED = "refused"
"""In the place of a category: `diagnose` raised an error on a model that it should take."""


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What the diagnosis says of one case at one seed.

    Attributes:
      group, case: the case, and the name of its group.
      seed: of the data, the training and the diagnosis.
      verdict: None where it was refused.
      refusal: the error's line where it was refused.
      seconds: that building and diagnosing took.
    """

    group: str
    case: Case
    seed: int
    verdict: Verdict | None
    refusal: str
    seconds: float

    @property
    def categories(self) -> tuple[str, ...]:
        """The categories that the verdict names, or REFUSED."""
        return self.verdict.categories if self.verdict else (REFUSED,)

    @property
    def right(self) -> bool:
        """Whether the verdict names the truth, or what is accepted beside it, and nothing else."""
        return set(self.categories) <= {self.case.truth, *self.case.accepted}

    @property
    def undecided(self) -> bool:
        """Whether the verdict is "undecided" alone, where the truth could be told."""
        return not self.right and self.categories == (UNDECIDED,)

    @property
    def wrong(self) -> bool:
        """Whether the verdict names something that is not so, or the model was refused."""
        return not self.right and not self.undecided


def outcomes(seeds: int, only: str = "") -> Iterator[Outcome]:
    """Build and diagnose every case with seeds 0 to `seeds` - 1, one case after the other.

    Args:
      only: a part of the name of a case or of its group; other cases are left out.

    Raises:
      ConfigError: no name has that part.
    """
    chosen = [(group, case) for group, cases in GROUPS.items() for case in cases if only in group or only in case.name]
    if not chosen:
        raise ConfigError(f"--only: expected a part of the name of a case or a group, received {only!r}")
    for group, case in chosen:
        for seed in range(seeds):
            yield outcome(group, case, seed)


def outcome(group: str, case: Case, seed: int) -> Outcome:
    """Build one case, and diagnose it."""
    started = time.monotonic()
    model = case.build(seed)
    verdict, refusal = None, ""
    try:
        verdict = diagnose(model.encoder, model.decoder, model.data, **model.declared, seed=seed).verdict
    except UserError as error:
        refusal = str(error)
    return Outcome(group, case, seed, verdict, refusal, time.monotonic() - started)
