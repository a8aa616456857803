"""The page of an experiment on who is to blame for a collapse: its tables, and the diagnosis of every VAE in it."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tfcollapse.config.declaration import Run
from tfcollapse.diagnosis.blame_verdict import Arm
from tfcollapse.diagnosis.measurements import facts
from tfcollapse.records.labels import label
from tfcollapse.reports.blocks import Block, Heading, Paragraph, Strong, Table
from tfcollapse.reports.diagnosis_blocks import categories, diagnosis_blocks
from tfcollapse.reports.markdown import write_markdown
from tfcollapse.reports.provenance_table import provenance_table

if TYPE_CHECKING:
    from tfcollapse.diagnosis.blame import Blame
    from tfcollapse.diagnosis.layer_gains import LayerGain

ARMS = ("arm", *map(label, ("train_error", "gamma", "active_units", "kl")), "dead units (category)")
_STARTS = (
    "before training",
    "signal, first layer",
    "of z",
    "of the output",
    "gradient at the output over the first layer's",
)
_SMALLEST = 1e-300
"""What a gradient of 0 is divided by."""


def write(path: pathlib.Path, blame: Blame, run: Run, made: Mapping[str, Any]) -> pathlib.Path:
    """Write the page, and return its path. Raises RunError."""
    return write_markdown(path, page(blame, run, made))


def page(blame: Blame, run: Run, made: Mapping[str, Any]) -> list[Block]:
    """Return the page.

    Args:
      blame: what the experiment found.
      run: the VAE that the experiment is about.
      made: what `records.provenance.environment` says.
    """
    images = next(iter(blame.diagnoses.values())).measurements.images
    of_run = {
        "images": f"{images:,}",
        "steps": f"{run.training.steps:,} of batch {run.training.batch} each",
        "seed": str(run.seed),
    }
    blocks: list[Block] = [
        Heading(1, "Who is to blame for the collapse"),
        Paragraph(
            (
                "Responsible: ",
                Strong(blame.responsible_text),
                ". The verdict is on one seed, and on training of the length below.",
            )
        ),
        *blame_tables(blame),
        provenance_table([made], of_run),
    ]
    for name, diagnosis in blame.diagnoses.items():
        verdict = diagnosis.verdict.as_json()
        blocks.append(Heading(2, f"{name}: {categories(verdict)}"))
        blocks += diagnosis_blocks(verdict, facts(diagnosis.measurements))
    return blocks


def blame_tables(blame: Blame) -> list[Block]:
    """Return the findings, the arms and the starts as tables."""
    findings = [(finding.suspect, Strong(finding.verdict), finding.evidence) for finding in blame.findings]
    return [
        Table(("suspect", "finding", "evidence"), findings),
        Table(ARMS, arm_rows(blame.arms)),
        Table(_STARTS, [_start(name, gains) for name, gains in blame.starts.items()]),
    ]


def arm_rows(arms: Sequence[Arm]) -> list[list[str]]:
    """Return one row for each arm, under `ARMS`."""
    rows = []
    for arm in arms:
        measured = ["-" if value is None else f"{value:.4g}" for value in (arm.gamma, arm.active_units, arm.kl)]
        rows.append([arm.name, f"{arm.error:.4g}", *measured, arm.dead or "-"])
    return rows


def _start(name: str, gains: Sequence[LayerGain]) -> list[str]:
    latent = [gain for gain in gains if gain.part == "encoder"][-1]
    signals = [f"{gain.signal:.3g}" for gain in (gains[0], latent, gains[-1])]
    return [name, *signals, f"{gains[-1].gradient / max(gains[0].gradient, _SMALLEST):.3g}"]
