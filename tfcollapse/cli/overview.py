"""`tfcollapse overview`: write one page of all results."""

from __future__ import annotations

import argparse
import pathlib

from tfcollapse.cli.arguments import add_own_studies, note_own_studies, place

HELP = "write one page of all results: claims, verdicts, what was not run"
DESCRIPTION = """\
Write DIR/README.md: all results below DIR as one page, with the paper's claims,
what was obtained, the commands, and what was not run."""
EXAMPLES = (
    ("all that has been trained below the directory out", "tfcollapse overview out"),
    ("this project's own pages", "tfcollapse overview results --readme README.md"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("out", type=place, metavar="DIR", help="the directory above the tables and records")
    parser.add_argument(
        "--redraw", action="store_true", help="first draw all figures and write all pages below DIR again"
    )
    parser.add_argument(
        "--readme",
        type=place,
        metavar="FILE.md",
        help="also write the table of all claims between the two marks of FILE.md, such as this project's README.md",
    )
    add_own_studies(parser)


def run(parsed: argparse.Namespace) -> int:
    """Write the page of all results, and with --redraw the pages and figures below it first."""
    from tfcollapse.records.files import existing_directory
    from tfcollapse.reports import overview_page, readme_table
    from tfcollapse.reports.redraw import redraw
    from tfcollapse.studies.own_tables import BELOW

    out = existing_directory(parsed.out)
    readme = None if parsed.readme is None else pathlib.Path(parsed.readme)
    if readme is not None:
        readme_table.check(readme)
    for path in redraw(out, parsed.studies) if parsed.redraw else []:
        print("wrote", path)
    print("wrote", overview_page.write(out, parsed.studies))
    note_own_studies(out, parsed.studies, BELOW)
    if readme is not None:
        print("wrote", readme_table.write(readme, out, parsed.studies))
    return 0
