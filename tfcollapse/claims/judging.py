"""Judgements that several studies share. Each takes rows or errors and judges; none knows the answer."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tfcollapse.claims.claim import Claim
from tfcollapse.records.gaps import gamma_gaps
from tfcollapse.records.statistics import Rows, by, cells, family, mean_and_sd
from tfcollapse.records.trained import marked, not_trained

SUPPORTED, PARTLY, CONTRADICTED, NOT_TESTED = "supported", "partly supported", "contradicted", "not tested"


class Mean(float):
    """A mean over seeds; as text it has their standard deviation beside it, where there are several."""

    def __new__(cls, values: Sequence[float]) -> Mean:
        return super().__new__(cls, mean_and_sd(values)[0])

    def __init__(self, values: Sequence[float]):
        self.sd = mean_and_sd(values)[1] if len(values) > 1 else None

    def __format__(self, form: str) -> str:
        text = super().__format__(form)
        return text if self.sd is None else f"{text} +- {self.sd:{form if form.endswith('%') else '.2g'}}"


def of_trained(claims: Callable[[Rows], list[Claim]]) -> Callable[[Rows], list[Claim]]:
    """Claims on the networks that were trained; each says which were left out as they were not.

    Applied twice it is as applied once.
    """
    if getattr(claims, "of_trained", False):
        return claims

    @functools.wraps(claims)
    def judged(rows: Rows) -> list[Claim]:
        rows = marked(rows)
        out = not_trained(rows)
        if not out:
            return claims(rows)
        found = claims([_without_numbers(row) if row in out else row for row in rows])
        note = f"left out as not trained: {cells(out)}"
        return [dataclasses.replace(claim, evidence=f"{claim.evidence}; {note}") for claim in found]

    judged.of_trained = True  # type: ignore[attr-defined]
    return judged


def as_far_as_there(claim: Claim, rows: Rows) -> Claim:
    """`claim`, which holds for what `rows` have numbers of; where some have none it is supported in part at most."""
    without = [row for row in rows if row.get("train_error") is None]
    if not without or claim.verdict != SUPPORTED:
        return claim
    evidence = f"{claim.evidence}; {len(without)} of {len(rows)} runs have no number"
    return Claim(claim.text, PARTLY, evidence)


_NUMBERS = ("train_error", "test_error", "train_error_at_mean", "gamma", "active_units", "kl", "sigma_above_0.9")


def _without_numbers(row: Mapping[str, Any]) -> dict[str, Any]:
    return {**row, **dict.fromkeys(_NUMBERS), "status": "not trained"}


def means(rows: Rows, key: str, measure: str) -> dict[Any, Mean]:
    """The mean of a column for each value of another that has any.

    A cell one of whose seeds was not trained has none: the mean of the others would be that of a choice.
    """
    chosen = {row[key] for row in rows if row["status"] == "not trained"}
    return {value: Mean(found) for value, found in by(rows, key, measure).items() if found and value not in chosen}


def missing(rows: Rows, key: str = "depth") -> str:
    """Which values of a column have a cell without a number, and why; empty where all cells have one."""
    why: dict[str, list[str]] = {}
    numbers = means(rows, key, "train_error")
    for value in sorted({row[key] for row in rows} - set(numbers)):
        states = {row["status"] for row in rows if row[key] == value}
        state = next((state for state in ("not trained", "failed") if state in states), "not finished")
        why.setdefault(state, []).append(str(value))
    return "; ".join(f"{reason} at {key} {', '.join(values)}" for reason, values in why.items())


def of_family(rows: Rows, objective: str) -> Rows:
    """The rows of AE, VAE or VAE + KL warm-up, whatever their gamma."""
    return [row for row in rows if family(row) == objective]


def errors(rows: Rows, objective: str) -> dict[int, Mean]:
    """The training error by depth."""
    return means(of_family(rows, objective), "depth", "train_error")


def listed(errors: Mapping[int, float]) -> str:
    """Errors as text."""
    return ", ".join(f"{depth}: {error:.5f}" for depth, error in errors.items())


def falls_then_rises(rows: Rows, whose: str = "the AE's error") -> Claim:
    """The shape of Figures 1 and 3, on the AEs of a table."""
    text = f"{whose} first falls with depth, then rises"
    found, gaps = errors(rows, "AE"), missing(of_family(rows, "AE"))
    if len(found) < 3 and not gaps:
        return Claim(text, NOT_TESTED, "fewer than three depths finished")
    if gaps:
        return Claim(text, NOT_TESTED, f"{gaps}; by depth {listed(found) or 'none'}")
    values = list(found.values())
    best = values.index(min(values))
    monotone = rising(values[best:]) and rising(values[best::-1])
    evidence = f"lowest at depth {list(found)[best]}; by depth {listed(found)}"
    if best in (0, len(values) - 1):
        return Claim(text, CONTRADICTED, evidence)
    return Claim(text, SUPPORTED if monotone else PARTLY, evidence if monotone else f"{evidence}, not monotone")


def above_pca(rows: Rows, whose: str = "deep AEs") -> Claim:
    """For dense networks, which can all represent a linear map: two ReLU units carry one signed coordinate."""
    text = f"{whose} are stuck, not short of capacity (the check, PCA, is ours: every depth can represent it)"
    ae = of_family(rows, "AE")
    found = errors(rows, "AE")
    floors = [row["pca_error"] for row in rows if row.get("pca_error") is not None]
    if not floors or not found:
        return Claim(text, NOT_TESTED, missing(ae) or "no AE finished")
    above = [str(depth) for depth, error in found.items() if error > floors[0]]
    evidence = f"PCA {floors[0]:.5f}; AE above it at depth {', '.join(above) or 'none'}, by depth {listed(found)}"
    deepest = max(row["depth"] for row in ae)
    if deepest not in found:
        return Claim(text, NOT_TESTED, f"{missing(ae)}; {evidence}")
    return Claim(text, SUPPORTED if str(deepest) in above else CONTRADICTED, evidence)


def rising(values: Sequence[float]) -> bool:
    """Never falling."""
    return all(a <= b for a, b in zip(values, values[1:], strict=False))


def equation_10(rows: Rows) -> Claim:
    """Whether a learned gamma has arrived."""
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
    """What Figure 2 shows."""
    text = "deeper VAEs have more sigma_z near 1 (the paper shows it on CelebA, Figure 2)"
    chosen = of_family(rows, "VAE")
    shares, units = (means(chosen, "depth", name) for name in ("sigma_above_0.9", "active_units"))
    found = {depth: f"{depth}: {share:.1%}, {units[depth]:.4g} active" for depth, share in shares.items()}
    return grows(text, chosen, shares, f"share of sigma_z > 0.9 by depth {', '.join(found.values()) or 'none'}")


def grows(text: str, rows: Rows, found: Mapping[int, float], evidence: str) -> Claim:
    """Whether what was found at each depth of `rows` is larger at the deepest, and never falls on the way."""
    gaps = missing(rows)
    if gaps:
        return Claim(text, NOT_TESTED, f"{gaps}; {evidence}")
    if len(found) < 2:
        return Claim(text, NOT_TESTED, "fewer than two depths finished")
    values = list(found.values())
    verdict = CONTRADICTED if values[-1] <= values[0] else SUPPORTED if rising(values) else PARTLY
    return Claim(text, verdict, evidence)
