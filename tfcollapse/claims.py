"""The paper's statements held against a table. Each function takes rows and judges; none knows the answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tfcollapse.figures import by_depth, mean_and_sd
from tfcollapse.study import Claim

Rows = Sequence[Mapping[str, Any]]

SUPPORTED, PARTLY, CONTRADICTED, NOT_TESTED = "supported", "partly supported", "contradicted", "not tested"


def depth_claims(rows: Rows) -> list[Claim]:
    """Section 6 on Figure 1 (left), eq. (8) and eq. (10), on training errors averaged over seeds."""
    ae, vae, warm = (_errors(rows, name) for name in ("AE", "VAE", "VAE + KL warm-up"))
    return [
        _falls_then_rises(ae),
        _above_pca(rows, ae),
        _ordered("the VAE's error is above the AE's at every depth", [("AE", ae), ("VAE", vae)]),
        _ordered(
            "with KL warm-up the VAE's error is between the AE's and the plain VAE's",
            [("AE", ae), ("warm-up", warm), ("VAE", vae)],
        ),
        _equation_8(rows),
        _equation_10(rows),
        _collapse_with_depth(rows),
    ]


def _errors(rows: Rows, objective: str) -> dict[int, float]:
    values = by_depth([row for row in rows if row["objective"] == objective], "train_error")
    return {depth: mean_and_sd(found)[0] for depth, found in values.items() if found}


def _listed(errors: Mapping[int, float]) -> str:
    return ", ".join(f"{depth}: {error:.5f}" for depth, error in errors.items())


def _falls_then_rises(errors: Mapping[int, float]) -> Claim:
    text = "the AE's error first falls with depth, then rises"
    if len(errors) < 3:
        return Claim(text, NOT_TESTED, "fewer than three depths finished")
    values = list(errors.values())
    best = values.index(min(values))
    monotone = _rising(values[best:]) and _rising(values[best::-1])
    evidence = f"lowest at depth {list(errors)[best]}; by depth {_listed(errors)}"
    if best in (0, len(values) - 1):
        return Claim(text, CONTRADICTED, evidence)
    return Claim(text, SUPPORTED if monotone else PARTLY, evidence if monotone else f"{evidence}, not monotone")


def _above_pca(rows: Rows, errors: Mapping[int, float]) -> Claim:
    """A linear map is within the reach of every depth here: two ReLU units carry one signed coordinate."""
    text = "deep AEs are stuck, not short of capacity (the check, PCA, is ours: every depth can represent it)"
    floors = [row["pca_error"] for row in rows if row.get("pca_error") is not None]
    if not floors or not errors:
        return Claim(text, NOT_TESTED, "no AE finished")
    above = [str(depth) for depth, error in errors.items() if error > floors[0]]
    evidence = f"PCA {floors[0]:.5f}; AE above it at depth {', '.join(above) or 'none'}, by depth {_listed(errors)}"
    return Claim(text, SUPPORTED if str(max(errors)) in above else CONTRADICTED, evidence)


def _rising(values: Sequence[float]) -> bool:
    return all(a <= b for a, b in zip(values, values[1:], strict=False))


def _ordered(text: str, series: list[tuple[str, Mapping[int, float]]]) -> Claim:
    """Each series above the one before it, at every depth of the table."""
    wanted = sorted({depth for _, errors in series for depth in errors})
    depths = [depth for depth in wanted if all(depth in errors for _, errors in series)]
    if not depths:
        return Claim(text, NOT_TESTED, "no depth has all of its runs")
    broken = [
        f"depth {depth}: " + ", ".join(f"{name} {errors[depth]:.5f}" for name, errors in series)
        for depth in depths
        if not _rising([errors[depth] for _, errors in series])
    ]
    if broken:
        return Claim(text, CONTRADICTED, f"not at {len(broken)} of {len(depths)} depths ({'; '.join(broken)})")
    whole = len(depths) == len(wanted)
    return Claim(text, SUPPORTED if whole else PARTLY, f"at {len(depths)} of {len(wanted)} depths that finished")


def _pairs(rows: Rows) -> list[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    done = [row for row in rows if row.get("train_error") is not None]
    plain = {(row["depth"], row["seed"]): row for row in done if row["objective"] == "AE"}
    return [
        (plain[place], row)
        for row in done
        if row["objective"] != "AE" and (place := (row["depth"], row["seed"])) in plain
    ]


def _equation_8(rows: Rows) -> Claim:
    text = "eq. (8): each AE's error is at most that of its VAE"
    pairs = _pairs(rows)
    if not pairs:
        return Claim(text, NOT_TESTED, "no AE has a finished VAE beside it")
    broken = [
        f"depth {vae['depth']} seed {vae['seed']} ({vae['objective']}): "
        f"{ae['train_error']:.5f} > {vae['train_error']:.5f}"
        for ae, vae in pairs
        if ae["train_error"] > vae["train_error"]
    ]
    smallest = min(vae["train_error"] / ae["train_error"] for ae, vae in pairs)
    evidence = f"{len(pairs) - len(broken)} of {len(pairs)} pairs hold; smallest ratio VAE / AE {smallest:.3f}"
    return Claim(text, CONTRADICTED if broken else SUPPORTED, "; ".join([evidence, *broken]))


def _equation_10(rows: Rows) -> Claim:
    text = "eq. (10): the learned gamma equals the VAE's reconstruction error"
    done = [row for row in rows if row.get("gamma") is not None]
    learned = [row for row in done if row["gamma_mode"] == "learned"]
    if not learned:
        return Claim(text, NOT_TESTED, "gamma was set by eq. (10) itself" if done else "no VAE finished")
    gaps = {row["run_id"]: row["gamma"] / row["train_error"] - 1 for row in learned}
    worst = max(gaps.values(), key=abs)
    verdict = SUPPORTED if abs(worst) < 0.05 else CONTRADICTED
    return Claim(text, verdict, f"largest relative gap {worst:+.2%} over {len(gaps)} runs (5% taken as equal)")


def _collapse_with_depth(rows: Rows) -> Claim:
    text = "deeper VAEs have more sigma_z near 1 (the paper shows it on CelebA, Figure 2)"
    chosen = [row for row in rows if row["objective"] == "VAE"]
    shares = {d: mean_and_sd(v)[0] for d, v in by_depth(chosen, "sigma_above_0.9").items() if v}
    units = {d: mean_and_sd(v)[0] for d, v in by_depth(chosen, "active_units").items() if v}
    if len(shares) < 2:
        return Claim(text, NOT_TESTED, "fewer than two depths finished")
    listed = ", ".join(f"{depth}: {share:.1%}, {units[depth]:.4g} active" for depth, share in shares.items())
    values = list(shares.values())
    verdict = CONTRADICTED if values[-1] <= values[0] else SUPPORTED if _rising(values) else PARTLY
    return Claim(text, verdict, f"share of sigma_z > 0.9 by depth {listed}")
