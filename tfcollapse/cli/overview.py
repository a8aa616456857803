"""`tfcollapse overview`: write one page of all results."""

from __future__ import annotations

import argparse

from tfcollapse.cli.arguments import add_own_studies

HELP = "write one page of all results: claims, verdicts, commands, what was not run"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("out", metavar="DIR", help="write DIR/README.md from the tables and records below DIR")
    parser.add_argument("--redraw", action="store_true", help="first make all figures and pages below DIR again")
    add_own_studies(parser)


def run(parsed: argparse.Namespace) -> int:
    """Write the page of all results, and with --redraw the pages and figures below it first."""
    from tfcollapse.records.files import existing_directory
    from tfcollapse.reports import overview_page
    from tfcollapse.reports.redraw import redraw

    out = existing_directory(parsed.out)
    for path in redraw(out, parsed.studies) if parsed.redraw else []:
        print("wrote", path)
    print("wrote", overview_page.write(out, parsed.studies))
    return 0
