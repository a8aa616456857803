"""`tfcollapse report`: write one HTML page of a sweep."""

from __future__ import annotations

import argparse
import pathlib
import sys

from tfcollapse.cli.arguments import add_own_studies, note_own_studies, place

HELP = "write one HTML page of a sweep: figure, claims, verdicts, curves"
DESCRIPTION = """\
Write a sweep as one HTML page that needs nothing else: figures, claims, a table
to sort, verdicts, training curves and configurations. The verdicts are those
that 'tfcollapse diagnose DIR' has left in the runs' directories."""
EXAMPLES = (("the main job as a page", "tfcollapse report out/fig1_left-quick -o out/report.html"),)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("directory", type=place, metavar="DIR", help="the directory of a sweep")
    parser.add_argument(
        "-o",
        "--output",
        type=place,
        default="report.html",
        metavar="FILE",
        help="the page to write (default: report.html)",
    )
    add_own_studies(parser)


def run(parsed: argparse.Namespace) -> int:
    """Write the HTML page of a sweep's directory, and name the damaged runs that it leaves out. Raises UserError."""
    from tfcollapse.records.files import existing_directory
    from tfcollapse.reports.sweep_page import report

    damaged: list[str] = []
    directory, output = existing_directory(parsed.directory), pathlib.Path(parsed.output)
    print(f"wrote {report(directory, output, parsed.studies, damaged.append)}")
    note_own_studies(directory, parsed.studies)
    for text in damaged:
        print(f"tfcollapse: left out: {text}", file=sys.stderr)
    return 1 if damaged else 0
