"""The constructed cases as a page: what was done, and the verdict that the measurements gave, case and near miss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tfcollapse.reports.study_page import markdown_table

if TYPE_CHECKING:
    from tfcollapse.diagnosis.taxonomy.results import CaseResult

_HEADER = ("case", "what was done", "must be", "is, by seed", "decided by")


def case_line(result: CaseResult) -> tuple[str, ...]:
    """One case or near miss as the cells of its row."""
    case, near, found = result.case, result.near, result.diagnoses
    about, _, moved = case.about.partition("; near: ")
    verdicts = ", ".join(
        " ".join(f"{name} ({each.verdict.counts[name]})" if name in each.verdict.counts else name for name in names)
        for each in found
        for names in [each.verdict.categories]
    )
    decisive = found[0].verdict.evidence[1:] or found[0].verdict.evidence
    numbers = "; ".join(f"{each.name} {each.value:.3g} against {each.threshold:.3g}" for each in decisive)
    return case.name + (", near miss" if near else ""), moved if near else about, result.expected, verdicts, numbers


def taxonomy_page(results: Sequence[CaseResult], seconds: float, made: Mapping[str, Any]) -> str:
    """Write the Markdown of taxonomy.md.

    Args:
      results: of every case and near miss.
      seconds: what they took.
      made: what `records.provenance.environment` says.
    """
    lines, seeds = [case_line(result) for result in results], len(results[0].diagnoses)
    wrong = sum(result.wrong for result in results)
    versions = " ".join(f"{name} {version}" for name, version in made["versions"].items())
    return (
        "\n\n".join(
            [
                "# The five kinds of posterior collapse, each constructed",
                "Section 3 of the paper, as small VAEs that are trained here, and diagnosed from their encoder, "
                "decoder and images alone, and from gamma where it is not said otherwise. Every near miss is the same "
                "VAE moved across one threshold. In brackets: units of that category.",
                markdown_table(_HEADER, lines),
                f"{wrong or 'No'} wrong verdict{'' if wrong == 1 else 's'} in {len(lines) * seeds}, seeds 0 to "
                f"{seeds - 1}. Command: `{made['command']}`; commit {made['commit']}; numerics version "
                f"{made['numerics']}; {made['machine']}; {versions}; "
                f"{seconds:.0f} s.",
            ]
        )
        + "\n"
    )
