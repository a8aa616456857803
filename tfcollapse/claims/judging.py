"""Judge what several studies have in common: trends, orders of errors, and eq. (10)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from tfcollapse.claims.claim import NOT_REPRODUCED, NOT_RUN, REPRODUCED, Claim, verdict_of
from tfcollapse.claims.completeness import as_far_as_there, listed, means, missing, of_family, whole
from tfcollapse.claims.trend import SIGNIFICANCE, Shape, Trend, rank_test
from tfcollapse.records.comparison import CLOSE, compare
from tfcollapse.records.gaps import EQUAL, MOVING, ON_ITS_WAY, gamma_gaps, undecided_gammas
from tfcollapse.records.labels import label
from tfcollapse.records.naming import cells
from tfcollapse.records.seed_noise import noise_of, spread_of
from tfcollapse.records.statistics import Row, Rows, by, mean_and_sd


def judge_trend(
    text: str,
    rows: Rows,
    column: str,
    measure: str,
    shape: Shape,
    *,
    blocks: Sequence[str] = ("seed",),
    evidence: str = "",
    brief: str = "",
) -> Claim:
    """Judge whether a measure has a shape over an ordered column, by `rank_test`.

    In one block, errors that differ by no more than two seeds do are too close to call. In any number of blocks so are
    counts of active units, and shares of sigma_z near 1, whose means all lie within a tenth of the latent dimensions.
    Of a fall followed by a rise, both must be beyond the noise as `compare` says, because the rank test can owe its
    significance to one of the two.

    Args:
      text: what the paper says.
      rows: the rows that the claim is about. All of them must have an error.
      column, measure: the names of the columns.
      shape: what `measure` does as `column` grows.
      blocks: the columns whose values set the blocks apart. A block that lacks a value of `column` is left out.
      evidence: the values as text; by default their means over all blocks.
      brief: the most telling of them; by default all.
    """
    form = ".4g" if measure == "active_units" else ".5f"
    evidence = evidence or f"by {label(column)} {listed(means(rows, column, measure), form)}"
    if not rows or missing(rows):
        return as_far_as_there(Claim(text, NOT_RUN, evidence), rows)
    brief = brief or evidence
    places, values = _blocks(rows, column, measure, blocks)
    least = 3 if shape == "falls, then rises" else 2
    if len(places) < least or not len(values):
        return Claim(text, NOT_RUN, f"{evidence}; there are fewer than {least} values of {label(column)} in one block")
    trend = rank_test(values, shape)
    flat = np.ptp(values.mean(axis=0)) < _least_range(rows, values, measure)
    signs = [0 if flat else trend.sign]
    if shape == "falls, then rises":
        spreads = [spread_of([row for row in rows if row[column] == place]) for place in places]
        arms, said = _arms(places, values, trend.turn, column, spreads)
        evidence += said
        signs += arms if trend.sign == 1 else []
    return Claim(text, verdict_of(signs), f"{evidence}; {_tested(trend, values)}", brief)


def _least_range(rows: Rows, values: np.ndarray, measure: str) -> float:
    """Return the range of the means from which on they differ. Several blocks show the noise of errors themselves."""
    if measure.endswith("_error"):
        return noise_of(spread_of(rows)) * float(values.mean()) if len(values) == 1 else 0.0
    ranges = {"active_units": CLOSE * rows[0]["latent_dim"], "sigma_above_0.9": CLOSE}
    return ranges.get(measure, 0.0)  # the noise of no other measure is known


def _arms(places: list[Any], values: np.ndarray, turn: int, column: str, spreads: list[float]) -> tuple[list[int], str]:
    """Return the signs of both ends of a shape against its turning point, and that as text."""
    ends = [end for end in (0, len(places) - 1) if end != turn]
    arms = {
        end: compare(values[:, end].tolist(), values[:, turn].tolist(), max(spreads[end], spreads[turn]), len(ends))
        for end in ends
    }
    said = f"; turning point at {label(column)} {places[turn]:g}"
    said += "".join(f"; {label(column)} {places[end]:g} against it {arm}" for end, arm in arms.items())
    return [arm.sign for arm in arms.values()], said


def _blocks(rows: Rows, column: str, measure: str, names: Sequence[str]) -> tuple[list[Any], np.ndarray]:
    """Return the values of `column`, and the measure as [blocks, values]: means where a cell has several rows."""
    places = sorted({row[column] for row in rows})
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(row.get(name) for name in names), []).append(row)
    table = [[mean_and_sd(values)[0] for values in by(group, column, measure).values()] for group in groups.values()]
    whole = [line for line in table if len(line) == len(places) and not np.isnan(line).any()]
    return places, np.array(whole, float).reshape(-1, len(places))


def _tested(trend: Trend, values: np.ndarray) -> str:
    count, places = values.shape
    text = f"rank test p = {trend.p:.2g} ({trend.opposite:.2g} for the opposite) over {count} "
    text += f"block{'s' if count > 1 else ''} of {places}"
    return text if trend.least <= SIGNIFICANCE else f"{text}, in which no order reaches {SIGNIFICANCE:.0%}"


def judge_order(text: str, series: Mapping[str, Rows], column: str = "depth", measure: str = "train_error") -> Claim:
    """Judge whether each series lies above the one before it, beyond the noise, at every value of a column.

    A value of the column counts where all of its runs are there. The verdict waits for the others.

    Args:
      text: what the paper says.
      series: the rows of each series by its name, in the order of rising values.
      column, measure: the names of the columns.
    """
    rows = [row for chosen in series.values() for row in chosen]
    places = sorted({row[column] for row in rows})
    signs, parts = [], []
    for place in places:
        there = {name: [row for row in chosen if row[column] == place] for name, chosen in series.items()}
        if not whole(*there.values()):
            continue
        cells = {name: [row[measure] for row in chosen] for name, chosen in there.items()}
        spread = spread_of([row for chosen in there.values() for row in chosen])
        count = len(places) * (len(series) - 1)
        comparisons = [compare(above, below, spread, count) for below, above in pairwise(cells.values())]
        signs.append(min(comparison.sign for comparison in comparisons))
        first, *others = cells
        said = [f"{first} {np.mean(cells[first]):.5f}"]
        said += [f"{name} {np.mean(cells[name]):.5f} ({one})" for name, one in zip(others, comparisons, strict=True)]
        parts.append(f"{column} {place}: {', '.join(said)}")
    held = f"holds at {signs.count(1)} of {len(places)} values of {label(column)}"
    evidence = f"{held} ({'; '.join(parts)})" if parts else f"no {label(column)} has all runs of {', '.join(series)}"
    verdict = verdict_of(signs)
    if len(signs) < len(places) and verdict != NOT_REPRODUCED:
        verdict = NOT_RUN
    return as_far_as_there(Claim(text, verdict, evidence, held if parts else ""), rows, contradicted=True)


def falls_then_rises(rows: Rows, whose: str = "the AE's error") -> Claim:
    """Judge the shape of Figures 1 and 3 on the AEs of a table: the error falls with depth, then rises.

    Args:
      rows: the rows of AEs and of other objectives, which are ignored.
      whose: the beginning of the claim's text.
    """
    text = f"{whose} first falls with depth, then rises"
    return judge_trend(text, of_family(rows, "AE"), "depth", "train_error", "falls, then rises")


def equation_10(rows: Rows) -> Claim:
    """Judge eq. (10): whether every learned gamma equals its VAE's reconstruction error, within `EQUAL`.

    The verdict waits for longer training where gamma is still on its way to the error.
    """
    text = "eq. (10): the learned gamma equals the VAE's reconstruction error"
    learned = [row for row in rows if row.get("gamma_mode") == "learned"]
    gaps = [gap.relative for gap in gamma_gaps(learned)]
    if not learned:
        optimal = any(row.get("gamma_mode") == "optimal" for row in rows)
        return Claim(text, NOT_RUN, "gamma was set by eq. (10) itself" if optimal else "no run learns gamma")
    late = late_gammas(learned)
    if not gaps:
        return as_far_as_there(Claim(text, NOT_RUN, late), learned)
    worst = max(gaps, key=abs)
    verdict = NOT_REPRODUCED if abs(worst) >= EQUAL else NOT_RUN if late else REPRODUCED
    brief = f"largest relative gap {worst:+.2%} over {len(gaps)} runs"
    evidence = f"{brief} ({EQUAL:.0%} taken as equal)" + (f"; {late}" if late else "")
    undecided = {reason: len(rows) for reason, rows in undecided_gammas(learned).items()}
    brief += "".join(f"; {count} more not judged: {reason}" for reason, count in undecided.items())
    return as_far_as_there(Claim(text, verdict, evidence, brief), learned, contradicted=True)


def late_gammas(rows: Rows) -> str:
    """Return which learned gammas are not judged, and why, as text; empty where all are."""
    texts = []
    for reason, undecided in undecided_gammas(rows).items():
        text = f"{reason}: {cells(undecided, rows)}"
        if reason == MOVING:
            gap = max((row["gamma"] / row["train_error"] - 1 for row in undecided), key=abs)
            pace = min(row["gamma_pace"] for row in undecided)
            text += (
                f" (largest gap {gap:+.2%}; log gamma moves there at {pace:.2g} of the learning rate an update or "
                f"more; below {ON_ITS_WAY:g} it is judged)"
            )
        texts.append(text)
    return "; ".join(texts)


def collapse_with_depth(rows: Rows) -> Claim:
    """Judge what Figure 2 shows: whether deeper VAEs have a larger share of sigma_z above 0.9."""
    text = "deeper VAEs have more sigma_z near 1 (the paper shows it on CelebA, Figure 2)"
    chosen = of_family(rows, "VAE")
    shares, units = (means(chosen, "depth", name) for name in ("sigma_above_0.9", "active_units"))
    parts = [f"{depth}: {share:.1%}, {units[depth]:.4g} active" for depth, share in shares.items()]
    evidence = f"share of sigma_z > 0.9 by depth {', '.join(parts) or 'none'}"
    return judge_trend(text, chosen, "depth", "sigma_above_0.9", "rises", evidence=evidence)
