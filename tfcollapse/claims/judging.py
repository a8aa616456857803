"""Judgements that several studies share. Each takes rows or errors and judges; none knows the answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tfcollapse.figures.style import Rows, by, family, mean_and_sd
from tfcollapse.study import Claim
from tfcollapse.theory.equations import gamma_gaps

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


def means(rows: Rows, key: str, measure: str) -> dict[Any, Mean]:
    """The mean of a column for each value of another that has any."""
    return {value: Mean(found) for value, found in by(rows, key, measure).items() if found}


def errors(rows: Rows, objective: str) -> dict[int, Mean]:
    """The training error by depth."""
    return means([row for row in rows if family(row) == objective], "depth", "train_error")


def listed(errors: Mapping[int, float]) -> str:
    """Errors as text."""
    return ", ".join(f"{depth}: {error:.5f}" for depth, error in errors.items())


def falls_then_rises(errors: Mapping[int, float], whose: str = "the AE's error") -> Claim:
    """The shape of Figures 1 and 3."""
    text = f"{whose} first falls with depth, then rises"
    if len(errors) < 3:
        return Claim(text, NOT_TESTED, "fewer than three depths finished")
    values = list(errors.values())
    best = values.index(min(values))
    monotone = rising(values[best:]) and rising(values[best::-1])
    evidence = f"lowest at depth {list(errors)[best]}; by depth {listed(errors)}"
    if best in (0, len(values) - 1):
        return Claim(text, CONTRADICTED, evidence)
    return Claim(text, SUPPORTED if monotone else PARTLY, evidence if monotone else f"{evidence}, not monotone")


def above_pca(rows: Rows, errors: Mapping[int, float], whose: str = "deep AEs") -> Claim:
    """For dense networks, which can all represent a linear map: two ReLU units carry one signed coordinate."""
    text = f"{whose} are stuck, not short of capacity (the check, PCA, is ours: every depth can represent it)"
    floors = [row["pca_error"] for row in rows if row.get("pca_error") is not None]
    if not floors or not errors:
        return Claim(text, NOT_TESTED, "no AE finished")
    above = [str(depth) for depth, error in errors.items() if error > floors[0]]
    evidence = f"PCA {floors[0]:.5f}; AE above it at depth {', '.join(above) or 'none'}, by depth {listed(errors)}"
    return Claim(text, SUPPORTED if str(max(errors)) in above else CONTRADICTED, evidence)


def rising(values: Sequence[float]) -> bool:
    """Never falling."""
    return all(a <= b for a, b in zip(values, values[1:], strict=False))


def equation_10(rows: Rows) -> Claim:
    """Whether a learned gamma has arrived."""
    text = "eq. (10): the learned gamma equals the VAE's reconstruction error"
    done = [row for row in rows if row.get("gamma") is not None]
    gaps = [gap.relative for gap in gamma_gaps(done)]
    if not gaps:
        modes = {row["gamma_mode"] for row in done}
        optimal = "gamma was set by eq. (10) itself" if modes == {"optimal"} else "no run that learns gamma finished"
        return Claim(text, NOT_TESTED, optimal if done else "no VAE finished")
    worst = max(gaps, key=abs)
    verdict = SUPPORTED if abs(worst) < 0.05 else CONTRADICTED
    return Claim(text, verdict, f"largest relative gap {worst:+.2%} over {len(gaps)} runs (5% taken as equal)")


def collapse_with_depth(rows: Rows) -> Claim:
    """What Figure 2 shows."""
    text = "deeper VAEs have more sigma_z near 1 (the paper shows it on CelebA, Figure 2)"
    chosen = [row for row in rows if family(row) == "VAE"]
    shares, units = (means(chosen, "depth", name) for name in ("sigma_above_0.9", "active_units"))
    if len(shares) < 2:
        return Claim(text, NOT_TESTED, "fewer than two depths finished")
    found = ", ".join(f"{depth}: {share:.1%}, {units[depth]:.4g} active" for depth, share in shares.items())
    values = list(shares.values())
    verdict = CONTRADICTED if values[-1] <= values[0] else SUPPORTED if rising(values) else PARTLY
    return Claim(text, verdict, f"share of sigma_z > 0.9 by depth {found}")
