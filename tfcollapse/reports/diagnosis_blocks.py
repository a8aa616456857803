"""Show the diagnosis of one VAE: its categories, what decided, what was measured, what would change it."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping
from typing import Any

from matplotlib import figure

from tfcollapse.errors import RunError
from tfcollapse.records.files import read_json
from tfcollapse.records.schema import Schema, check
from tfcollapse.reports.blocks import Block, Bullets, Figure, Paragraph, Strong, Table, prose

_HEADER = ("evidence", "value", "threshold", "distance", "reading")


_VERDICT: Schema = {
    **dict.fromkeys(("headline", "next_step"), str),
    **dict.fromkeys(("categories", "meaning", "notes"), [str]),
    "evidence": [{"name": str, "reading": str, "value": float, "threshold": float, "distance?": (float, None)}],
}


def saved_verdict(path: pathlib.Path) -> dict[str, Any] | None:
    """Return the verdict in the diagnosis.json of a run's directory; None where there is none. Raises RunError."""
    file = path / "diagnosis.json"
    if not file.exists():
        return None
    advice = f"run 'tfcollapse diagnose {path}' again"
    verdict = check(file, read_json(file), {"verdict": _VERDICT}, advice)["verdict"]
    if len(verdict["categories"]) != len(verdict["meaning"]):
        raise RunError(f"'{file}': expected a meaning for each category; {advice}")
    return verdict


def categories(verdict: Mapping[str, Any]) -> str:
    """Return the categories of a verdict with their meaning, as text. The verdict is as `Verdict.as_json` gives it."""
    named = zip(verdict["categories"], verdict["meaning"], strict=True)
    return "; ".join(f"{name}, {meaning}" for name, meaning in named)


def diagnosis_blocks(
    verdict: Mapping[str, Any], measured: Mapping[str, str], drawn: figure.Figure | None = None, name: str = ""
) -> list[Block]:
    """Return the diagnosis of one VAE: the verdict, what to do next, the evidence, the figure, the notes, the numbers.

    Args:
      verdict: as `Verdict.as_json` gives it.
      measured: what `diagnosis.measurements.facts` says; empty for no table of it.
      drawn: what `Diagnosis.plot` draws; None for no figure.
      name: of the model, which tells the figures of one page apart.
    """
    blocks: list[Block] = [
        Paragraph(Strong(verdict["headline"])),
        Paragraph(("Next: ", *prose(verdict["next_step"]))),
        Table(_HEADER, [_evidence(evidence) for evidence in verdict["evidence"]]),
    ]
    if drawn is not None:
        blocks.append(Figure(f"{name}: units by their KL, sigma_z, spectra and examples", drawn))
    if verdict["notes"]:
        blocks.append(Bullets([prose(note) for note in verdict["notes"]]))
    return [*blocks, *([Table(("measured", "value"), list(measured.items()))] if measured else [])]


def _evidence(evidence: Mapping[str, Any]) -> tuple[str, ...]:
    distance = evidence.get("distance")
    times = f"{distance:.3g} times" if isinstance(distance, (int, float)) else "-"
    return evidence["name"], f"{evidence['value']:.4g}", f"{evidence['threshold']:.4g}", times, evidence["reading"]
