"""Judge Figure 1 (right): the errors of deeper residual networks relative to the shallowest one's."""

from __future__ import annotations

from tfcollapse.claims.claim import NOT_REPRODUCED, NOT_RUN, REPRODUCED, TOO_CLOSE, Claim, verdict_of
from tfcollapse.claims.completeness import as_far_as_there, of_trained
from tfcollapse.claims.judging import judge_trend
from tfcollapse.records.comparison import compare
from tfcollapse.records.relative_errors import BASE, dataset_name, over_datasets, relative_errors
from tfcollapse.records.seed_noise import spread_of
from tfcollapse.records.statistics import Row, Rows, mean_and_sd, measured


@of_trained
def residual_claims(rows: Rows) -> list[Claim]:
    """Judge section 6 on Figure 1 (right).

    The trends over c and over b are tested within blocks of equal data set and value of the other of the two, in which
    each value is a mean over seeds: the seeds of one data set are no further data sets. Over one data set alone the
    seeds are the blocks. The evidence has the errors relative to that of (b, c) = (1, 2) on the same data set, averaged
    over data sets.

    Args:
      rows: the rows of residual AEs at several (b, c), at least one.

    Example:
      >>> rows = [row for row in tc.read_table("results/long/fig1_left.csv") if row["objective"] == "AE"]
      >>> pairs = [(b, c) for b in (1, 2) for c in (2, 3)]
      >>> residual = {"architecture": "residual", "image_shape": "32x32x3"}
      >>> rows = [rows[0] | residual | {"depth": b, "block_depth": c} for b, c in pairs]  # as if these had been trained
      >>> claims = tc.claims.residual_claims(rows)
      >>> print(claims[0].text)
      more convolutions inside each block can increase the error
    """
    rows = [{**row, "dataset": dataset_name(row)} for row in rows]
    return [
        _rises("more convolutions inside each block can increase the error", rows, "block_depth", "depth"),
        _rises("more residual blocks can increase the error", rows, "depth", "block_depth"),
        _deepest(rows),
    ]


def _rises(text: str, rows: Rows, varied: str, fixed: str) -> Claim:
    """Judge whether the error rises with `varied`, one of depth (b) and block_depth (c), at equal `fixed`.

    The text says that more "can increase the error when the network is too deep". So a fall that a rise follows
    reproduces the claim, as a rise alone does, and only a fall to the last value contradicts it.
    """
    symbols = {"depth": "b", "block_depth": "c"}
    datasets = list(dict.fromkeys(row["dataset"] for row in rows))
    series: dict[int, list[str]] = {}
    relative = relative_errors(rows)
    with_base = list(relative.get(BASE, {}))
    for (b, c), cell in relative.items():
        of = {"depth": b, "block_depth": c}
        values = over_datasets(cell, with_base)
        number = f"{mean_and_sd(values)[0]:.3f}" if values else "-"
        series.setdefault(of[fixed], []).append(f"{of[varied]}: {number}")
    evidence = "; ".join(
        f"{symbols[fixed]} = {key}, by {symbols[varied]} {', '.join(values)}" for key, values in sorted(series.items())
    )
    if len(with_base) < len(datasets):
        evidence += f" (over {len(with_base)} of {len(datasets)} data sets: those with an error at {BASE})"
    scaled, blocks = _scaled(rows, fixed), ("dataset" if len(datasets) > 1 else "seed", fixed)
    rises = judge_trend(text, scaled, varied, "train_error", "rises", blocks=blocks, evidence=evidence)
    turns = judge_trend(text, scaled, varied, "train_error", "falls, then rises", blocks=blocks, evidence=evidence)
    only_turns = turns.verdict == REPRODUCED or (rises.verdict, turns.verdict) == (NOT_REPRODUCED, TOO_CLOSE)
    return turns if rises.verdict != REPRODUCED and only_turns else rises


def _scaled(rows: Rows, fixed: str) -> list[Row]:
    """Return rows whose errors are divided by the mean over their data set at equal `fixed`, which leaves the shape."""
    groups: dict[tuple[str, int], list[Row]] = {}
    for row in rows:
        groups.setdefault((row["dataset"], row[fixed]), []).append(row)
    scales = {group: mean_and_sd(measured(chosen, "train_error"))[0] for group, chosen in groups.items()}
    errors = [(row, row.get("train_error")) for row in rows]
    return [{**row, "train_error": error and error / scales[row["dataset"], row[fixed]]} for row, error in errors]


def _deepest(rows: Rows) -> Claim:
    """Judge the deepest cell against the shallowest.

    Several data sets are compared by the ratio of the means over seeds on each, and one data set by its seeds.
    """
    text = "once the network is deep enough the error is above the shallowest one's, skip connections or not"
    deepest = max({_cell(row) for row in rows}, key=lambda cell: (cell[0] * cell[1], cell))
    ends = [row for row in rows if _cell(row) in (BASE, deepest)]
    ratios = relative_errors(rows)[deepest] if deepest != BASE else {}
    if not ratios:
        why = f"(b, c) = {BASE} alone is there" if deepest == BASE else f"{deepest} has no error beside that of {BASE}"
        return as_far_as_there(Claim(text, NOT_RUN, why), ends)
    if len(ratios) > 1:
        against, over = compare([*ratios.values()], 1.0, spread_of(ends)), f"{len(ratios)} data sets"
    else:
        below, above = (
            measured([row for row in ends if row["dataset"] in ratios and _cell(row) == cell], "train_error")
            for cell in (BASE, deepest)
        )
        against = compare(above, below, spread_of(ends))
        seeds = f"{len(above)} seed{'s' * (len(above) > 1)}"
        over = f"{seeds if len(above) == len(below) else f'{seeds} against {len(below)}'} of 1 data set"
    evidence = f"(b, c) = {deepest} against {BASE}: {against} over {over}"
    return as_far_as_there(Claim(text, verdict_of([against.sign]), evidence), ends)


def _cell(row: Row) -> tuple[int, int]:
    return row["depth"], row["block_depth"]
