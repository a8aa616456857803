"""Write a diagnosis as lines for a terminal of 100 columns."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping

from tfcollapse.diagnosis.evidence import Evidence
from tfcollapse.diagnosis.measurements import Measurements, facts
from tfcollapse.diagnosis.verdict import Verdict

WIDTH = 100
_VALUE = 10
_FAR = 1_000.0


def lines(verdict: Verdict, measurements: Measurements) -> list[str]:
    """Return the verdict, what to do next, the evidence, the notes and the measurements, in this order."""
    text = [*_wrapped("", verdict.headline), *_wrapped("next: ", verdict.next_step), "", "evidence"]
    for evidence in verdict.evidence:
        text += _wrapped(f"  {evidence.value:<{_VALUE}.4g} ", f"{evidence.name}: {place(evidence)}")
        text += _wrapped(" " * (_VALUE + 3), f"-> {evidence.reading}")
    if verdict.notes:
        text += ["", "notes"]
    for note in verdict.notes:
        text += _wrapped("  - ", note)
    return [*text, "", "measured", *_columns(facts(measurements))]


def place(evidence: Evidence) -> str:
    """Say on which side of its threshold a number lies, and how many times it would have to change to reach it."""
    side = "below" if evidence.value < evidence.threshold else "above"
    threshold = f"the threshold, {evidence.threshold:.4g}"
    if evidence.value == evidence.threshold:
        return f"at {threshold}"
    if not math.isfinite(evidence.distance) or evidence.value * evidence.threshold < 0:
        return f"{side} {threshold}"
    times = f"more than {_FAR:,.0f}" if evidence.distance > _FAR else f"{evidence.distance:.3g}"
    return f"{times} times {threshold}" if side == "above" else f"{times} times below {threshold}"


def _columns(values: Mapping[str, str]) -> list[str]:
    """Write names and values as two columns."""
    width = max(map(len, values))
    return [f"  {name:<{width}}  {value}" for name, value in values.items()]


def _wrapped(start: str, text: str) -> list[str]:
    """Write a text after `start`, its further lines indented as much."""
    return textwrap.wrap(
        " ".join(text.split()),
        WIDTH,
        initial_indent=start,
        subsequent_indent=" " * len(start),
        break_long_words=False,
        break_on_hyphens=False,
    )
