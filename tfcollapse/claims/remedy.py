"""Judge remedies: does a change of the training take away most of what is wrong with a deep network?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple

import numpy as np

from tfcollapse.claims.claim import NOT_RUN, Claim, verdict_of
from tfcollapse.claims.completeness import as_far_as_there, whole
from tfcollapse.diagnosis.blame.verdict import SHARE
from tfcollapse.records.comparison import compare, compare_units
from tfcollapse.records.labels import label
from tfcollapse.records.seed_noise import spread_of
from tfcollapse.records.statistics import Row, Rows, measured


class Remedy(NamedTuple):
    """The runs that show what one remedy does.

    Attributes:
      treated: deep networks that were trained with the remedy.
      shallow: networks that have what the remedy should restore.
    """

    treated: Rows
    shallow: Rows


def judge_no_remedy(
    text: str,
    deep: Rows,
    remedies: Mapping[str, Remedy],
    measure: Literal["train_error", "active_units"],
) -> Claim:
    """Judge whether every remedy leaves most of what is wrong with deep networks.

    A remedy leaves most of it where the treated networks are worse than half way from the deep networks without it to
    the shallow ones, beyond the noise. A larger error is worse, and so are fewer active units. Where the deep networks
    without a remedy are not worse than the shallow ones, there is nothing to mend, and the verdict is "not run".

    Args:
      text: what the paper says: the remedies do not mend most of what is wrong.
      deep: the rows of deep networks without a remedy.
      remedies: the runs of each remedy, by its name.
      measure: the name of the column that shows what is wrong.
    """
    needed = [*deep, *(row for remedy in remedies.values() for rows in remedy for row in rows)]
    if not deep or not all(rows for remedy in remedies.values() for rows in remedy):
        return as_far_as_there(
            Claim(text, NOT_RUN, "some of the networks that are compared are not in the table"), needed
        )
    signs, parts = [], []
    for name, (treated, shallow) in remedies.items():
        if not whole(deep, treated, shallow):
            continue
        without, with_it, goal = (measured(rows, measure) for rows in (deep, treated, shallow))
        if _worse(without, goal, deep[0], measure) == 1:
            signs.append(_worse(with_it, relieved(without, goal), deep[0], measure))
        parts.append(f"with {name} {_mean(with_it)} (without it {_mean(without)}, shallow network {_mean(goal)})")
    if parts and not signs:
        parts.append("nothing to mend: without a remedy the deep networks are not worse than the shallow ones")
    evidence = f"{label(measure)} {'; '.join(parts)}" if parts else ""
    return as_far_as_there(Claim(text, verdict_of(signs), evidence), needed, contradicted=True)


def relieved(ill: Iterable[float], sound: Iterable[float]) -> list[float]:
    """Return where `SHARE` of the distance from sound networks is left: one value for each seed that both have."""
    return [SHARE * bad + (1 - SHARE) * good for bad, good in zip(ill, sound, strict=False)]


def _worse(these: list[float], than: list[float], deep: Row, measure: str) -> int:
    """Return 1 where `these` are worse beyond the noise of a deep network, -1 where better, and 0 inside the noise."""
    if measure == "active_units":
        return -compare_units(these, than, deep["latent_dim"])
    return compare(these, than, spread_of([deep])).sign


def _mean(of: list[float]) -> str:
    return f"{np.mean(of):.4g}"
