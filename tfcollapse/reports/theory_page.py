"""What the theory lab found, on disk: one JSON a section, its figure, and one page over all of them."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from tfcollapse.errors import RunError
from tfcollapse.figures.style import save
from tfcollapse.figures.theory import FIGURES
from tfcollapse.records.files import disk_errors, read_json, replacing
from tfcollapse.records.numerics import older_mark
from tfcollapse.reports.study_page import markdown_table

Findings = Mapping[str, Any]

_INTRODUCTION = (
    "Each proposition of the paper, checked: what it predicts beside what was measured. The closed forms are "
    "float64; where a trained or deep network is meant, it is a Keras model of this package."
)


def write(out: pathlib.Path, findings: Findings) -> None:
    """Write a section's JSON, in place of the one before. Raises RunError."""
    with disk_errors(out):
        out.mkdir(parents=True, exist_ok=True)
    with replacing(out / f"{findings['name']}.json") as partial:
        partial.write_text(json.dumps(findings, indent=1) + "\n")


def draw(out: pathlib.Path) -> list[pathlib.Path]:
    """Redraw the figures and the page from the JSON files in `out`, without TensorFlow. Raises RunError."""
    found, paths = read(out), []
    for each in found:
        try:
            paths += save(FIGURES[each["name"]](each), out / each["name"])
        except KeyError as error:
            raise RunError(f"'{out / each['name']}.json': expected {error}; run 'tfcollapse theory' again") from None
    with replacing(out / "theory.md") as partial:
        partial.write_text(page(found))
    return [*paths, out / "theory.md"]


def read(out: pathlib.Path) -> list[Findings]:
    """The sections whose JSON lies in `out`, in the paper's order; none where there is none."""
    return [read_json(out / f"{name}.json") for name in FIGURES if (out / f"{name}.json").is_file()]


def page(findings: Sequence[Findings]) -> str:
    """The Markdown of theory.md."""
    return "\n\n".join(["# The theory lab", _INTRODUCTION, *map(_part, findings)]) + "\n"


def lines(findings: Findings) -> list[str]:
    """A section's table as text for a terminal."""
    rows = [[_cell(check[name]) for name in _COLUMNS] for check in findings["checks"]]
    text = [f"{findings['title']}"]
    for claim, predicted, measured, tolerance, verdict in rows:
        text += [f"  {verdict:14} {claim}", f"  {'':14}   predicted {predicted} | measured {measured} | {tolerance}"]
    return text


_COLUMNS = ("claim", "predicted", "measured", "tolerance", "verdict")


def _part(each: Findings) -> str:
    made = {name: each["made"][name] for name in ("command", "commit", "machine", "versions", "seconds")}
    facts = [f"{name}: {value}" for name, value in (each["settings"] | made).items()]
    rows = [[*(_cell(check[name]) for name in _COLUMNS[:-1]), f"**{check['verdict']}**"] for check in each["checks"]]
    parts = [
        f"## {each['title']}",
        *filter(None, [older_mark([each["made"]])]),
        each["reading"],
        f"![{each['title']}]({each['name']}.png)",
        markdown_table(_COLUMNS, rows),
        "How it was made: " + "; ".join(facts) + f". Every number: [{each['name']}.json]({each['name']}.json).",
    ]
    return "\n\n".join(parts)


def _cell(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
