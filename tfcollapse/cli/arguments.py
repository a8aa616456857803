"""Add the arguments that several commands take, and read what they say."""

from __future__ import annotations

import argparse
import math
import pathlib
import re
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from tfcollapse.errors import ConfigError

if TYPE_CHECKING:
    from tfcollapse.config.declaration import Run
    from tfcollapse.studies.study import Study


DEEPEST_VAE = "out/fig1_left-quick/runs/dense-10-vae-fashion_mnist_mini-s0-9bf0e4589a"
SHALLOW_VAE = "out/fig1_left-quick/runs/dense-2-vae-fashion_mnist_mini-s0-d7126b5beb"
"""Two run directories of the README's main job, which examples name."""


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


def add_config(parser: argparse.ArgumentParser) -> None:
    """Add --config."""
    parser.add_argument(
        "--config",
        type=place,
        metavar="FILE",
        help="begin with the settings of another run, from the config.json in its directory",
    )


def add_settings(parser: argparse.ArgumentParser) -> None:
    """Add --set."""
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        dest="settings",
        metavar="KEY=VALUE",
        help="set one field of the run, such as training.steps=500 or network.depth=4; may be repeated. Fields are "
        "those of data, network, objective and training, and seed; for a wrong KEY, the message lists the right ones. "
        "What is not set stays as the study or --config has it, or else as in the paper",
    )


def add_own_studies(parser: argparse.ArgumentParser) -> None:
    """Add --study."""
    parser.add_argument(
        "--study",
        type=place,
        action="append",
        default=[],
        dest="studies",
        metavar="FILE.py",
        help="a Python file that declares a study of your own, and is executed; may be repeated. The studies that "
        "come with tfcollapse are known without it",
    )


def note_own_studies(directory: pathlib.Path, studies: Sequence[str], pattern: str = "*.csv") -> None:
    """Say that tables of a user's own studies are left out, where the files of `add_own_studies` do not name them."""
    from tfcollapse.studies import own_tables
    from tfcollapse.studies.study import declarations

    left_out = own_tables.unnamed(directory, declarations(studies), pattern)
    if left_out:
        print(f"tfcollapse: left out: {own_tables.advice(left_out)}", file=sys.stderr)


def add_data_dir(parser: argparse.ArgumentParser) -> None:
    """Add --data-dir."""
    parser.add_argument(
        "--data-dir",
        type=place,
        metavar="DIR",
        help="where TensorFlow Datasets keeps its data (default: TFDS_DATA_DIR, or ~/tensorflow_datasets)",
    )


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add --json."""
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")


def add_devices(parser: argparse.ArgumentParser) -> None:
    """Add --strategy and --devices."""
    parser.add_argument(
        "--strategy",
        default="auto",
        metavar="NAME",
        help="how one run uses devices: one; mirrored (several of this machine); multiworker (the hosts that TF_CONFIG "
        "names); or auto: multiworker where TF_CONFIG is set, else all GPUs of this machine, else one (default: auto)",
    )
    parser.add_argument(
        "--devices",
        metavar="N|LIST",
        help="how many devices share a run, or which, such as GPU:0,GPU:1; CPU:0,CPU:1 tries it without GPUs "
        "(default: those of --strategy)",
    )


def add_study(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that name a study, its preset, its directory and its runs."""
    parser.add_argument(
        "study", metavar="STUDY", help="the name of a study, or a Python file that declares one, such as runs/mine.py"
    )
    parser.add_argument(
        "--preset",
        default="quick",
        metavar="NAME",
        help="the size: paper (as in the paper: days), standing (hours), quick (minutes) or smoke (seconds, to see "
        "that all works) (default: quick)",
    )
    parser.add_argument(
        "--out",
        type=place,
        metavar="DIR",
        help="the directory of table, figure, page and runs (default: out/STUDY-PRESET)",
    )
    parser.add_argument(
        "--seeds",
        type=whole_number,
        metavar="K",
        help="every network with seeds 0 to K-1 (default: as the study declares, mostly 1)",
    )
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="KEY=VALUE[,VALUE]",
        help="only the runs with these values, such as network.depth=2,10 or objective.kind=ae; may be repeated "
        "(default: all runs)",
    )
    parser.add_argument(
        "--steps",
        type=whole_number,
        metavar="N",
        help="training steps of every run; the learning rate is halved, and the warm-up ends, at the same share of the "
        "steps (default: the preset's)",
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


def place(text: str) -> str:
    """Read the path of a file or a directory, which is no empty text. It serves as argparse's `type`."""
    if not text:
        raise argparse.ArgumentTypeError("expected a path, received an empty text")
    return text


def whole_number(text: str) -> int:
    """Read a whole number. It serves as argparse's `type`."""
    sign = -1 if text.startswith("-") else 1
    number = _whole(text.removeprefix("-"))
    if number is None:
        raise argparse.ArgumentTypeError(f"expected a whole number, received '{text}'")
    return sign * number


def number(text: str) -> float:
    """Read a finite number. It serves as argparse's `type`."""
    try:
        read = float(text)
    except ValueError:
        read = math.nan
    if not math.isfinite(read):
        raise argparse.ArgumentTypeError(f"expected a number, received '{text}'")
    return read


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
