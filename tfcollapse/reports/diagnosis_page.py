"""The HTML page of one diagnosis, or of every VAE of a sweep."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tfcollapse.diagnosis.measurements import facts
from tfcollapse.reports.blame_blocks import blame_blocks
from tfcollapse.reports.blocks import Block, Bullets, Code, Heading, Link, Table
from tfcollapse.reports.diagnosis_blocks import diagnosis_blocks
from tfcollapse.reports.html_page import write_html
from tfcollapse.reports.provenance_table import provenance_table

if TYPE_CHECKING:
    from tfcollapse.diagnosis.diagnose import Diagnosis


def write(
    path: pathlib.Path,
    diagnoses: Mapping[str, Diagnosis],
    made: Mapping[str, Any],
    skipped: Mapping[str, str],
    directories: Mapping[str, pathlib.Path],
) -> pathlib.Path:
    """Write the page as one file that needs no network, and return its path.

    Args:
      path: the page.
      diagnoses: by the name of the model, at least one.
      made: what `records.provenance.environment` says.
      skipped: why a model was not diagnosed, by its name.
      directories: of the models that are runs, by name. What `tfcollapse blame` left there stands on the page.

    Raises:
      RunError: the disk cannot be written, or what `tfcollapse blame` left is damaged.
    """
    title = f"Diagnosis of {next(iter(diagnoses)) if len(diagnoses) == 1 else f'{len(diagnoses)} VAEs'}"
    blocks: list[Block] = [Heading(1, title)]
    several = len(diagnoses) > 1
    if several:
        lines = [(Link(name, f"#{name}"), diagnosis.verdict.headline) for name, diagnosis in diagnoses.items()]
        blocks.append(Table(("VAE", "verdict"), lines))
    if skipped:
        blocks.append(Bullets([(Code(name), f" was skipped: {reason}") for name, reason in skipped.items()]))
    for name, diagnosis in diagnoses.items():
        blocks += [Heading(2, name, name)] * several
        verdict = diagnosis.verdict.as_json()
        blocks += diagnosis_blocks(verdict, facts(diagnosis.measurements), diagnosis.plot(), name)
        blocks += blame_blocks(directories[name], 3 if several else 2) if name in directories else []
    blocks += [Heading(2, "How this page was made"), provenance_table([made], {})]
    return write_html(path, title, blocks)
