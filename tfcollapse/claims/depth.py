"""Judge Figures 1 (left), 1 (middle) and 3: the errors of AE, VAE and VAE with KL warm-up against depth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tfcollapse.claims.claim import Claim
from tfcollapse.claims.judging import (
    CONTRADICTED,
    NOT_TESTED,
    PARTLY,
    SUPPORTED,
    above_pca,
    as_far_as_there,
    collapse_with_depth,
    equation_10,
    errors,
    falls_then_rises,
    of_trained,
    rising,
)
from tfcollapse.config.architectures import ARCHITECTURES
from tfcollapse.records import gaps
from tfcollapse.records.statistics import Rows
from tfcollapse.theory.bootstrap import bootstrap


@of_trained
def depth_claims(rows: Rows) -> list[Claim]:
    """Judge section 6 on Figure 1, eq. (8) and eq. (10).

    The errors are squared errors per pixel on the training set. Errors by depth are means over seeds; eq. (8) is judged
    for each pair of AE and VAE. The comparison with PCA is a check of ours. It is made for fully connected networks
    only.

    Args:
      rows: the rows of a sweep over depths, at least one.
    """
    ae, vae, warm = (errors(rows, name) for name in ("AE", "VAE", "VAE + KL warm-up"))
    depths = sorted({row["depth"] for row in rows})
    linear = all(ARCHITECTURES[row["architecture"]].fully_connected for row in rows)  # they can represent PCA
    return [
        falls_then_rises(rows),
        *([above_pca(rows)] if linear else []),
        _ordered("the VAE's error is above the AE's at every depth", [("AE", ae), ("VAE", vae)], depths),
        _ordered(
            "with KL warm-up the VAE's error is between the AE's and the plain VAE's",
            [("AE", ae), ("warm-up", warm), ("VAE", vae)],
            depths,
        ),
        _equation_8(rows),
        equation_10(rows),
        collapse_with_depth(rows),
    ]


def _ordered(text: str, series: list[tuple[str, Mapping[int, float]]], wanted: Sequence[int]) -> Claim:
    """Judge whether the error of each series is above that of the series before it, at every depth in `wanted`.

    Args:
      text: what the paper says.
      series: names and errors by depth, in the order of rising error.
      wanted: the depths of the table.
    """
    depths = [depth for depth in wanted if all(depth in errors for _, errors in series)]
    if not depths:
        return Claim(text, NOT_TESTED, "no depth has all of its runs, finished and trained")
    errors_at = {
        depth: f"depth {depth}: " + ", ".join(f"{name} {errors[depth]:.5f}" for name, errors in series)
        for depth in depths
    }
    broken = [depth for depth in depths if not rising([errors[depth] for _, errors in series])]
    if broken:
        said = "; ".join(errors_at[depth] for depth in broken)
        return Claim(text, CONTRADICTED, f"not at {len(broken)} of {len(depths)} depths ({said})")
    evidence = f"at {len(depths)} of {len(wanted)} depths ({'; '.join(errors_at.values())})"
    return Claim(text, SUPPORTED if len(depths) == len(wanted) else PARTLY, evidence)


def _equation_8(rows: Rows) -> Claim:
    text = "eq. (8): each AE's error is at most that of its VAE"
    pairs = gaps.pairs(rows)
    if not pairs:
        return Claim(text, NOT_TESTED, "no trained AE has a trained VAE beside it")
    broken = [
        f"depth {vae['depth']} seed {vae['seed']} ({vae['objective']}): "
        f"{ae['train_error']:.5f} > {vae['train_error']:.5f}"
        for ae, vae in pairs
        if ae["train_error"] > vae["train_error"]
    ]
    smallest = min(vae["train_error"] / ae["train_error"] for ae, vae in pairs)
    evidence = f"{len(pairs) - len(broken)} of {len(pairs)} pairs hold; smallest ratio VAE / AE {smallest:.3f}"
    if len(pairs) > 1:
        mean = bootstrap([gap.relative for gap in gaps.error_gaps(rows)])
        evidence += f", mean {mean.value + 1:.3f} (95% {mean.low + 1:.3f} to {mean.high + 1:.3f} over these pairs)"
    claim = Claim(text, CONTRADICTED if broken else SUPPORTED, "; ".join([evidence, *broken]))
    return as_far_as_there(claim, rows)
