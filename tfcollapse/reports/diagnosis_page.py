"""The HTML page of one diagnosis, or of every VAE of a sweep."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tfcollapse.diagnosis.measurements import facts
from tfcollapse.reports.blocks import Block, Bullets, Code, Heading, Link, Table
from tfcollapse.reports.diagnosis_blocks import diagnosis_blocks
from tfcollapse.reports.html_page import write_html
from tfcollapse.reports.provenance_table import provenance_table

if TYPE_CHECKING:
    from tfcollapse.diagnosis.diagnose import Diagnosis


def write(
    path: pathlib.Path, diagnoses: Mapping[str, Diagnosis], made: Mapping[str, Any], skipped: Mapping[str, str]
) -> pathlib.Path:
    """Write the page as one file that needs no network, and return its path. Raises RunError.

    Args:
      path: the page.
      diagnoses: by the name of the model, at least one.
      made: what `records.provenance.environment` says.
      skipped: why a model was not diagnosed, by its name.
    """
    title = f"Diagnosis of {next(iter(diagnoses)) if len(diagnoses) == 1 else f'{len(diagnoses)} VAEs'}"
    return write_html(path, title, page(title, diagnoses, made, skipped))


def page(
    title: str, diagnoses: Mapping[str, Diagnosis], made: Mapping[str, Any], skipped: Mapping[str, str]
) -> list[Block]:
    """Return the page: an overview where there are several VAEs, a section for each, and how the page was made."""
    blocks: list[Block] = [Heading(1, title)]
    if len(diagnoses) > 1:
        lines = [(Link(name, f"#{name}"), diagnosis.verdict.headline) for name, diagnosis in diagnoses.items()]
        blocks.append(Table(("VAE", "verdict"), lines))
    if skipped:
        blocks.append(Bullets([(Code(name), f" was skipped: {reason}") for name, reason in skipped.items()]))
    for name, diagnosis in diagnoses.items():
        if len(diagnoses) > 1:
            blocks.append(Heading(2, name, name))
        verdict = diagnosis.verdict.as_json()
        blocks += diagnosis_blocks(verdict, facts(diagnosis.measurements), diagnosis.plot(), name)
    return [*blocks, Heading(2, "How this page was made"), provenance_table([made], {})]
