"""`tfcollapse pictures`: draw what a sweep's models reconstruct and sample."""

from __future__ import annotations

import argparse

from tfcollapse.cli.arguments import add_study, declared_study, study_directory

HELP = "a sweep's reconstructions and samples as a picture"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_study(parser)


def run(parsed: argparse.Namespace) -> int:
    """Draw a sweep's reconstructions and samples."""
    from tfcollapse.backend import start
    from tfcollapse.figures.style import save

    _, runs = declared_study(parsed)
    name, out = study_directory(parsed)
    start()
    from tfcollapse.studies.pictures import pictures

    paths = save(pictures(runs, out / "runs", data_dir=parsed.data_dir), out / f"{name}-pictures")
    print("wrote", ", ".join(map(str, paths)))
    return 0
