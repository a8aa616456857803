"""The page of the theory lab: one JSON file a section, its figure, and one page over all of them."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from tfcollapse.errors import RunError
from tfcollapse.figures.style import save
from tfcollapse.figures.theory import FIGURES
from tfcollapse.figures.theory_curves import CURVES
from tfcollapse.records.files import disk_errors, read_json, replacing
from tfcollapse.records.schema import Schema, check
from tfcollapse.reports.blocks import Block, Content, Figure, Heading, Link, Paragraph, Strong, Table
from tfcollapse.reports.markdown import write_markdown
from tfcollapse.reports.provenance_table import older_notice, provenance_table

Findings = Mapping[str, Any]
"""What one section found, as its JSON file holds it."""

_COLUMNS = ("claim", "predicted", "measured", "tolerance", "verdict")
_CELL: Schema = (str, float, bool, None)
_FINDINGS: Schema = {
    "title": str,
    "reading": str,
    "checks": [dict.fromkeys(("claim", "tolerance", "verdict"), str) | dict.fromkeys(("predicted", "measured"), _CELL)],
    "settings": {...: _CELL},
    "made": {
        "command": str,
        "commit": str,
        "machine": str,
        "seconds": float,
        "numerics?": (int, None),
        "versions": Any,
    },
}
"""What this page and the overview read of a section's JSON, beside the curves of its figure."""
_INTRODUCTION = (
    "Each proposition of the paper is checked here: what it predicts stands beside what was measured. The closed forms "
    "are computed in float64. A trained or deep network is a Keras model of this package."
)


def write_findings(out: pathlib.Path, findings: Findings) -> None:
    """Write a section's JSON, in place of the one before. Raises RunError."""
    with disk_errors(out):
        out.mkdir(parents=True, exist_ok=True)
    with replacing(out / f"{findings['name']}.json", f'"name": "{findings["name"]}"'.encode()) as partial:
        partial.write_text(json.dumps(findings, indent=1) + "\n")


def read_findings(out: pathlib.Path) -> list[Findings]:
    """Return the sections whose JSON is in `out`, in the paper's order; none where there is none. Raises RunError."""
    return [_read(out / f"{name}.json") for name in FIGURES if (out / f"{name}.json").is_file()]


def _read(path: pathlib.Path) -> Findings:
    schema = _FINDINGS | {"name": str, "curves": CURVES[path.stem]}
    findings = check(path, read_json(path), schema, "run 'tfcollapse theory' again")
    if findings["name"] != path.stem:
        raise RunError(f"'{path}': expected the findings of {path.stem}, received those of '{findings['name']}'")
    return findings


def write(out: pathlib.Path) -> list[pathlib.Path]:
    """Draw the figures and write the page from the JSON files in `out`, and return every path. Raises RunError."""
    sections, paths = read_findings(out), []
    for findings in sections:
        paths += save(FIGURES[findings["name"]](findings), out / findings["name"])
    return [*paths, write_markdown(out / "theory.md", page(sections))]


def page(sections: Sequence[Findings]) -> list[Block]:
    """Return the page of several sections."""
    blocks = [block for findings in sections for block in _section(findings)]
    return [Heading(1, "The theory lab"), Paragraph(_INTRODUCTION), *blocks]


def terminal_lines(findings: Findings) -> list[str]:
    """Return a section's table as lines for a terminal."""
    text = [f"{findings['title']}"]
    for claim, predicted, measured, tolerance, verdict in map(_cells, findings["checks"]):
        text += [f"  {verdict:14} {claim}", f"  {'':14}   predicted {predicted} | measured {measured} | {tolerance}"]
    return text


def _section(findings: Findings) -> list[Block]:
    name, title, made = findings["name"], findings["title"], findings["made"]
    rows: list[list[Content]] = [[*cells[:-1], Strong(cells[-1])] for cells in map(_cells, findings["checks"])]
    settings = {key: str(value) for key, value in findings["settings"].items()}
    return [
        Heading(2, title),
        *older_notice([made]),
        Paragraph(findings["reading"]),
        Figure(title, f"{name}.png"),
        Table(_COLUMNS, rows),
        provenance_table([made], settings | {"time": f"{made['seconds']} s"}),
        Paragraph(("Every number is in ", Link(f"{name}.json", f"{name}.json"), ".")),
    ]


def _cells(check: Mapping[str, Any]) -> list[str]:
    values = [check[name] for name in _COLUMNS]
    return [f"{value:.6g}" if isinstance(value, float) else str(value) for value in values]
