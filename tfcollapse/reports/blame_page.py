"""The page of an experiment on who is to blame: its tables, and the diagnosis of every VAE in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tfcollapse.config.declaration import Run
from tfcollapse.diagnosis.blame import Blame
from tfcollapse.diagnosis.diagnose import Diagnosis, facts
from tfcollapse.diagnosis.verdict import MEANING
from tfcollapse.reports.study_page import markdown_table


def blame_page(found: Blame, run: Run, made: Mapping[str, Any]) -> str:
    """Markdown.

    Args:
      run: the VAE that the experiment is about.
      made: what `record.environment` says.
    """
    named = " and ".join(found.responsible) or "none of the suspects"
    versions = " ".join(f"{name} {version}" for name, version in made["versions"].items())
    images = next(iter(found.diagnoses.values())).measurements.images
    facts_ = {
        "command": f"`{made['command']}`",
        "commit": made["commit"],
        "numerics version": made["numerics"],
        "hardware": made["machine"],
        "versions": versions,
        "images": f"{images:,}",
        "steps": f"{run.training.steps:,} of batch {run.training.batch} each",
        "seed": run.seed,
    }
    parts = [
        "# Who is to blame for the collapse",
        f"Responsible: **{named}**. One seed, and as many steps as stated: a verdict on training this long.",
        found.markdown(),
        markdown_table(("what", "value"), list(facts_.items())),
        *(_diagnosis(name, each) for name, each in found.diagnoses.items()),
    ]
    return "\n\n".join(parts) + "\n"


def _diagnosis(name: str, found: Diagnosis) -> str:
    verdict = found.verdict
    evidence = [
        (each.name, f"{each.value:.4g}", f"{each.threshold:.4g}", f"{each.distance:.3g} times", each.reading)
        for each in verdict.evidence
    ]
    notes = [f"- {note}" for note in [*verdict.notes, verdict.change]]
    return "\n\n".join(
        [
            f"## {name}: " + "; ".join(f"{each}, {MEANING[each]}" for each in verdict.categories),
            markdown_table(("evidence", "value", "threshold", "from it", "reading"), evidence),
            markdown_table(("measured", "value"), list(facts(found.measurements).items())),
            "\n".join(notes),
        ]
    )
