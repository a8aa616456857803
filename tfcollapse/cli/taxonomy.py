"""`tfcollapse taxonomy`: measure how often the diagnosis is right, on VAEs of known cause."""

from __future__ import annotations

import argparse
import pathlib
import time

from tfcollapse.cli.announcement import announce
from tfcollapse.cli.arguments import place, whole_number
from tfcollapse.errors import ConfigError

_MOST_SEEDS = 1_000
_SECONDS_A_SEED = 226
"""The seconds that all cases of one seed took on two cores (results/taxonomy.md)."""
HELP = "measure how often 'diagnose' is right, on VAEs of known cause"
DESCRIPTION = """\
Build over a hundred small VAEs whose cause of collapse is known, diagnose each,
and write how often the verdict is right. The exit status is 1 where a verdict
is wrong."""
EXAMPLES = (
    ("only the cases about gamma and beta", "tfcollapse taxonomy --only 'gamma and beta'"),
    ("all cases, as in results/taxonomy.md", "tfcollapse taxonomy --seeds 3"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "--seeds", type=whole_number, default=1, metavar="K", help="build every case with seeds 0 to K-1 (default: 1)"
    )
    parser.add_argument(
        "--only",
        default="",
        metavar="NAME",
        help="only the cases whose name, or whose group's name, contains NAME (default: all cases)",
    )
    parser.add_argument(
        "--out",
        type=place,
        default="out/taxonomy",
        metavar="DIR",
        help="the directory of taxonomy.md (default: out/taxonomy)",
    )


def run(parsed: argparse.Namespace) -> int:
    """Build and diagnose the cases, and write taxonomy.md.

    The exit status is 1 where a verdict is wrong. Raises UserError.
    """
    from tfcollapse.backend import check_tensorflow
    from tfcollapse.records.files import check_writable
    from tfcollapse.records.provenance import environment
    from tfcollapse.reports import taxonomy_page
    from tfcollapse.training.progress import duration

    out = pathlib.Path(parsed.out)
    if not 1 <= parsed.seeds <= _MOST_SEEDS:
        raise ConfigError(f"--seeds: expected 1 to {_MOST_SEEDS}, received {parsed.seeds}")
    check_tensorflow("taxonomy")
    page, most = out / "taxonomy.md", "at most " if parsed.only else ""
    announce("cases to diagnose", f"{most}about {duration(parsed.seeds * _SECONDS_A_SEED)} on two cores", page)
    check_writable(out)
    taxonomy_page.check(page)
    from tfcollapse.diagnosis.taxonomy.results import outcomes

    started, provenance, found = time.monotonic(), environment(command=parsed.command_line), []
    for outcome in outcomes(parsed.seeds, parsed.only):
        found.append(outcome)
        print(taxonomy_page.line(outcome), flush=True)
    print(taxonomy_page.count_sentence(found))
    print("wrote", taxonomy_page.write(page, found, time.monotonic() - started, provenance))
    return 1 if any(outcome.wrong for outcome in found) else 0
