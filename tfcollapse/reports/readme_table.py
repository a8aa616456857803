"""Write the state of the replication into a README: one table of the paper's claims between two marks."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Mapping, Sequence

from tfcollapse.claims.claim import MEASURED, NOT_RUN, NOT_TRAINED, Claim
from tfcollapse.errors import RunError
from tfcollapse.records.columns import declared as declared_columns
from tfcollapse.records.files import open_regular, replacing
from tfcollapse.records.numerics import older
from tfcollapse.records.statistics import Rows
from tfcollapse.records.table import complete, read_table
from tfcollapse.reports.blocks import Content, Link, Strong, Table
from tfcollapse.reports.claims_table import steps
from tfcollapse.reports.markdown import markdown
from tfcollapse.reports.overview_page import StudyTable, at_the_papers_length, tables_below
from tfcollapse.studies.study import Study, declarations, judge, load_study

BEGIN = "<!-- state of the replication: written by tfcollapse overview -->"
END = "<!-- end of the state of the replication -->"
"""The marks, each a line of its own. What stands between them is replaced, and nothing else."""

_HEADER = ("figure", "claim", "obtained", "steps, seeds", "verdict")
Line = tuple[Content, ...]
Judged = tuple[Claim, pathlib.Path, Rows]
"""A claim, the table on which it was judged, and that table's rows."""


def check(readme: pathlib.Path) -> tuple[str, str, str]:
    """Return a README's text before the marks, the end of its lines, and its text after the marks.

    Raises:
      RunError: it is no regular file, or has not each mark once, as a line of its own.
    """
    with open_regular(readme) as file:
        lines = file.read().decode("utf-8", errors="surrogateescape").splitlines(keepends=True)
    marks = [(line.rstrip("\r\n"), place) for place, line in enumerate(lines) if line.rstrip("\r\n") in (BEGIN, END)]
    if [mark for mark, _ in marks] != [BEGIN, END]:
        raise RunError(
            f"'{readme}': expected one line '{BEGIN}' and, after it, one line '{END}', "
            f"received {len(marks)} such lines{' in another order' if len(marks) == 2 else ''}: have each once"
        )
    (_, begin), (_, end) = marks
    return "".join(lines[:begin]), lines[begin].removeprefix(BEGIN), "".join(lines[end + 1 :])


def write(readme: pathlib.Path, out: pathlib.Path, studies: Sequence[str] = ()) -> pathlib.Path:
    """Replace what stands between the marks of `readme` by the table of the claims, and return the path.

    Of several tables that hold a claim the one with the most steps counts, and of these the one with the most finished
    runs. Our own claims are left out: the page of the overview has them.

    Args:
      readme: the file.
      out: the directory above the studies' tables.
      studies: files that declare studies of the user's own, beside the installed ones. They are executed.

    Raises:
      ConfigError: a file of `studies` that declares none.
      RunError: the file has no marks, or a table cannot be read.
    """
    before, line_end, after = check(readme)
    table = markdown([Table(_HEADER, _lines(out, readme.parent, declarations(studies)))])
    between = f"{BEGIN}\n{table}{END}\n".replace("\n", line_end)
    with replacing(readme) as partial:
        partial.write_text(f"{before}{between}{after}", encoding="utf-8", errors="surrogateescape")
    return readme


def _lines(out: pathlib.Path, beside: pathlib.Path, declared: Mapping[str, str]) -> list[Line]:
    """Return the lines of the paper's claims, study after study."""
    tables = [(path, read_table(path)) for path in tables_below(out, declared)]
    lines: list[Line] = []
    for name in sorted(declared):
        study = load_study(declared[name])
        found = _judged(study, [table for table in tables if table[0].stem == name])
        lines += _of_study(name, [judged for judged in found.values() if not judged[0].ours], beside)
        if not found and "paper" in study.presets:
            lines += _untouched(name, study, tables)
    return lines


def _of_study(name: str, judged: Sequence[Judged], beside: pathlib.Path) -> list[Line]:
    """Return one line for each claim with a verdict, and one for those of a table that wait for the same reason.

    This one has the first of them, and says how many more there are.
    """
    lines: list[Line] = []
    waiting: dict[tuple[pathlib.Path, str], list[Claim]] = {}
    for claim, path, _ in judged:
        if claim.verdict in (NOT_RUN, NOT_TRAINED):
            waiting.setdefault((path, claim.verdict), []).append(claim)
    for claim, path, rows in judged:
        alike = waiting.get((path, claim.verdict), [claim])
        if claim is not alike[0]:
            continue
        page = Link(name, os.path.relpath(path.with_suffix(".md"), beside))
        seeds = len({row["seed"] for row in rows if row["status"] == "finished"})
        text = claim.text + _more(len(alike) - 1)
        lines.append((page, text, claim.short, _counts(steps(rows), seeds), Strong(claim.verdict)))
    return lines


def _judged(study: Study, tables: Sequence[StudyTable]) -> dict[str, Judged]:
    """Return each claim by its text, judged on the table that counts. What is only measured is no claim."""
    found: dict[str, Judged] = {}
    for path, rows in sorted((table for table in tables if not older(table[1])), key=_length):
        with complete(path, rows):
            claims = judge(study, rows)
        found |= {claim.text: (claim, path, rows) for claim in claims if claim.verdict != MEASURED}
    return found


def _length(table: StudyTable) -> tuple[int, int]:
    """Return what decides between tables: the most steps of a run, then the number of finished runs."""
    return max(row["steps"] for row in table[1]), sum(row["status"] == "finished" for row in table[1])


def _untouched(name: str, study: Study, tables: Sequence[StudyTable]) -> list[Line]:
    """Return the one line of a study that has no table: its first claim, and how many more; none without a claim."""
    runs, there = at_the_papers_length(study, tables)
    rows = [{"run_id": run.run_id, "status": "unfinished", **declared_columns(run)} for run in runs]
    texts = [claim.text for claim in judge(study, rows) if claim.verdict != MEASURED]
    if not texts:
        return []
    seeds = len({run.seed for run in there})
    obtained = f"{len(there)} of {len(runs)} runs are there"
    return [(name, texts[0] + _more(len(texts) - 1), obtained, _counts(steps(rows), seeds), Strong(NOT_RUN))]


def _more(claims: int) -> str:
    return f"; and {claims} more claim{'s' * (claims > 1)}" if claims else ""


def _counts(of_steps: str, seeds: int) -> str:
    return f"{of_steps} steps, {seeds} seed{'s' * (seeds != 1)}"
