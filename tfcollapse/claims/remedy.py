"""Judge remedies: does a change of the training mend what is wrong with a deep network?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

import numpy as np

from tfcollapse.claims.claim import NOT_RUN, Claim, verdict_of
from tfcollapse.claims.comparison import compare
from tfcollapse.claims.completeness import as_far_as_there
from tfcollapse.records.labels import label
from tfcollapse.records.statistics import Rows, measured


class Remedy(NamedTuple):
    """The runs that show what one remedy does.

    Attributes:
      treated: deep networks that were trained with the remedy.
      sound: networks that have what the remedy should restore, such as shallow ones.
    """

    treated: Rows
    sound: Rows


def judge_no_remedy(
    text: str,
    deep: Rows,
    remedies: Mapping[str, Remedy],
    measure: Literal["train_error", "active_units"],
) -> Claim:
    """Judge whether every remedy leaves deep networks worse than sound ones.

    A remedy mends them where they are no longer worse than the sound networks beyond the noise, and better than without
    it beyond the noise. A larger error is worse, and so are fewer active units. Where the deep networks without a
    remedy are not worse than the sound ones, there is nothing to mend, and the verdict is "not run".

    Args:
      text: what the paper says: the remedies do not mend the deep networks.
      deep: the rows of deep networks without a remedy.
      remedies: the runs of each remedy, by its name.
      measure: the name of the column that shows what is wrong.
    """
    needed = [*deep, *(row for remedy in remedies.values() for rows in remedy for row in rows)]
    if not deep or not all(rows for remedy in remedies.values() for rows in remedy):
        return as_far_as_there(
            Claim(text, NOT_RUN, "some of the networks that are compared are not in the table"), needed
        )
    without = measured(deep, measure)
    signs, parts = [], []
    for name, (treated, sound) in remedies.items():
        with_it, goal = measured(treated, measure), measured(sound, measure)
        if not (without and with_it and goal):
            continue
        if _worse(without, goal, measure) == 1:
            signs.append(_worse(with_it, goal, measure) or min(_worse(with_it, without, measure), 0))
        parts.append(f"{name}: {_mean(with_it)} (without {_mean(without)}, sound {_mean(goal)})")
    if parts and not signs:
        parts.append("nothing to mend: without a remedy the deep networks are not worse than the sound ones")
    evidence = f"{label(measure)} {'; '.join(parts)}" if parts else ""
    return as_far_as_there(Claim(text, verdict_of(signs), evidence), needed)


def _worse(these: list[float], than: list[float], measure: str) -> int:
    """Return 1 where `these` are worse beyond the noise, -1 where they are better, and 0 inside the noise."""
    return compare(these, than).sign * (-1 if measure == "active_units" else 1)


def _mean(of: list[float]) -> str:
    return f"{np.mean(of):.4g}"
