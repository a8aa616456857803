"""The constructed cases as a page: what was done, and the verdict that the measurements gave, case and near miss."""

from __future__ import annotations

import pathlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tfcollapse.diagnosis.diagnose import Diagnosis, diagnose
from tfcollapse.diagnosis.taxonomy.cases import CASES, Case
from tfcollapse.records.run_directory import disk_errors, environment, replacing
from tfcollapse.reports.study_page import markdown_table

_HEADER = ("case", "what was done", "must be", "is, by seed", "decided by")


def gallery(out: pathlib.Path, seeds: int, command: str, say: Callable[[str], None] = print) -> int:
    """Train and diagnose every case and near miss, write OUT/taxonomy.md, return how many verdicts are wrong."""
    begun, lines, wrong = time.monotonic(), [], 0
    for case in CASES:
        for near in (False, True):
            found = [_found(case, near, seed) for seed in range(seeds)]
            expected = case.near if near else case.category
            wrong += sum(each.verdict.categories != (expected,) for each in found)
            lines.append(_line(case, near, expected, found))
            say(" | ".join(lines[-1]))
    made = environment(command=command)
    with disk_errors(out):
        out.mkdir(parents=True, exist_ok=True)
    with replacing(out / "taxonomy.md") as partial:
        partial.write_text(_page(lines, seeds, wrong, time.monotonic() - begun, made))
    return wrong


def _found(case: Case, near: bool, seed: int) -> Diagnosis:
    trained = case.train(seed, near)
    return diagnose(trained.encoder, trained.decoder, trained.images, trained.gamma)


def _line(case: Case, near: bool, expected: str, found: Sequence[Diagnosis]) -> tuple[str, ...]:
    about, _, moved = case.about.partition("; near: ")
    verdicts = ", ".join(
        " ".join(f"{name} ({each.verdict.counts[name]})" if name in each.verdict.counts else name for name in names)
        for each in found
        for names in [each.verdict.categories]
    )
    decisive = found[0].verdict.evidence[1:] or found[0].verdict.evidence
    numbers = "; ".join(f"{each.name} {each.value:.3g} against {each.threshold:.3g}" for each in decisive)
    return case.name + (", near miss" if near else ""), moved if near else about, expected, verdicts, numbers


def _page(lines: Sequence[Sequence[str]], seeds: int, wrong: int, seconds: float, made: Mapping[str, Any]) -> str:
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
