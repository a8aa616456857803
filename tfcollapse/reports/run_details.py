"""Show one run on the page of a sweep: its diagnosis, its training curves, and its records on demand."""

from __future__ import annotations

import json
import pathlib
import shlex
from typing import Any

from tfcollapse.config.declaration import Run
from tfcollapse.records.files import read_json
from tfcollapse.records.run_directory import read_config
from tfcollapse.reports.blame_blocks import blame_blocks
from tfcollapse.reports.blocks import Block, Code, Details, Figure, Heading, Listing, Paragraph
from tfcollapse.reports.curves import curves
from tfcollapse.reports.diagnosis_blocks import diagnosis_blocks, saved_verdict

_LONGEST = 8
"""The longest list that a page shows whole."""


def run_details(path: pathlib.Path) -> Details:
    """Return the section of a run's directory.

    Raises:
      RunError: a record is damaged.
    """
    run = read_config(path)
    blocks = [*_diagnosis(path, run), *blame_blocks(path, 4)]
    drawn = curves(path / "metrics.csv")
    if drawn is not None:
        blocks.append(Figure(f"Training curves of {path.name}", drawn))
    again = shlex.join(["tfcollapse", "train", "--config", str(path / "config.json"), "--out", str(path.parent)])
    blocks += [Heading(4, "Command"), Listing(again), _record(path, "Configuration", run.to_json())]
    for title, file in (("Result", "result.json"), ("Environment", "environment.json")):
        if (path / file).exists():
            blocks.append(_record(path, title, json.dumps(_shortened(read_json(path / file)), indent=1)))
    return Details(path.name, Code(path.name), blocks)


def _record(path: pathlib.Path, title: str, text: str) -> Details:
    return Details(f"{path.name}-{title.lower()}", title, [Listing(text)])


def _shortened(values: Any) -> Any:
    """Return JSON values with the ends alone of every long list. The files hold the whole lists."""
    if isinstance(values, dict):
        return {name: _shortened(value) for name, value in values.items()}
    if isinstance(values, list) and len(values) > _LONGEST:
        return [*values[:3], f"... {len(values)} in all ...", *values[-3:]]
    return values


def _diagnosis(path: pathlib.Path, run: Run) -> list[Block]:
    if run.objective.kind == "ae":
        return [Paragraph("This is an autoencoder: it has no posterior to diagnose.")]
    verdict = saved_verdict(path)
    if verdict is None:
        command = Code(shlex.join(["tfcollapse", "diagnose", str(path)]))
        return [Paragraph(("There is no diagnosis yet. This command makes one: ", command))]
    return diagnosis_blocks(verdict, {})
