"""Show the diagnosis of one VAE: its categories, what decided, what was measured, what would change it."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping
from typing import Any, TypeGuard

from matplotlib import figure

from tfcollapse.errors import RunError
from tfcollapse.records.files import read_json
from tfcollapse.reports.blocks import Block, Bullets, Figure, Paragraph, Strong, Table, prose

_HEADER = ("evidence", "value", "threshold", "distance", "reading")


def saved_verdict(path: pathlib.Path) -> dict[str, Any] | None:
    """Return the verdict in the diagnosis.json of a run's directory; None where there is none. Raises RunError."""
    file = path / "diagnosis.json"
    if not file.exists():
        return None
    verdict = read_json(file).get("verdict")
    if not _is_verdict(verdict):
        raise RunError(f"'{file}': expected a verdict; run 'tfcollapse diagnose {path}' again")
    return verdict


def _is_verdict(value: Any) -> bool:
    """Return whether a value has all that this file shows of a verdict."""
    if not isinstance(value, dict) or not _are([value.get("headline"), value.get("next_step")], str):
        return False
    names, meaning, notes, evidence = (value.get(key) for key in ("categories", "meaning", "notes", "evidence"))
    return (
        _are(names, str)
        and _are(meaning, str)
        and _are(notes, str)
        and _are(evidence, dict)
        and len(names) == len(meaning)
        and all(map(_is_evidence, evidence))
    )


def _is_evidence(value: dict[str, Any]) -> bool:
    texts, numbers = ([value.get(key) for key in keys] for keys in (("name", "reading"), ("value", "threshold")))
    return _are(texts, str) and _are(numbers, (int, float))


def _are(values: Any, kind: type | tuple[type, ...]) -> TypeGuard[list[Any]]:
    return isinstance(values, list) and all(isinstance(value, kind) for value in values)


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
