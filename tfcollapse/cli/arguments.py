"""Add the arguments that several commands take, and read what they say."""

from __future__ import annotations

import argparse
import pathlib
import re
from typing import TYPE_CHECKING, NamedTuple

from tfcollapse.errors import ConfigError

if TYPE_CHECKING:
    from tfcollapse.config.declaration import Run
    from tfcollapse.studies.study import Study


class DeclaredStudy(NamedTuple):
    """Hold what `add_study`'s arguments name.

    Attributes:
      name: the study's name, which its table, figure and page have too.
      study: the declaration.
      runs: the runs that are asked for, in their order.
      out: the directory of table, figure and page.
      data_dir: the directory of TFDS, or None.
    """

    name: str
    study: Study
    runs: list[Run]
    out: pathlib.Path
    data_dir: str | None

    @property
    def run_directories(self) -> pathlib.Path:
        """Return the directory that holds the run directories."""
        return self.out / "runs"

    @property
    def table_path(self) -> pathlib.Path:
        """Return the path of the table."""
        return self.out / f"{self.name}.csv"


def given(value: object) -> bool:
    """Return whether an option was given a value, which may be 0 or the empty text, or is a flag that is set."""
    return value is not None and value is not False


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


def add_own_studies(parser: argparse.ArgumentParser) -> None:
    """Add --study."""
    parser.add_argument(
        "--study",
        action="append",
        default=[],
        dest="studies",
        metavar="FILE.py",
        help="the declaration of a study of your own, which is executed; may be repeated (installed studies need none)",
    )


def add_data_dir(parser: argparse.ArgumentParser) -> None:
    """Add --data-dir."""
    parser.add_argument("--data-dir", help="the directory of TFDS (default: TFDS_DATA_DIR)")


def add_devices(parser: argparse.ArgumentParser) -> None:
    """Add --strategy and --devices."""
    parser.add_argument(
        "--strategy",
        default="auto",
        help="how one run uses devices: auto (all GPUs), one, mirrored or multiworker (default: auto)",
    )
    parser.add_argument(
        "--devices",
        metavar="N|LIST",
        help="how many devices, or which, e.g. GPU:0,GPU:1 (CPU:0,CPU:1 to try several without GPUs)",
    )


def add_study(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that name a study, its preset, its directory and its runs."""
    parser.add_argument("study", help="the name of an installed study, or the path of a declaration (runs/mine.py)")
    parser.add_argument("--preset", default="quick", help="paper, standing, quick or smoke (default: quick)")
    parser.add_argument("--out", help="the directory of table, figure and runs (default: out/STUDY-PRESET)")
    parser.add_argument(
        "--seeds", type=int, metavar="K", help="train seeds 0 to K-1 of every run (default: the study's own, mostly 1)"
    )
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="KEY=VALUE[,VALUE]",
        help="take only the runs with these values, e.g. network.depth=2,10 or objective.kind=ae; may be repeated",
    )
    parser.add_argument(
        "--steps", type=int, metavar="N", help="train every run for N steps; halving and warm-up keep their share"
    )
    add_settings(parser)
    add_data_dir(parser)


def declared_study(parsed: argparse.Namespace) -> DeclaredStudy:
    """Read `add_study`'s arguments: load the study, and make the runs that are asked for. Raises ConfigError."""
    from tfcollapse.config.overrides import apply_settings, select, shorten
    from tfcollapse.studies.study import load_study

    study = load_study(parsed.study)
    runs = study.runs(parsed.preset, parsed.seeds)
    if parsed.steps is not None:
        runs = [shorten(run, parsed.steps) for run in runs]
    runs = select(apply_settings(runs, parsed.settings), parsed.only)
    name = pathlib.Path(parsed.study).stem
    out = pathlib.Path(parsed.out or f"out/{name}-{parsed.preset}")
    return DeclaredStudy(name, study, runs, out, parsed.data_dir)


def images_count(text: str) -> int:
    """Read a number of images, at least two. It serves as argparse's `type`."""
    number = _whole(text)
    if number is None or number < 2:
        raise argparse.ArgumentTypeError(f"expected a whole number >= 2, received '{text}'")
    return number


def automatic(name: str, text: str) -> int | None:
    """Read the value of the option --`name`: None for 'auto', else a whole number. Raises ConfigError."""
    if text == "auto":
        return None
    number = _whole(text)
    if number is None or number < 1:
        raise ConfigError(f"--{name}: expected 'auto' or a whole number >= 1, received '{text}'")
    return number


def _whole(text: str) -> int | None:
    """Return a whole number in plain digits; None for another text, such as "²" or "1_000"."""
    return int(text) if re.fullmatch("[0-9]{1,18}", text) else None
