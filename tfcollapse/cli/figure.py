"""`tfcollapse figure`: redraw figures and pages from their tables."""

from __future__ import annotations

import argparse
import pathlib
import sys

from tfcollapse.cli.arguments import place
from tfcollapse.errors import ConfigError

HELP = "draw figures and pages again from their tables"
DESCRIPTION = """\
Draw the figure and write the page of a sweep again, from its table, or those of
the theory lab from its findings. Nothing is trained."""
EXAMPLES = (("the figure and the page of the main job", "tfcollapse figure --out out/fig1_left-quick"),)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "study",
        nargs="?",
        metavar="STUDY",
        help="the name of a study, or a Python file that declares one (default: every study whose table is in DIR)",
    )
    parser.add_argument(
        "--out",
        type=place,
        required=True,
        metavar="DIR",
        help="the directory of the table, STUDY.csv; figure and page go there too",
    )


def run(parsed: argparse.Namespace) -> int:
    """Redraw the figures and pages of a directory, from its tables or the theory lab's findings. Raises UserError."""
    from tfcollapse.records.files import existing_directory
    from tfcollapse.reports import theory_page
    from tfcollapse.reports.study_page import write_study
    from tfcollapse.studies import own_tables
    from tfcollapse.studies.study import load_study, study_names

    out = existing_directory(parsed.out)
    if not parsed.study and theory_page.read_findings(out):
        print("wrote", ", ".join(map(str, theory_page.write(out))))
        return 0
    studies = [parsed.study] if parsed.study else [name for name in study_names() if (out / f"{name}.csv").exists()]
    left_out = [] if parsed.study else own_tables.unnamed(out, studies)
    advice = own_tables.advice(left_out, "STUDY as FILE.py")
    if not studies:
        raise ConfigError(f"--out '{out}': expected the table of a study, such as fig1_left.csv, found none: {advice}")
    for study in studies:
        print("wrote", ", ".join(map(str, write_study(pathlib.Path(study).stem, load_study(study), out))))
    if left_out:
        print(f"tfcollapse: left out: {advice}", file=sys.stderr)
    return 0
