"""`tfcollapse theory`: check the paper's propositions numerically."""

from __future__ import annotations

import argparse
import json
import pathlib
import sys

from tfcollapse.cli.arguments import add_data_dir

HELP = "check the paper's propositions numerically"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "section", choices=["affine", "prop1", "prop2", "prop4", "equations", "all"], help="what to check"
    )
    parser.add_argument("--json", action="store_true", help="print the findings as JSON in place of text")
    parser.add_argument(
        "--out", default="out/theory", help="the directory of findings and figures (default: out/theory)"
    )
    parser.add_argument(
        "--data", default="fashion_mnist_mini", help="the images to train on (default: the packaged ones)"
    )
    add_data_dir(parser)
    parser.add_argument(
        "--runs", metavar="DIR", help="prop4: take the trained dense VAEs of this directory, instead of short trainings"
    )
    parser.add_argument(
        "--images",
        type=int,
        default=512,
        metavar="N",
        help="prop4: the number of images in each Hessian, and of unseen ones (default: 512)",
    )
    parser.add_argument("--table", metavar="CSV", help="equations: the table of a sweep")
    parser.add_argument("--seed", type=int, default=0, help="the seed of all draws (default: 0)")


def run(parsed: argparse.Namespace) -> int:
    """Check the sections that are asked for, and write their findings, figures and page.

    The exit status is 1 where a check fails. Raises UserError.
    """
    from tfcollapse.backend import need_tensorflow
    from tfcollapse.records.files import check_writable
    from tfcollapse.reports import theory_page

    out = pathlib.Path(parsed.out)
    need_tensorflow("theory")
    from tfcollapse.lab import laboratory

    fields = ("data", "data_dir", "runs", "images", "table", "seed")
    options = laboratory.Options(**{name: getattr(parsed, name) for name in fields})
    names, sections = laboratory.section_names(parsed.section, options.table), []
    laboratory.check_options(names, options)
    check_writable(out)
    for name in names:
        sections.append(laboratory.run_section(name, options, parsed.command_line))
        if not parsed.json:
            print("\n".join(theory_page.terminal_lines(sections[-1])), flush=True)
        theory_page.write_findings(out, sections[-1])
    paths = theory_page.write(out)
    if parsed.json:
        print(json.dumps(sections, indent=1))
    else:
        print("wrote", ", ".join(map(str, paths)))
    checks = [check for section in sections for check in section["checks"]]
    failed = sum(check["verdict"] == "fails" for check in checks)
    if failed:
        print(f"tfcollapse: {failed} of {len(checks)} checks fail", file=sys.stderr)
    return 1 if failed else 0
