"""The page of the constructed cases: what was done in each case and near miss, and the verdict on it."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tfcollapse.reports.blocks import Block, Heading, Paragraph, Table
from tfcollapse.reports.markdown import write_markdown
from tfcollapse.reports.provenance_table import distinct, provenance_table

if TYPE_CHECKING:
    from tfcollapse.diagnosis.taxonomy.results import CaseResult

_HEADER = ("case", "what was done", "must be", "is, by seed", "decided by")
_INTRODUCTION = (
    "Section 3 of the paper names five kinds of posterior collapse. Each kind is constructed here as a small VAE, "
    "which is trained and then diagnosed. The diagnosis sees the encoder, the decoder and the images, and gamma unless "
    "the row says otherwise. A near miss is the same VAE moved across one threshold. The number in brackets counts the "
    "units of that category."
)


def write(path: pathlib.Path, results: Sequence[CaseResult], seconds: float, made: Mapping[str, Any]) -> pathlib.Path:
    """Write the page, and return its path. Raises RunError."""
    return write_markdown(path, page(results, seconds, made))


def page(results: Sequence[CaseResult], seconds: float, made: Mapping[str, Any]) -> list[Block]:
    """Return the page.

    Args:
      results: of every case and near miss.
      seconds: what all of them took.
      made: what `records.provenance.environment` says.
    """
    seeds = len(results[0].diagnoses)
    wrong = sum(result.wrong for result in results)
    count = f"{wrong or 'None'} of {len(results) * seeds} verdicts {'are' if wrong > 1 else 'is'} wrong."
    return [
        Heading(1, "The five kinds of posterior collapse, each constructed"),
        Paragraph(_INTRODUCTION),
        Table(_HEADER, [case_row(result) for result in results]),
        Paragraph(count),
        provenance_table([made], {"seeds": distinct(range(seeds)), "time": f"{seconds:.0f} s"}),
    ]


def case_row(result: CaseResult) -> tuple[str, ...]:
    """Return one case or near miss as the cells of its row."""
    case, near, diagnoses = result.case, result.near, result.diagnoses
    about, _, moved = case.about.partition("; near: ")
    verdicts = [diagnosis.verdict for diagnosis in diagnoses]
    named = ", ".join(
        " ".join(f"{name} ({verdict.counts[name]})" if name in verdict.counts else name for name in verdict.categories)
        for verdict in verdicts
    )
    decisive = verdicts[0].evidence[1:] or verdicts[0].evidence
    numbers = "; ".join(
        f"{evidence.name} {evidence.value:.3g} against {evidence.threshold:.3g}" for evidence in decisive
    )
    return case.name + (", near miss" if near else ""), moved if near else about, result.expected, named, numbers
