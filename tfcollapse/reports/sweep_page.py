"""The HTML page of a sweep: what a directory holds. It needs no network and no TensorFlow."""

from __future__ import annotations

import pathlib
import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tfcollapse.errors import RunError
from tfcollapse.records.cell_columns import cell_columns
from tfcollapse.records.labels import label
from tfcollapse.records.run_directory import RunDirectory, read_config, runs_below
from tfcollapse.records.statistics import Row
from tfcollapse.records.table import complete, read_table, tidy_row
from tfcollapse.records.trained import not_trained
from tfcollapse.reports.blocks import (
    Block,
    Code,
    Content,
    Details,
    Figure,
    Heading,
    Link,
    Listing,
    Number,
    Paragraph,
    Table,
)
from tfcollapse.reports.claims_table import claims_table
from tfcollapse.reports.diagnosis_blocks import categories, saved_verdict
from tfcollapse.reports.html_page import write_html
from tfcollapse.reports.provenance_table import older_notice
from tfcollapse.reports.run_details import run_details
from tfcollapse.reports.study_page import limits, part_figure, part_title, what_was_run
from tfcollapse.studies import own_tables
from tfcollapse.studies.study import Study, declarations, judge, load_study

_SAID = ("architecture", "dataset", "seed", "steps")
"""Columns that are left out where all runs have the same value, which stands above the figure."""
_DECLARED = ("objective", "architecture", "depth", "dataset", "seed", "steps")
_OBTAINED = (
    *("train_error", "test_error", "trained", "gamma", "active_units", "kl"),
    *("mutual_information", "effective_rank", "test_negative_elbo"),
)
"""The columns of the table of all runs. Between them stands what else tells cells apart."""


def report(
    directory: pathlib.Path,
    output: pathlib.Path,
    studies: Sequence[str] = (),
    warn: Callable[[str], None] = lambda text: None,
) -> pathlib.Path:
    """Write the page of a sweep's directory, and return its path.

    Args:
      directory: holds the table of a study and `runs`, or run directories alone. Verdicts are those that
        `tfcollapse diagnose RUN_DIR` left there.
      output: the page, one file.
      studies: files that declare studies of the user's own, beside the installed ones. They are executed.
      warn: called with one line for each run whose record is damaged. The page leaves it out, and says so.

    Raises:
      RunError: nothing to report on, a damaged table, no record that is whole, a disk that cannot be written.
    """
    declared = declarations(studies)
    tables = [(name, read_table(directory / f"{name}.csv")) for name in sorted(declared) if _table(directory, name)]
    runs = runs_below(directory)
    if not tables and not runs:
        raise RunError(
            f"'{directory}': expected the table of a study or run directories, found neither: "
            + own_tables.advice(own_tables.unnamed(directory, declared))
        )
    whole, damaged = _read(runs)
    if not tables and not whole:
        raise RunError(damaged[0])
    for text in damaged:
        warn(text)
    if not tables:
        tables = [("", [row for row, _ in whole.values()])]
    runs = {name: runs[name] for name in whole}
    title = f"tfcollapse: {directory.resolve().name}"
    blocks: list[Block] = [Heading(1, title)]
    for name, rows in tables:
        with complete(directory / f"{name}.csv", rows):
            blocks += _study(load_study(declared[name]) if name else None, rows, runs)
    if damaged:
        blocks += [Paragraph("Left out, since their records are damaged:"), Listing("\n".join(damaged))]
    if runs:
        blocks += [Heading(2, "Runs", "runs"), *_not_diagnosed(directory, whole, runs)]
        blocks += [details for _, details in whole.values()]
    return write_html(output, title, blocks, Link("to the runs", "#runs") if runs else None)


def _read(runs: Mapping[str, pathlib.Path]) -> tuple[dict[str, tuple[dict[str, Any], Details]], list[str]]:
    """Return the row and the section of each run, by its name; and for each damaged run what is wrong with it."""
    whole: dict[str, tuple[dict[str, Any], Details]] = {}
    damaged = []
    for name, path in runs.items():
        try:
            whole[name] = tidy_row(RunDirectory(path, read_config(path))), run_details(path)
        except RunError as error:
            damaged.append(str(error))
    return whole, damaged


def _not_diagnosed(
    directory: pathlib.Path, whole: Mapping[str, tuple[dict[str, Any], Details]], runs: Mapping[str, pathlib.Path]
) -> list[Block]:
    """Say how many finished VAEs have no diagnosis yet, and how to make it; nothing where each one has."""
    vaes = [runs[name] for name, (row, _) in whole.items() if row["objective"] != "AE" and row["status"] == "finished"]
    left = [path for path in vaes if saved_verdict(path) is None]
    if not left:
        return []
    counted = f"{len(left)} of {len(vaes)} finished VAEs have no diagnosis yet"
    if not any((path / "model.keras").exists() for path in left):
        return [Paragraph(f"{counted}: their models, which a diagnosis needs, are not here.")]
    again = shlex.join(["tfcollapse", "diagnose", str(directory)])
    return [Paragraph(f"{counted}. This command diagnoses them; then make this page again:"), Listing(again)]


def _table(directory: pathlib.Path, name: str) -> bool:
    return (directory / f"{name}.csv").is_file()


def _study(study: Study | None, rows: Sequence[Row], runs: Mapping[str, pathlib.Path]) -> list[Block]:
    blocks: list[Block] = [
        Heading(2, study.title if study else "Overview"),
        *older_notice(rows),
        Paragraph(what_was_run(rows)),
    ]
    if study:
        for apart, part in study.parts(rows).items():
            blocks.append(Figure(part_title(study, apart), part_figure(study, apart, part)))
        blocks += [Heading(3, "The paper's claims"), claims_table(judge(study, rows), rows), *limits(rows)]
    blocks += [Heading(3, "All runs"), _cells(rows, runs)]
    commands = dict.fromkeys(str(row["command"]) for row in rows if row.get("command"))
    return [*blocks, *([Heading(3, "Command")] if commands else []), *map(Listing, commands)]


def _cells(rows: Sequence[Row], runs: Mapping[str, pathlib.Path]) -> Table:
    untrained = {row["run_id"] for row in not_trained(rows)}
    rows = [{**row, "trained": "no" if row["run_id"] in untrained else None} for row in rows]
    columns = [name for name in (*_DECLARED, *cell_columns(rows), *_OBTAINED) if _tells(name, rows)]
    columns = list(dict.fromkeys(columns))
    lines: list[list[Content]] = []
    for row in rows:
        name = str(row["run_id"])
        verdict = saved_verdict(runs[name]) if name in runs else None
        lines.append(
            [
                *(_cell(row.get(column)) for column in columns),
                _cell(row["status"]),
                _cell(categories(verdict) if verdict else None),
                Link("details", f"#{name}") if name in runs else Code(name),
            ]
        )
    return Table([*map(label, columns), "status", "verdict", "run"], lines, sortable=True)


def _tells(column: str, rows: Sequence[Row]) -> bool:
    """Return whether a column tells something that the words above the figure do not say of all runs."""
    values = {row.get(column) for row in rows}
    return len(values) > 1 or (column not in _SAID and values != {None})


def _cell(value: Any) -> Content:
    if isinstance(value, float):
        return Number(value, f"{value:.4g}")
    if isinstance(value, int):
        return Number(value, f"{value:,}")
    return "-" if value is None else str(value)
