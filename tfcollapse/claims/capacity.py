"""Judge why a deep AE's error is high: it is stuck, or slow, or its start or the optimiser is at fault."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import repeat

from tfcollapse.claims.claim import NOT_REPRODUCED, NOT_RUN, NOT_TRAINED, REPRODUCED, TOO_CLOSE, Claim, Verdict
from tfcollapse.claims.completeness import as_far_as_there, listed, means, of_family, whole
from tfcollapse.claims.remedy import relieved
from tfcollapse.config.declaration import Network, Training
from tfcollapse.records.comparison import compare
from tfcollapse.records.seed_noise import spread_of
from tfcollapse.records.statistics import Row, Rows, start

_CAUSES = {"a He start": "the start", "a smaller epsilon": "the optimiser", "twice the budget": "slow training"}
"""What each change of the training shows as the cause, where it takes away most of a deep AE's error above PCA's."""
_FALLS = 0.01
"""The share of its error by which an AE must fall in the last tenth of the steps to be still falling."""


def stuck(rows: Rows) -> Claim:
    """Judge whether a deep AE is stuck, and neither short of capacity, nor slow, nor badly started.

    The check is ours. It holds for fully connected networks only: each of them can represent PCA, because two ReLU
    units carry one signed coordinate. The plain AE has the paper's start and epsilon, and the shortest budget of the
    table. Its depth is the one at which most of the other arms were declared, and the deepest of these. It is stuck
    where its error is above PCA's beyond the noise, where a He start, a smaller epsilon of Adam, and twice the budget
    each leave more than half of the excess over PCA, and where the error no longer falls at the end of the longest
    budget. An arm that leaves less shows the cause, and the AE is not stuck. Where one was not run, the verdict waits
    for it.

    Args:
      rows: the rows of AEs and of other objectives, which are ignored.
    """
    text = "deep AEs are stuck, not short of capacity (the check, PCA, is ours: every depth can represent it)"
    ae = of_family(rows, "AE")
    steps = min((row["steps"] for row in ae if _change(row) == ""), default=0)
    plain = [row for row in ae if _change(row) == "" and row["steps"] == steps]
    floor = next((row["pca_error"] for row in rows if row.get("pca_error") is not None), None)
    if not plain or floor is None:
        return as_far_as_there(Claim(text, NOT_RUN, "no AE has the paper's start and PCA beside it"), plain)
    evidence = f"PCA {floor:.5f}; AE by depth {listed(means(plain, 'depth', 'train_error'))}"
    depth = max((row["depth"] for row in plain), key=lambda depth: (len(_arms(ae, depth, steps)), depth))
    alone = [row for row in plain if row["depth"] == depth]
    if any(row.get("train_error") is None for row in alone):
        return as_far_as_there(Claim(text, NOT_RUN, evidence), alone)
    against = compare([row["train_error"] for row in alone], floor, spread_of(alone))
    brief = f"depth {depth} against PCA {against}"
    evidence += f"; {brief}"
    if against.sign < 1:
        return Claim(text, NOT_REPRODUCED if against.sign else TOO_CLOSE, evidence, brief)
    verdict, why, causes = _why(alone, _arms(ae, depth, steps), floor)
    return Claim(text, verdict, f"{evidence}; {why}", "; ".join([brief, *causes]))


def _arms(ae: Rows, depth: int, steps: int) -> dict[str, dict[str, list[Row]]]:
    """Return the AEs of one depth whose training differs from the plain one of `steps` steps in one thing.

    Of several longer budgets the longest counts, from twice the plain one on.

    Returns:
      {the change, a key of `_CAUSES`: {the start in full: rows}}. Two He starts are two arms, and so are two epsilons.
    """
    arms: dict[str, dict[str, list[Row]]] = {}
    here = [row for row in ae if row["depth"] == depth]
    most = max((row["steps"] for row in here if _change(row) == ""), default=0)
    for row in here:
        change = _change(row)
        if change == "" and row["steps"] == most >= 2 * steps:
            change = "twice the budget"
        elif row["steps"] != steps:
            continue
        if change:
            arms.setdefault(change, {}).setdefault(start(row), []).append(row)
    return arms


def _change(row: Row) -> str | None:
    """Return what sets an AE's start and optimiser apart from the paper's: "" for nothing, None for more or else."""
    epsilon, initializer = row.get("epsilon") or Training().epsilon, row.get("initializer") or Network().initializer
    if initializer == Network().initializer:
        return "" if epsilon == Training().epsilon else "a smaller epsilon" if epsilon < Training().epsilon else None
    return "a He start" if initializer.startswith("he_") and epsilon == Training().epsilon else None


def _why(plain: Rows, arms: dict[str, dict[str, list[Row]]], floor: float) -> tuple[Verdict, str, list[str]]:
    """Return the verdict on plain AEs above PCA, what it owes to each of the other arms, and what of it is a cause."""
    half = relieved([row["train_error"] for row in plain], repeat(floor))
    signs: list[int] = []
    said: list[str] = []
    causes: list[str] = []
    waits: list[Verdict] = []
    for change, arm, rows in _listed(arms):
        if not whole(rows):
            waits.append(NOT_TRAINED if any(row["status"] == NOT_TRAINED for row in rows) else NOT_RUN)
            said.append(f"{arm}: {waits[-1]}")
            continue
        errors, spread = [row["train_error"] for row in rows], spread_of(rows)
        signs.append(compare(errors, half, spread).sign)
        cause = f", less than half, so the cause is {_CAUSES[change]}" if signs[-1] < 0 else ""
        said.append(f"{arm} leaves {compare(errors, floor, spread)}{cause}")
        causes += said[-1:] if cause else []
    longest = [row for rows in arms.get("twice the budget", {}).values() for row in rows]
    falls, slope = _falling(longest or plain)
    if falls is None or falls > 0:
        waits.append(NOT_RUN)
    verdict = (
        NOT_REPRODUCED if -1 in signs else waits[0] if waits else TOO_CLOSE if 0 in [*signs, falls] else REPRODUCED
    )
    return verdict, "; ".join([*said, slope]), causes


def _listed(arms: dict[str, dict[str, list[Row]]]) -> Iterator[tuple[str, str, list[Row]]]:
    """Give each arm as (change, name, rows). A change without runs has no rows; one with several arms names each."""
    for change in _CAUSES:
        starts = arms.get(change, {"": []})
        for name, rows in starts.items():
            yield change, f"{change} ({name})" if len(starts) > 1 else change, rows


def _falling(rows: Rows) -> tuple[int | None, str]:
    """Return whether the error of any seed of a cell still falls at its end, and that as text.

    Returns:
      1 where it falls by 1% or more in the last tenth of the steps, beyond its 95% noise; -1 where it falls by less
      than 1% beyond that noise; 0 where the noise hides it; None where it was not recorded. That is of the seed for
      which it is the largest.
    """
    if any(row.get("late_fall") is None for row in rows):
        return None, "whether it still falls was not recorded"
    seeds = []
    for row in rows:
        fall, noise = row["late_fall"], 1.96 * row["late_fall_error"]
        seeds.append((-1 if fall + noise < _FALLS else 1 if fall >= _FALLS and fall > noise else 0, fall, noise))
    state, fall, noise = max(seeds)
    word = {1: "still falling", 0: "perhaps still falling", -1: "no longer falling"}[state]
    which = f" of {len(rows)} seeds the most" if len(rows) > 1 else ""
    where = f"in the last tenth of {rows[0]['steps']:,} steps"
    return state, f"{word} ({fall:+.2%} +- {noise:.2%} {where}{which and ',' + which})"
