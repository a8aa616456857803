"""Arguments that several commands take, and what they mean."""

from __future__ import annotations

import argparse
import pathlib
from typing import TYPE_CHECKING

from tfcollapse.errors import ConfigError

if TYPE_CHECKING:
    from tfcollapse.config.declaration import Run
    from tfcollapse.studies.study import Study


def add_settings(parser: argparse.ArgumentParser) -> None:
    """Add --set."""
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        dest="settings",
        metavar="KEY=VALUE",
        help="change a field of the run, e.g. training.steps=500 or network.depth=4; may be repeated",
    )


def add_data_dir(parser: argparse.ArgumentParser) -> None:
    """Add --data-dir."""
    parser.add_argument("--data-dir", help="TFDS' directory (default: TFDS_DATA_DIR)")


def add_devices(parser: argparse.ArgumentParser) -> None:
    """Add --strategy and --devices."""
    parser.add_argument(
        "--strategy", default="auto", help="devices of one run: auto (all GPUs), one, mirrored or multiworker"
    )
    parser.add_argument("--devices", metavar="N|LIST", help="how many, or which, e.g. GPU:0,GPU:1 (CPU:0,CPU:1 to try)")


def add_study(parser: argparse.ArgumentParser) -> None:
    """Add what names a study, its preset, its directory and its runs."""
    parser.add_argument("study", help="a study of runs/, or the path of a declaration")
    parser.add_argument("--preset", default="quick", help="paper, quick or smoke (default: quick)")
    parser.add_argument("--out", help="directory of table, figure and runs (default: out/STUDY-PRESET)")
    parser.add_argument("--seeds", type=int, default=1, metavar="K", help="seeds 0 to K-1 of every run")
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="KEY=VALUE[,VALUE]",
        help="only the runs with these values, e.g. network.depth=2,10 or objective.kind=ae; may be repeated",
    )
    parser.add_argument("--steps", type=int, metavar="N", help="N steps a run; halving and warm-up keep their share")
    add_settings(parser)
    add_data_dir(parser)


def declared_study(parsed: argparse.Namespace) -> tuple[Study, list[Run]]:
    """Load the study that `add_study`'s arguments name, and make the runs that they ask for. Raises ConfigError."""
    from tfcollapse.config.overrides import apply_settings, select, shorten
    from tfcollapse.studies.study import load_study

    study = load_study(parsed.study)
    runs = study.runs(parsed.preset, parsed.seeds)
    if parsed.steps is not None:
        runs = [shorten(run, parsed.steps) for run in runs]
    return study, select(apply_settings(runs, parsed.settings), parsed.only)


def study_directory(parsed: argparse.Namespace) -> tuple[str, pathlib.Path]:
    """The study's name and the directory of its results."""
    name = pathlib.Path(parsed.study).stem
    return name, pathlib.Path(parsed.out or f"out/{name}-{parsed.preset}")


def images_count(text: str) -> int:
    """Read a number of images, at least two, as argparse's `type`."""
    if not text.isdigit() or int(text) < 2:
        raise argparse.ArgumentTypeError(f"expected a whole number >= 2, received '{text}'")
    return int(text)


def automatic(name: str, text: str) -> int | None:
    """Read 'auto', as None, or a whole number. Raises ConfigError."""
    if text == "auto":
        return None
    if not text.isdigit() or int(text) < 1:
        raise ConfigError(f"--{name}: expected 'auto' or a whole number >= 1, received '{text}'")
    return int(text)
