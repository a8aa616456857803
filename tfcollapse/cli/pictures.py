"""`tfcollapse pictures`: draw what the models of a sweep reconstruct and sample."""

from __future__ import annotations

import argparse

from tfcollapse.cli.arguments import add_study, declared_study

HELP = "draw what the networks of a sweep reconstruct and sample"
DESCRIPTION = """\
Draw some images and, for each network of a sweep that has finished, its
reconstructions of them and its samples. The picture is written beside the
sweep's figure, as STUDY-pictures.png and .pdf. Name the sweep by the same
study and options with which it was trained."""
EXAMPLES = (("the networks of the main job", "tfcollapse pictures fig1_left --preset quick --out out/fig1_left-quick"),)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_study(parser)


def run(parsed: argparse.Namespace) -> int:
    """Draw the reconstructions and samples of a sweep's models. Raises UserError."""
    from tfcollapse.backend import start
    from tfcollapse.figures.style import save

    declared = declared_study(parsed)
    start()
    from tfcollapse.studies.pictures import pictures

    figure = pictures(declared.runs, declared.run_directories, data_dir=declared.data_dir)
    print("wrote", ", ".join(map(str, save(figure, declared.out / f"{declared.name}-pictures"))))
    return 0
