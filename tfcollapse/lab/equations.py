"""Check equations (8) and (10) over the table of any sweep."""

from __future__ import annotations

import pathlib
import statistics
from collections.abc import Mapping
from typing import Any

from tfcollapse.errors import ConfigError
from tfcollapse.lab.section import Section
from tfcollapse.records import gaps
from tfcollapse.records.gaps import EQUAL, Gap
from tfcollapse.records.naming import cells
from tfcollapse.records.numerics import older
from tfcollapse.records.seed_noise import SPREAD, noise_of
from tfcollapse.records.statistics import Row, Rows
from tfcollapse.records.table import read_table
from tfcollapse.records.trained import marked, not_trained
from tfcollapse.theory.bootstrap import FEWEST, bootstrap
from tfcollapse.theory.checks import Check, not_applicable, true

READING = (
    "The paper never found a VAE that reconstructs better than its AE twin, eq. (8), and a learned gamma ends at "
    "the VAE's own error, eq. (10). Intervals are bootstrapped over the pairs of the table, not over seeds where it "
    "has but one. Two single runs count as different from "
    f"{noise_of(SPREAD[2]):.1%} on at depth 2 and from {noise_of(SPREAD[10]):.1%} on at depth 10 (results/reach)."
)

_NO_RUN = "no such run in the table"


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
    checks = [_equation_8(rows), _equation_10(gammas)]
    settings = {"table": str(path), "pairs": f"{len(pairs)} for eq. (8), {len(gammas)} for eq. (10)"}
    if left_out:
        settings["left out as not trained"] = cells(left_out, rows)
    for reason, undecided in gaps.undecided_gammas(rows).items():
        settings[f"left out of eq. (10), as {reason}"] = cells(undecided, rows)
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


def _equation_8(rows: Rows) -> Check:
    """Compare the errors of VAEs with their twins', over the seeds of each cell."""
    claim, expected = "eq. (8): VAE error over AE error, minus 1", ">= 0 in every cell, beyond chance"
    found = gaps.compared(gaps.twin_cells(rows))
    if not found or not gaps.pairs(rows):
        return not_applicable(claim, expected, _NO_RUN)
    others = [f"{cell}: {one}" for cell, one in found.items() if one.sign < 1]
    signs = {one.sign for one in found.values()}
    holds = False if -1 in signs else None if 0 in signs else True
    return true(claim, expected, "; ".join([_summary(gaps.error_gaps(rows)), *others]), holds)


def _equation_10(gammas: list[Gap]) -> Check:
    claim, expected = "eq. (10): gamma over training error, minus 1", f"within {EQUAL}"
    if not gammas:
        return not_applicable(claim, expected, _NO_RUN)
    misses = sum(abs(gap.relative) >= EQUAL for gap in gammas)
    return true(claim, expected, _summary(gammas) + (f"; {misses} miss" if misses else ""), misses == 0)


def _summary(gaps: list[Gap]) -> str:
    """Return the range of some gaps, and their mean, with its bootstrapped interval where there are enough, as text."""
    values = [gap.relative for gap in gaps]
    summary = f"{min(values):+.4g} to {max(values):+.4g}"
    summary += f"; mean {statistics.fmean(values):+.4g}" if len(values) > 1 else ""
    if len(values) >= FEWEST:
        mean = bootstrap(values)
        summary += f", 95% {mean.low:+.4g} to {mean.high:+.4g}"
    summary += f" over {len(values)} pairs" if len(values) > 1 else ""
    return summary
