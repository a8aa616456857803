"""`tfcollapse figure`: redraw figures and pages from their tables."""

from __future__ import annotations

import argparse
import pathlib

from tfcollapse.errors import ConfigError

HELP = "redraw figures and pages from their tables"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "study",
        nargs="?",
        help="redraw one study: a name, or the path of a declaration (default: every installed one with a table)",
    )
    parser.add_argument("--out", required=True, help="the directory that holds STUDY.csv")


def run(parsed: argparse.Namespace) -> int:
    """Redraw the figures and pages of a directory, from its tables or the theory lab's findings. Raises UserError."""
    from tfcollapse.records.files import existing_directory
    from tfcollapse.reports import theory_page
    from tfcollapse.reports.study_page import write_study
    from tfcollapse.studies.study import load_study, study_names

    out = existing_directory(parsed.out)
    if not parsed.study and theory_page.read_findings(out):
        print("wrote", ", ".join(map(str, theory_page.write(out))))
        return 0
    studies = [parsed.study] if parsed.study else [name for name in study_names() if (out / f"{name}.csv").exists()]
    if not studies:
        raise ConfigError(f"--out '{out}': expected the table of a study, such as fig1_left.csv, found none")
    for study in studies:
        print("wrote", ", ".join(map(str, write_study(pathlib.Path(study).stem, load_study(study), out))))
    return 0
