"""A study's page: what was run, what came out, and what that says of the paper."""

from __future__ import annotations

import pathlib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from tfcollapse.figures.style import caption, save
from tfcollapse.records.columns import COLUMNS
from tfcollapse.records.files import replacing
from tfcollapse.records.numerics import older_mark
from tfcollapse.records.statistics import PAPER_STEPS, mean_and_sd
from tfcollapse.records.table import complete, read_table
from tfcollapse.records.trained import not_trained
from tfcollapse.studies.study import Study, judge

Rows = Sequence[Mapping[str, Any]]


def figures(name: str, study: Study, rows: Rows) -> dict[str, Figure]:
    """The figures of a table by the stem of their files: one, where the study tells all runs apart."""
    return {_stem(name, apart): part_figure(study, apart, part) for apart, part in study.parts(rows).items()}


def write_study(name: str, study: Study, out: pathlib.Path) -> list[pathlib.Path]:
    """Draw the figures of `out`/`name`.csv and write its page beside it; returns every file. Raises RunError."""
    table = out / f"{name}.csv"
    rows = read_table(table)
    with complete(table, rows):
        drawn, text = figures(name, study, rows), page(name, study, rows)
    paths = [path for stem, figure in drawn.items() for path in save(figure, out / stem)]
    with replacing(out / f"{name}.md") as partial:
        partial.write_text(text)
    return [*paths, out / f"{name}.md", table]


def part_figure(study: Study, apart: str, rows: Rows) -> Figure:
    """The figure of one of `study.parts`; its caption begins with what sets it apart."""
    figure = study.draw(rows)
    if apart and isinstance(figure, Figure):
        figure.supxlabel(f"{apart}\n{figure.get_supxlabel()}", fontsize=8, color="#333333")
    return figure


def page(name: str, study: Study, rows: Rows) -> str:
    """The Markdown of results/<name>.md, from the table alone."""
    parts = [
        f"# {study.title}",
        older_mark(rows),
        *(_picture(name, study, apart, part) for apart, part in study.parts(rows).items()),
        "## How it was made",
        _provenance(rows),
        "## What it says of the paper's claims",
        markdown_table(
            ("the paper says", "this run", "evidence"),
            [(claim.text, f"**{claim.verdict}**", claim.evidence) for claim in judge(study, rows)],
        ),
        _limits(rows),
        "## Obtained",
        markdown_table(*_cells(rows)),
        f"Every number of every run: [{name}.csv]({name}.csv).",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _stem(name: str, apart: str) -> str:
    slug = re.sub(r"[^\w.-]+", "-", apart)
    return f"{name}-{slug}" if apart else name


def _picture(name: str, study: Study, apart: str, rows: Rows) -> str:
    title = f"{study.title}; {apart}" if apart else study.title
    said = caption(rows).replace("\n", "; ")
    return f"![{title}]({_stem(name, apart)}.png)\n\n{apart}{': ' if apart else ''}{said}."


def _provenance(rows: Rows) -> str:
    ran = [row for row in rows if row.get("commit")]
    seconds = sum(row["seconds"] or 0 for row in ran)
    facts = {
        "command": _distinct(f"`{row['command']}`" for row in rows if row.get("command")),
        "commit": _distinct(row["commit"] for row in ran),
        "hardware": _distinct(row["machine"] for row in ran),
        "versions": _distinct(row["versions"] for row in ran),
        "data": _distinct(
            f"{row['dataset']}: {row['train_images']} train, {row['test_images']} test"
            for row in ran
            if row["train_images"]
        ),
        "steps": _distinct(
            f"{row['steps']} of batch {row['batch']}, learning rate {row['learning_rate']} "
            f"halved every {row['halve_every']}"
            for row in ran
        ),
        "KL warm-up": _distinct(f"over {row['warmup_steps']} steps" for row in ran if row.get("warmup_steps")),
        "seeds": _distinct(row["seed"] for row in rows),
        "numerics version": _distinct(row["numerics"] for row in rows if row.get("numerics") is not None),
        "training time": f"{seconds / 3600:.2f} hours, summed over {len(ran)} runs",
    }
    return markdown_table(("what", "value"), [(name, value) for name, value in facts.items() if value])


def _limits(rows: Rows) -> str:
    notes = []
    if len({row["seed"] for row in rows}) == 1:
        notes.append("One seed: no verdict here has an error bar.")
    steps = max(row["steps"] for row in rows)
    if steps < PAPER_STEPS:
        notes.append(
            f"The paper trains {PAPER_STEPS:,} steps, this is {steps:,}: a depth that trains slowly and one that is "
            "stuck look the same here, so the verdicts are on training this long, and too short to judge the paper's "
            "own."
        )
    missing = [row for row in rows if row["status"] != "finished"]
    if missing:
        notes.append("Missing: " + "; ".join(f"{row['run_id']} ({_state(row)})" for row in missing))
    return " ".join(notes)


def _state(row: Mapping[str, Any]) -> str:
    return f"{row['status']}: {row['reason']}" if row.get("reason") else str(row["status"])


_NAMED = {
    "depth": "depth",
    "block_depth": "convolutions a block",
    "initializer": "initialiser",
    "gamma_mode": "gamma is",
    "dataset": "data",
}
"""The heading of a declared field, where it is not its column's name."""

_MEASURES = {
    "train_error": "train error",
    "test_error": "test error",
    "gamma": "gamma",
    "active_units": "active units",
    "kl": "KL (nats)",
    "sigma_above_0.9": "share of sigma_z > 0.9",
}


def _cells(rows: Rows) -> tuple[Sequence[str], list[Sequence[str]]]:
    """A line a cell: runs that differ in their seeds alone."""
    vae = any(row["objective"] != "AE" for row in rows)
    names = {row["run_id"]: str(row["dataset"]).split()[0] for row in rows}  # an unfinished run knows no version
    rows = [{**row, "dataset": names[row["run_id"]]} for row in rows]
    keys = _keys(rows)
    measures = [name for name in _MEASURES if vae or name in ("train_error", "test_error")]
    untrained, lines = {row["run_id"] for row in not_trained(rows)}, []
    for cell in dict.fromkeys(tuple(row.get(key) for key in keys) for row in rows):
        chosen = [row for row in rows if tuple(row.get(key) for key in keys) == cell]
        numbers = [_number([row[name] for row in chosen if row.get(name) is not None]) for name in measures]
        if untrained & {row["run_id"] for row in chosen}:
            numbers[0] += " (not trained)"
        ended = sum(row["status"] == "finished" for row in chosen)
        seeds = str(ended) if ended == len(chosen) else f"{ended} of {len(chosen)}"
        lines.append((*("-" if value is None else str(value) for value in cell), seeds, *numbers))
    named = [_NAMED.get(key, key.replace("_", " ")) for key in keys]
    return (*named, "seeds", *(_MEASURES[name] for name in measures)), sorted(lines, key=lambda line: line[0])


def _keys(rows: Rows) -> list[str]:
    """The columns that tell the cells of a table apart: objective, depth, and what else differs beside them."""
    first = ("objective", "depth", "block_depth", "initializer", "gamma_mode", "dataset")
    keys = ["objective", "depth"]
    for column in dict.fromkeys((*first, *COLUMNS.values())):
        if column != "seed" and len(_cells_by([*keys, column], rows)) > len(_cells_by(keys, rows)):
            keys.append(column)
    return keys


def _cells_by(keys: Sequence[str], rows: Rows) -> set[tuple[Any, ...]]:
    return {tuple(row.get(key) for key in keys) for row in rows}


def _number(values: Sequence[float]) -> str:
    mean, sd = mean_and_sd(values)
    if not values:
        return "-"
    return f"{mean:.4g}" + (f" +- {sd:.2g}" if len(values) > 1 else "")


def _distinct(values: Iterable[Any]) -> str:
    return "; ".join(dict.fromkeys(str(value) for value in values))


def markdown_table(header: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """A Markdown table; a bar within a cell becomes a slash."""
    rows = [header, ["---"] * len(header), *lines]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "/") for cell in row) + " |" for row in rows)
