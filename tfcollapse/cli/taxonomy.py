"""`tfcollapse taxonomy`: construct each kind of posterior collapse as a small VAE, and diagnose it."""

from __future__ import annotations

import argparse
import pathlib
import time

from tfcollapse.errors import ConfigError

HELP = "construct each kind of posterior collapse as a small VAE, and diagnose it (about two minutes a seed)"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "--seeds", type=int, default=1, metavar="K", help="train seeds 0 to K-1 of every case (default: 1)"
    )
    parser.add_argument("--out", default="out/taxonomy", help="the directory of taxonomy.md (default: out/taxonomy)")


def run(parsed: argparse.Namespace) -> int:
    """Train and diagnose every case and its near miss, and write taxonomy.md.

    The exit status is 1 where a verdict is wrong. Raises UserError.
    """
    from tfcollapse.backend import need_tensorflow
    from tfcollapse.records.files import check_writable
    from tfcollapse.records.provenance import environment
    from tfcollapse.reports import taxonomy_page

    out = pathlib.Path(parsed.out)
    if parsed.seeds < 1:
        raise ConfigError(f"--seeds: expected >= 1, received {parsed.seeds}")
    need_tensorflow("taxonomy")
    check_writable(out)
    from tfcollapse.diagnosis.taxonomy.results import case_results

    started, provenance, results = time.monotonic(), environment(command=parsed.command_line), []
    for result in case_results(parsed.seeds):
        results.append(result)
        print(" | ".join(taxonomy_page.case_row(result)), flush=True)
    print("wrote", taxonomy_page.write(out / "taxonomy.md", results, time.monotonic() - started, provenance))
    return 1 if any(result.wrong for result in results) else 0
