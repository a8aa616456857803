"""Judge why a deep AE's error is high: it is stuck, or slow, or its start or the optimiser is at fault."""

from __future__ import annotations

import math

import numpy as np

from tfcollapse.claims.claim import NOT_REPRODUCED, NOT_RUN, NOT_TRAINED, REPRODUCED, TOO_CLOSE, Claim, Verdict
from tfcollapse.claims.comparison import NOISE, compare
from tfcollapse.claims.completeness import as_far_as_there, listed, means, of_family
from tfcollapse.config.declaration import Network, Training
from tfcollapse.diagnosis.blame.verdict import SHARE
from tfcollapse.records.statistics import Row, Rows

_CAUSES = {"a He start": "the start", "a smaller epsilon": "the optimiser", "twice the budget": "slow training"}
"""What each change of the training shows as the cause, where it takes away most of a deep AE's error above PCA's."""


def stuck(rows: Rows) -> Claim:
    """Judge whether a deep AE is stuck, and neither short of capacity, nor slow, nor badly started.

    The check is ours. It holds for fully connected networks only: each of them can represent PCA, because two ReLU
    units carry one signed coordinate. The plain AE has the paper's start and epsilon, and the shortest budget of the
    table. Its depth is the one at which most of the other arms were declared, and the deepest of these. It is stuck
    where its error is above PCA's beyond the noise and no longer falls, and where a He start, a smaller epsilon of
    Adam, and twice the budget each leave more than half of the excess over PCA. One of these that leaves less shows
    the cause, and the AE is not stuck. Where one of these was not run, the verdict waits for it.

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
    against = compare([row["train_error"] for row in alone], floor)
    evidence += f"; depth {depth} against PCA {against}"
    if against.sign < 1:
        return Claim(text, NOT_REPRODUCED if against.sign else TOO_CLOSE, evidence)
    verdict, why = _why(alone, _arms(ae, depth, steps), floor)
    return Claim(text, verdict, f"{evidence}; {why}")


def _arms(ae: Rows, depth: int, steps: int) -> dict[str, list[Row]]:
    """Return the AEs of one depth whose training differs from the plain one of `steps` steps in one thing, by which.

    Of several longer budgets the longest counts, from twice the plain one on.
    """
    arms: dict[str, list[Row]] = {}
    here = [row for row in ae if row["depth"] == depth]
    for row in here:
        change = _change(row)
        if row["steps"] == steps and change:
            arms.setdefault(change, []).append(row)
    most = max((row["steps"] for row in here if _change(row) == ""), default=0)
    if most >= 2 * steps:
        arms["twice the budget"] = [row for row in here if _change(row) == "" and row["steps"] == most]
    return arms


def _change(row: Row) -> str | None:
    """Return what sets an AE's start and optimiser apart from the paper's: "" for nothing, None for more or else."""
    epsilon, initializer = row.get("epsilon") or Training().epsilon, row.get("initializer") or Network().initializer
    if initializer == Network().initializer:
        return "" if epsilon == Training().epsilon else "a smaller epsilon" if epsilon < Training().epsilon else None
    return "a He start" if initializer.startswith("he_") and epsilon == Training().epsilon else None


def _why(plain: Rows, arms: dict[str, list[Row]], floor: float) -> tuple[Verdict, str]:
    """Return the verdict on plain AEs above PCA, and what it owes to each of the other arms."""
    relieved = floor + SHARE * (float(np.mean([row["train_error"] for row in plain])) - floor)
    signs: list[int] = []
    said: list[str] = []
    waits: list[Verdict] = []
    for name, cause in _CAUSES.items():
        arm = arms.get(name, [])
        errors = [row["train_error"] for row in arm if row.get("train_error") is not None]
        if not errors or len(errors) < len(arm):
            waits.append(NOT_TRAINED if any(row["status"] == NOT_TRAINED for row in arm) else NOT_RUN)
            said.append(f"{name}: {waits[-1]}")
            continue
        signs.append(compare(errors, relieved).sign)
        half = f", less than half, so the cause is {cause}" if signs[-1] < 0 else ""
        said.append(f"{name} leaves {compare(errors, floor)}{half}")
    falls, slope = _falling(arms.get("twice the budget", plain))
    if falls is None or falls > 0:
        waits.append(NOT_RUN)
    verdict = (
        NOT_REPRODUCED if -1 in signs else waits[0] if waits else TOO_CLOSE if 0 in [*signs, falls] else REPRODUCED
    )
    return verdict, "; ".join([*said, slope])


def _falling(rows: Rows) -> tuple[int | None, str]:
    """Return whether the error of a cell still falls at its end, and that as text.

    Returns:
      1 where it falls by 1% or more in the last tenth of the steps, beyond its 95% noise; -1 where it falls by less
      than 1% beyond that noise; 0 where the noise hides it; None where it was not recorded.
    """
    slopes = [(row["late_fall"], row["late_fall_error"]) for row in rows if row.get("late_fall") is not None]
    if len(slopes) < len(rows):
        return None, "whether it still falls was not recorded"
    falls, errors = zip(*slopes, strict=True)
    fall, noise = float(np.mean(falls)), 1.96 * math.hypot(*errors) / len(errors)
    state = -1 if fall + noise < NOISE else 1 if fall >= NOISE and fall > noise else 0
    word = {1: "still falling", 0: "perhaps still falling", -1: "no longer falling"}[state]
    return (
        state,
        f"{word} ({fall:+.2%} +- {noise:.2%} in the last tenth of {max(row['steps'] for row in rows):,} steps)",
    )
