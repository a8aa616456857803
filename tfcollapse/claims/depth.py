"""Figures 1 (left), 1 (middle) and 3: AE, VAE and VAE with KL warm-up against depth."""

from __future__ import annotations

from collections.abc import Mapping

from tfcollapse.claims.judging import (
    CONTRADICTED,
    NOT_TESTED,
    PARTLY,
    SUPPORTED,
    above_pca,
    collapse_with_depth,
    equation_10,
    errors,
    falls_then_rises,
    rising,
)
from tfcollapse.figures.style import Rows
from tfcollapse.study import Claim
from tfcollapse.theory import equations


def depth_claims(rows: Rows) -> list[Claim]:
    """Section 6 on Figure 1, eq. (8) and eq. (10), on training errors averaged over seeds."""
    ae, vae, warm = (errors(rows, name) for name in ("AE", "VAE", "VAE + KL warm-up"))
    dense = all(row["architecture"] == "dense" for row in rows)
    return [
        falls_then_rises(ae),
        *([above_pca(rows, ae)] if dense else []),
        _ordered("the VAE's error is above the AE's at every depth", [("AE", ae), ("VAE", vae)]),
        _ordered(
            "with KL warm-up the VAE's error is between the AE's and the plain VAE's",
            [("AE", ae), ("warm-up", warm), ("VAE", vae)],
        ),
        _equation_8(rows),
        equation_10(rows),
        collapse_with_depth(rows),
    ]


def _ordered(text: str, series: list[tuple[str, Mapping[int, float]]]) -> Claim:
    """Each series above the one before it, at every depth of the table."""
    wanted = sorted({depth for _, errors in series for depth in errors})
    depths = [depth for depth in wanted if all(depth in errors for _, errors in series)]
    if not depths:
        return Claim(text, NOT_TESTED, "no depth has all of its runs")
    found = {
        depth: f"depth {depth}: " + ", ".join(f"{name} {errors[depth]:.5f}" for name, errors in series)
        for depth in depths
    }
    broken = [depth for depth in depths if not rising([errors[depth] for _, errors in series])]
    if broken:
        said = "; ".join(found[depth] for depth in broken)
        return Claim(text, CONTRADICTED, f"not at {len(broken)} of {len(depths)} depths ({said})")
    evidence = f"at {len(depths)} of {len(wanted)} depths that finished ({'; '.join(found.values())})"
    return Claim(text, SUPPORTED if len(depths) == len(wanted) else PARTLY, evidence)


def _equation_8(rows: Rows) -> Claim:
    text = "eq. (8): each AE's error is at most that of its VAE"
    pairs = equations.pairs(rows)
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
    if len(pairs) > 1:
        mean = equations.bootstrap([gap.relative for gap in equations.error_gaps(rows)])
        evidence += f", mean {mean.value + 1:.3f} (95% {mean.low + 1:.3f} to {mean.high + 1:.3f} over these pairs)"
    return Claim(text, CONTRADICTED if broken else SUPPORTED, "; ".join([evidence, *broken]))
