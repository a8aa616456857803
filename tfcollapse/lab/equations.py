"""Check equations (8) and (10) over the table of any sweep."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping
from typing import Any

from tfcollapse.errors import ConfigError
from tfcollapse.lab.section import Section
from tfcollapse.records import gaps
from tfcollapse.records.gaps import Gap
from tfcollapse.records.numerics import older
from tfcollapse.records.seed_noise import noise_of
from tfcollapse.records.statistics import Row, cells
from tfcollapse.records.table import read_table
from tfcollapse.records.trained import marked, not_trained
from tfcollapse.theory.bootstrap import bootstrap
from tfcollapse.theory.checks import Check, not_applicable, true

READING = (
    "The paper never found a VAE that reconstructs better than its AE twin, eq. (8), and a learned gamma ends at "
    "the VAE's own error, eq. (10). Intervals are bootstrapped over the pairs of the table, not over seeds where it "
    "has but one."
)

_LEAST = f">= 0 for every pair, but for chance ({noise_of(2):.1%} at depth 2, {noise_of(10):.1%} at depth 10)"


def equations_section(table: str) -> Section:
    """Check eqs. (8) and (10) on the trained networks of a table that `tfcollapse sweep` wrote.

    Args:
      table: the path of the table.

    Raises:
      RunError: the table cannot be read.
      ConfigError: the table holds no trained VAE with an AE twin or with a learned gamma.
    """
    path = pathlib.Path(table)
    table_rows = marked(read_table(path))
    left_out = not_trained(table_rows)
    rows = [row for row in table_rows if row not in left_out]
    pairs, gammas = gaps.error_gaps(rows), gaps.gamma_gaps(rows)
    if not pairs and not gammas:
        raise ConfigError(
            f"--table '{table}': expected trained VAEs with AE twins, or with a learned gamma that has arrived or "
            "stands still, found neither"
        )
    of_runs = {row["run_id"]: row for row in rows}
    curves = {"error": _points(pairs, of_runs), "gamma": _points(gammas, of_runs)}
    checks = [
        _check(
            "eq. (8): VAE error over AE error, minus 1",
            pairs,
            _LEAST,
            lambda gap: gap.relative > -noise_of(of_runs[gap.run_id]["depth"]),
        ),
        _check(
            "eq. (10): gamma over training error, minus 1",
            gammas,
            "within 0.05",
            lambda gap: abs(gap.relative) <= 0.05,
        ),
    ]
    settings = {"table": str(path), "pairs": f"{len(pairs)} for eq. (8), {len(gammas)} for eq. (10)"}
    if left_out:
        settings["left out as not trained"] = cells(left_out)
    for reason, undecided in gaps.undecided_gammas(rows).items():
        settings[f"left out of eq. (10), as {reason}"] = cells(undecided)
    if older(table_rows):
        settings["the table's version of the numbers"] = older(table_rows)
    return Section("equations", "Equations (8) and (10)", READING, checks, curves, settings)


def _points(gaps: list[Gap], of_runs: Mapping[str, Row]) -> list[dict[str, Any]]:
    """Return the points of the figure: each gap with the depth and the objective of its VAE."""
    return [
        {
            "depth": of_runs[gap.run_id]["depth"],
            "objective": of_runs[gap.run_id]["objective"].split(" (")[0],
            "gap": gap.relative,
        }
        for gap in gaps
    ]


def _check(claim: str, gaps: list[Gap], expected: str, fits) -> Check:
    if not gaps:
        return not_applicable(claim, expected, "no such run in the table")
    values = [gap.relative for gap in gaps]
    summary = f"{min(values):+.4g} to {max(values):+.4g}"
    if len(values) > 1:
        mean = bootstrap(values)
        summary += f"; mean {mean.value:+.4g}, 95% {mean.low:+.4g} to {mean.high:+.4g} over {len(values)} pairs"
    misses = sum(not fits(gap) for gap in gaps)
    return true(claim, expected, summary + (f"; {misses} miss" if misses else ""), misses == 0)
