"""Judge what several studies have in common. Each judgement is computed from rows or errors alone."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tfcollapse.claims.claim import Claim
from tfcollapse.records.gaps import gamma_gaps
from tfcollapse.records.statistics import Mean, Rows, by, cells, family
from tfcollapse.records.trained import marked, not_trained

SUPPORTED, PARTLY, CONTRADICTED, NOT_TESTED = "supported", "partly supported", "contradicted", "not tested"


def of_trained(claims: Callable[[Rows], list[Claim]]) -> Callable[[Rows], list[Claim]]:
    """Return `claims` restricted to trained networks.

    The numbers of networks that were not trained are withheld from `claims`, and the evidence of each claim names these
    networks. A function that is already restricted is returned unchanged.

    Args:
      claims: a function from the rows of a whole table to judged claims.
    """
    if getattr(claims, "of_trained", False):
        return claims

    @functools.wraps(claims)
    def judged(rows: Rows) -> list[Claim]:
        rows = marked(rows)
        out = not_trained(rows)
        if not out:
            return claims(rows)
        judged_claims = claims([_without_numbers(row) if row in out else row for row in rows])
        note = f"left out as not trained: {cells(out)}"
        return [dataclasses.replace(claim, evidence=f"{claim.evidence}; {note}") for claim in judged_claims]

    judged.of_trained = True  # type: ignore[attr-defined]
    return judged


def as_far_as_there(claim: Claim, rows: Rows) -> Claim:
    """Return `claim`, weakened to "partly supported" where some of its rows have no error.

    Args:
      claim: a claim that was judged on those of `rows` that have an error; only "supported" is weakened.
      rows: all rows that the claim is about.
    """
    without = [row for row in rows if row.get("train_error") is None]
    if not without or claim.verdict != SUPPORTED:
        return claim
    evidence = f"{claim.evidence}; {len(without)} of {len(rows)} runs have no number"
    return Claim(claim.text, PARTLY, evidence)


_NUMBERS = ("train_error", "test_error", "train_error_at_mean", "gamma", "active_units", "kl", "sigma_above_0.9")


def _without_numbers(row: Mapping[str, Any]) -> dict[str, Any]:
    return {**row, **dict.fromkeys(_NUMBERS), "status": "not trained"}


def means(rows: Rows, key: str, measure: str) -> dict[Any, Mean]:
    """Return the mean over seeds of the column `measure` for each value of the column `key`, in ascending order.

    A value is left out where it has no measure, or where one of its seeds was not trained. In the latter case the mean
    of the other seeds would be a mean over a selection.
    """
    chosen = {row[key] for row in rows if row["status"] == "not trained"}
    return {value: Mean(values) for value, values in by(rows, key, measure).items() if values and value not in chosen}


def missing(rows: Rows, key: str = "depth") -> str:
    """Return which values of the column `key` have no mean error, and why, as text.

    The text is empty where every value has a mean error.
    """
    why: dict[str, list[str]] = {}
    numbers = means(rows, key, "train_error")
    for value in sorted({row[key] for row in rows} - set(numbers)):
        states = {row["status"] for row in rows if row[key] == value}
        state = next((state for state in ("not trained", "failed") if state in states), "not finished")
        why.setdefault(state, []).append(str(value))
    return "; ".join(f"{reason} at {key} {', '.join(values)}" for reason, values in why.items())


def of_family(rows: Rows, objective: str) -> Rows:
    """Return the rows of one objective, whatever their gamma: AE, VAE or VAE + KL warm-up."""
    return [row for row in rows if family(row) == objective]


def errors(rows: Rows, objective: str) -> dict[int, Mean]:
    """Return the training errors of one objective by depth: squared errors per pixel, means over seeds."""
    return means(of_family(rows, objective), "depth", "train_error")


def listed(errors: Mapping[int, float]) -> str:
    """Return errors by depth as text."""
    return ", ".join(f"{depth}: {error:.5f}" for depth, error in errors.items())


def falls_then_rises(rows: Rows, whose: str = "the AE's error") -> Claim:
    """Judge the shape of Figures 1 and 3 on the AEs of a table: the error falls with depth, then rises.

    Args:
      rows: the rows of AEs and of other objectives, which are ignored.
      whose: the beginning of the claim's text.
    """
    text = f"{whose} first falls with depth, then rises"
    error_by_depth, gaps = errors(rows, "AE"), missing(of_family(rows, "AE"))
    if len(error_by_depth) < 3 and not gaps:
        return Claim(text, NOT_TESTED, "fewer than three depths finished")
    if gaps:
        return Claim(text, NOT_TESTED, f"{gaps}; by depth {listed(error_by_depth) or 'none'}")
    values = list(error_by_depth.values())
    best = values.index(min(values))
    monotone = rising(values[best:]) and rising(values[best::-1])
    evidence = f"lowest at depth {list(error_by_depth)[best]}; by depth {listed(error_by_depth)}"
    if best in (0, len(values) - 1):
        return Claim(text, CONTRADICTED, evidence)
    return Claim(text, SUPPORTED if monotone else PARTLY, evidence if monotone else f"{evidence}, not monotone")


def above_pca(rows: Rows, whose: str = "deep AEs") -> Claim:
    """Judge whether deep AEs are stuck and not short of capacity: whether the deepest AE's error is above PCA's.

    The check is ours. It holds for fully connected networks only: each of them can represent a linear map, because two
    ReLU units carry one signed coordinate.

    Args:
      rows: the rows of AEs and of other objectives, which are ignored.
      whose: the beginning of the claim's text.
    """
    text = f"{whose} are stuck, not short of capacity (the check, PCA, is ours: every depth can represent it)"
    ae = of_family(rows, "AE")
    error_by_depth = errors(rows, "AE")
    floors = [row["pca_error"] for row in rows if row.get("pca_error") is not None]
    if not floors or not error_by_depth:
        return Claim(text, NOT_TESTED, missing(ae) or "no AE finished")
    above = [str(depth) for depth, error in error_by_depth.items() if error > floors[0]]
    evidence = (
        f"PCA {floors[0]:.5f}; AE above it at depth {', '.join(above) or 'none'}, by depth {listed(error_by_depth)}"
    )
    deepest = max(row["depth"] for row in ae)
    if deepest not in error_by_depth:
        return Claim(text, NOT_TESTED, f"{missing(ae)}; {evidence}")
    return Claim(text, SUPPORTED if str(deepest) in above else CONTRADICTED, evidence)


def rising(values: Sequence[float]) -> bool:
    """Return whether `values` never fall."""
    return all(a <= b for a, b in zip(values, values[1:], strict=False))


def equation_10(rows: Rows) -> Claim:
    """Judge eq. (10): whether every learned gamma equals its VAE's reconstruction error, within 5%."""
    text = "eq. (10): the learned gamma equals the VAE's reconstruction error"
    vaes = [row for row in rows if row["objective"] != "AE"]
    done = [row for row in vaes if row.get("gamma") is not None]
    gaps = [gap.relative for gap in gamma_gaps(done)]
    if not gaps:
        modes = {row["gamma_mode"] for row in done}
        optimal = "gamma was set by eq. (10) itself" if modes == {"optimal"} else "no run that learns gamma finished"
        return Claim(text, NOT_TESTED, optimal if done else "no VAE finished and was trained")
    worst = max(gaps, key=abs)
    verdict = SUPPORTED if abs(worst) < 0.05 else CONTRADICTED
    evidence = f"largest relative gap {worst:+.2%} over {len(gaps)} runs (5% taken as equal)"
    return as_far_as_there(Claim(text, verdict, evidence), [row for row in vaes if row["gamma_mode"] == "learned"])


def collapse_with_depth(rows: Rows) -> Claim:
    """Judge what Figure 2 shows: whether deeper VAEs have a larger share of sigma_z above 0.9."""
    text = "deeper VAEs have more sigma_z near 1 (the paper shows it on CelebA, Figure 2)"
    chosen = of_family(rows, "VAE")
    shares, units = (means(chosen, "depth", name) for name in ("sigma_above_0.9", "active_units"))
    parts = {depth: f"{depth}: {share:.1%}, {units[depth]:.4g} active" for depth, share in shares.items()}
    return grows(text, chosen, shares, f"share of sigma_z > 0.9 by depth {', '.join(parts.values()) or 'none'}")


def grows(text: str, rows: Rows, values_by_depth: Mapping[int, float], evidence: str) -> Claim:
    """Judge whether a value grows with depth: it is larger at the deepest network, and never falls on the way there.

    Args:
      text: what the paper says.
      rows: the rows that the values come from.
      values_by_depth: the values, in ascending order of depth.
      evidence: the values as text.
    """
    gaps = missing(rows)
    if gaps:
        return Claim(text, NOT_TESTED, f"{gaps}; {evidence}")
    if len(values_by_depth) < 2:
        return Claim(text, NOT_TESTED, "fewer than two depths finished")
    values = list(values_by_depth.values())
    verdict = CONTRADICTED if values[-1] <= values[0] else SUPPORTED if rising(values) else PARTLY
    return Claim(text, verdict, evidence)
