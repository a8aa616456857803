"""The page of an experiment on who is to blame: its tables, and the diagnosis of every VAE in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tfcollapse.config.declaration import Run
from tfcollapse.diagnosis.blame_verdict import Arm
from tfcollapse.diagnosis.measurements import facts
from tfcollapse.diagnosis.verdict import MEANING
from tfcollapse.reports.study_page import markdown_table

if TYPE_CHECKING:
    from tfcollapse.diagnosis.blame import Blame
    from tfcollapse.diagnosis.diagnose import Diagnosis
    from tfcollapse.diagnosis.layer_gains import LayerGain

ARMS = ("arm", "train error", "gamma", "active units", "KL (nats)", "dead units (category)")
_STARTS = (
    "before training",
    "signal, first layer",
    "of z",
    "of the output",
    "gradient at the output over the first layer's",
)


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
        blame_tables(found),
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


def blame_tables(found: Blame) -> str:
    """Write the findings, the arms and the starts as Markdown tables."""
    findings = [(each.suspect, f"**{each.verdict}**", each.evidence) for each in found.findings]
    return "\n\n".join(
        [
            markdown_table(("suspect", "finding", "evidence"), findings),
            markdown_table(ARMS, arm_rows(found.arms)),
            markdown_table(_STARTS, [_start(name, gains) for name, gains in found.starts.items()]),
        ]
    )


def _start(name: str, gains: Sequence[LayerGain]) -> list[str]:
    latent = [each for each in gains if each.part == "encoder"][-1]
    signals = [f"{each.signal:.3g}" for each in (gains[0], latent, gains[-1])]
    return [name, *signals, f"{gains[-1].gradient / max(gains[0].gradient, 1e-300):.3g}"]


def arm_rows(arms: Sequence[Arm]) -> list[list[str]]:
    """List the arms, a row each, under `ARMS`."""
    rows = []
    for arm in arms:
        dead = ", ".join(f"{count} ({name})" for name, count in arm.counts.items() if name != "active")
        cells = (arm.gamma, arm.active_units, arm.kl)
        rows.append(
            [arm.name, f"{arm.error:.4g}", *("-" if value is None else f"{value:.4g}" for value in cells), dead or "-"]
        )
    return rows
