"""`tfcollapse theory`: check the paper's propositions numerically."""

from __future__ import annotations

import argparse
import json
import pathlib
import sys

from tfcollapse.cli.announcement import announce
from tfcollapse.cli.arguments import add_data_dir, add_json, place, whole_number

HELP = "check the paper's propositions numerically"
DESCRIPTION = """\
Compare what the paper proves with numbers: closed forms, descents, trained
networks. Print each check, and write findings, a figure each and a page. The
exit status is 1 where a check fails. The sections:
  affine     section 4: which latents an affine decoder keeps
  prop1      Proposition 1: the bad local minimum of a soft-threshold decoder
  prop2      Proposition 2: a unit is pruned at a finite gamma
  prop4      Proposition 4: a collapsed unit is a stationary point
  equations  eqs. (8) and (10): error and gamma in the table of a sweep
  all        affine, prop1, prop2 and prop4; equations too with --table"""
EXAMPLES = (
    (
        "error and gamma of the networks of the main job, in seconds",
        "tfcollapse theory equations --table out/fig1_left-quick/fig1_left.csv",
    ),
    ("every proposition, on images that the package carries", "tfcollapse theory all"),
)
_SECONDS = {"affine": 40, "prop1": 20, "prop2": 42, "prop4": 173, "equations": 1}
"""The seconds that each section of results/theory took on two cores: on complete Fashion-MNIST, whose images the
defaults have a tenth of."""
_ALL = "all"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "section", metavar="SECTION", choices=[*_SECONDS, _ALL], help="what to check: a section, or all"
    )
    add_json(parser)
    parser.add_argument(
        "--out",
        type=place,
        default="out/theory",
        metavar="DIR",
        help="the directory of findings, figures and page (default: out/theory)",
    )
    parser.add_argument(
        "--data",
        default="fashion_mnist_mini",
        metavar="NAME",
        help="the images to train on, as data.name takes them (default: fashion_mnist_mini, which the package carries)",
    )
    add_data_dir(parser)
    parser.add_argument(
        "--runs",
        type=place,
        metavar="DIR",
        help="prop4: use the trained dense VAEs of this directory (default: train some)",
    )
    parser.add_argument(
        "--images",
        type=whole_number,
        default=512,
        metavar="N",
        help="prop4: how many images each Hessian is averaged over, and how many unseen ones test it (default: 512)",
    )
    parser.add_argument("--table", type=place, metavar="CSV", help="equations: the table of a sweep, STUDY.csv")
    parser.add_argument(
        "--seed", type=whole_number, default=0, metavar="N", help="the seed of all random draws (default: 0)"
    )


def run(parsed: argparse.Namespace) -> int:
    """Check the sections that are asked for, and write their findings, figures and page.

    The exit status is 1 where a check fails. Raises UserError.
    """
    from tfcollapse.backend import check_tensorflow, import_tensorflow
    from tfcollapse.records.files import check_writable
    from tfcollapse.reports import theory_page
    from tfcollapse.training.progress import duration

    out = pathlib.Path(parsed.out)
    check_tensorflow("theory")
    seconds = sum(_SECONDS.values()) if parsed.section == _ALL else _SECONDS[parsed.section]
    announce(f"theory {parsed.section}", f"up to about {duration(seconds)} on two cores", out, json=parsed.json)
    import_tensorflow()  # in this way its own lines are not printed
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
