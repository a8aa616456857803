"""The page of a study: what was run, what was obtained, and what that says of the paper."""

from __future__ import annotations

import pathlib
import re
import shlex
from typing import Any

from matplotlib.figure import Figure as Drawing

from tfcollapse.config.objective import schedule_label
from tfcollapse.figures.style import caption, check_pictures, save
from tfcollapse.records.narrowing import narrowing
from tfcollapse.records.statistics import PAPER_STEPS, Row, Rows
from tfcollapse.records.table import complete, read_table
from tfcollapse.reports.blocks import Block, Code, Content, Figure, Heading, Link, Paragraph, Table, joined
from tfcollapse.reports.cells_table import cells_table
from tfcollapse.reports.claims_table import claims_table
from tfcollapse.reports.markdown import check_page, write_markdown
from tfcollapse.reports.provenance_table import distinct, older_notice, provenance_table
from tfcollapse.studies.own_code import StudyError
from tfcollapse.studies.study import Study, judge


def write_study(name: str, study: Study, out: pathlib.Path) -> list[pathlib.Path]:
    """Draw the figures of `out`/`name`.csv, write its page beside it, and return every path. Raises RunError."""
    table = out / f"{name}.csv"
    rows = read_table(table)
    try:
        with complete(table, rows):
            drawn, blocks = figures(name, study, rows), page(name, study, rows)
    except StudyError as error:
        draws = shlex.join(["tfcollapse", "figure", "FILE.py", "--out", str(out)])
        raise StudyError(f"{error}; the table '{table}' is written: mend the study file, then '{draws}'") from error
    paths = [path for stem, figure in drawn.items() for path in save(figure, out / stem)]
    return [*paths, write_markdown(out / f"{name}.md", blocks), table]


def check_study(name: str, study: Study, out: pathlib.Path) -> None:
    """Check, before anything is trained, that `write_study` may write the page and a single figure. Raises RunError."""
    check_page(out / f"{name}.md", study.title)
    check_pictures(out / name)


def figures(name: str, study: Study, rows: Rows) -> dict[str, Drawing]:
    """Return the figures of a table by the stem of their files, one for each of `Study.parts`."""
    return {_stem(name, apart): part_figure(study, apart, part) for apart, part in study.parts(rows).items()}


def part_figure(study: Study, apart: str, rows: Rows) -> Drawing:
    """Return the figure of one of `Study.parts`. Its caption begins with what sets the part apart."""
    figure = study.draw([{column: _no_formula(value) for column, value in row.items()} for row in rows])
    if apart and isinstance(figure, Drawing):
        figure.supxlabel(f"{_no_formula(apart)}\n{figure.get_supxlabel()}", fontsize=8, color="#333333")
    return figure


def _no_formula(value: Any) -> Any:
    """Return a cell that Matplotlib shows as it is: it would read text between two dollar signs as a formula."""
    return value.replace("$", r"\$") if isinstance(value, str) else value


def part_title(study: Study, apart: str) -> str:
    """Return the title of one of `Study.parts`."""
    return f"{study.title}; {apart}" if apart else study.title


def page(name: str, study: Study, rows: Rows) -> list[Block]:
    """Return the page of a study from its table alone."""
    table = f"{name}.csv"
    return [
        Heading(1, study.title),
        *older_notice(rows),
        *(block for apart, part in study.parts(rows).items() for block in _part(name, study, apart, part)),
        Heading(2, "How it was made"),
        _provenance(rows),
        Heading(2, "What it says of the paper's claims"),
        claims_table(judge(study, rows), rows),
        *limits(rows),
        Heading(2, "Obtained"),
        cells_table(rows),
        Paragraph(("Every number of every run is in ", Link(table, table), ".")),
    ]


def what_was_run(rows: Rows) -> str:
    """Return the caption of a table's figures as one sentence."""
    return caption(rows).replace("\n", "; ") + "."


def _stem(name: str, apart: str) -> str:
    slug = re.sub(r"[^\w.-]+", "-", apart)
    return f"{name}-{slug}" if apart else name


def _part(name: str, study: Study, apart: str, rows: Rows) -> list[Block]:
    about = f"{apart}: " if apart else ""
    return [
        Figure(part_title(study, apart), f"{_stem(name, apart)}.png"),
        Paragraph(about + what_was_run(rows)),
    ]


def _provenance(rows: Rows) -> Table:
    ran = [row for row in rows if row.get("commit")]
    seconds = sum(row["seconds"] or 0 for row in ran)
    data = (
        f"{row['dataset']}: {row['train_images']} train, {row['test_images']} test"
        for row in ran
        if row["train_images"]
    )
    steps = (
        f"{row['steps']} of batch {row['batch']}, "
        f"learning rate {row['learning_rate']} halved every {row['halve_every']}"
        for row in ran
    )
    return provenance_table(
        rows,
        {
            "data": distinct(data),
            "steps": distinct(steps),
            "narrowed": narrowing(rows),
            "schedules": distinct(
                schedule_label(row["warmup"], row["warmup_steps"]) for row in ran if row.get("warmup_steps")
            ),
            "seeds": distinct(row["seed"] for row in rows),
            "training time": f"{seconds / 3600:.2f} hours, summed over {len(ran)} runs",
        },
    )


def limits(rows: Rows) -> list[Block]:
    """Return what keeps the verdicts from judging the paper, as no block or one."""
    notes: list[Content] = []
    if len({row["seed"] for row in rows}) == 1:
        notes.append("There is one seed, so no verdict here has an error bar over seeds.")
    lengths = [f"{steps:,}" for steps in sorted({row["steps"] for row in rows})]
    if max(row["steps"] for row in rows) < PAPER_STEPS:
        notes.append(
            f"The paper trains for {PAPER_STEPS:,} steps, and these runs for {' or '.join(lengths)}. A network "
            "that trains slowly and one that is stuck look the same after so few steps. The verdicts are on training "
            "of this length. They do not judge the paper's own."
        )
    missing = [row for row in rows if row["status"] != "finished"]
    if missing:
        named: list[Content] = [(Code(str(row["run_id"])), f" ({_state(row)})") for row in missing]
        notes.append(joined(["These runs have no result: ", joined(named, "; "), "."], ""))
    return [Paragraph(joined(notes, " "))] if notes else []


def _state(row: Row) -> str:
    return f"{row['status']}: {row['reason']}" if row.get("reason") else str(row["status"])
