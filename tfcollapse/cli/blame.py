"""`tfcollapse blame`: train the AE twin and other arms that tell who is to blame for a collapse."""

from __future__ import annotations

import argparse
import json
import pathlib
import re
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from tfcollapse.cli.arguments import add_data_dir, add_settings
from tfcollapse.cli.diagnose import named_data
from tfcollapse.cli.python_file import function_in_file
from tfcollapse.errors import ConfigError

if TYPE_CHECKING:
    from tfcollapse.config.declaration import Run
    from tfcollapse.diagnosis.blame.experiment import Blame

HELP = "train the AE twin and other arms that tell who is to blame for a collapse"
_CLOSED_FORM = (
    "gamma is in closed form on every batch, the value that fits the error (eq. (10)): --set objective.gamma=learned "
    "declares another"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("--config", metavar="FILE", help="start from the config.json of a run")
    parser.add_argument(
        "--build",
        metavar="FILE.py:FUNCTION",
        help="use an architecture of your own: a function from a seed to two Keras models",
    )
    parser.add_argument(
        "--shallower",
        metavar="DEPTH",
        help="the depth of the shallower networks (default: 2); with --build a FILE.py:FUNCTION that builds them",
    )
    parser.add_argument("--data", metavar="NAME|FILE.npy", help="with --build: the images (default: those of the run)")
    parser.add_argument("--out", default="out/blame", help="the directory of the arms' runs (default: out/blame)")
    parser.add_argument(
        "--page",
        metavar="FILE",
        help="write a page with a figure, the tables and every diagnosis: FILE.md or FILE.html",
    )
    parser.add_argument("--json", action="store_true", help="print JSON in place of text")
    add_settings(parser)
    add_data_dir(parser)


def run(parsed: argparse.Namespace) -> int:
    """Blame a run that settings declare, or an architecture of the user's own. Raises UserError."""
    from tfcollapse.backend import need_tensorflow

    need_tensorflow("blame")
    from tfcollapse.diagnosis.blame.experiment import blame
    from tfcollapse.records.provenance import environment
    from tfcollapse.reports import blame_page

    def say(line: str) -> None:
        print(line, file=sys.stderr if parsed.json else sys.stdout, flush=True)

    page = None if parsed.page is None else pathlib.Path(parsed.page)
    if page is not None:
        blame_page.check(page)
    declared = _declared(parsed.config, parsed.settings, say)
    if parsed.build is not None:
        result = _blame_build(parsed, declared, say)
    elif parsed.data is not None:
        raise ConfigError("--data: expected --build beside it: the images of a run are '--set data.name=NAME'")
    else:
        result = blame(
            declared,
            parsed.out,
            shallower=_depth(parsed.shallower),
            data_dir=parsed.data_dir,
            command=parsed.command_line,
            say=say,
        )
    print(json.dumps(result.as_json(), indent=1) if parsed.json else f"\n{result}")
    if page is not None:
        for path in blame_page.write(page, result, declared, environment(command=parsed.command_line)):
            say(str(path))
    return 0


def _declared(config: str | None, settings: list[str], say: Callable[[str], None]) -> Run:
    """Return the declared run, with gamma in closed form unless a setting or a file declares it. Raises ConfigError."""
    from tfcollapse.config.overrides import configured, replace

    declared = configured(config, settings)
    own_gamma = config is not None or any(text.startswith("objective.gamma") for text in settings)
    if own_gamma or declared.objective.kind != "vae":
        return declared
    say(_CLOSED_FORM)
    return replace(declared, {"objective.gamma": "optimal"})


def _depth(text: str | None) -> int | None:
    """Return the depth that --shallower names. Raises ConfigError."""
    if text is None:
        return None
    if not re.fullmatch("[0-9]{1,18}", text):
        raise ConfigError(f"--shallower: expected a depth, such as 2, received '{text}': a function goes with --build")
    return int(text)


def _blame_build(parsed: argparse.Namespace, declared: Run, say: Callable[[str], None]) -> Blame:
    """Blame the architecture that --build names, trained as declared on the run's images or on those of --data."""
    from tfcollapse.data.dataset import load
    from tfcollapse.diagnosis.blame.experiment import blame_build

    ours = [text for text in parsed.settings if text.startswith("network.")]
    if ours:
        raise ConfigError(
            f"--set {ours[0]}: expected no setting of the network beside --build, which brings its own: change it in "
            f"'{parsed.build}'"
        )
    theirs = [text for text in parsed.settings if text.startswith("data.")]
    if parsed.data is not None and theirs:
        raise ConfigError(f"--set {theirs[0]}: expected --data or settings of the data, received both")
    build = function_in_file("--build", parsed.build)
    shallower = None if parsed.shallower is None else function_in_file("--shallower", parsed.shallower)
    if parsed.data is None:
        images = load(declared.data, data_dir=parsed.data_dir).train
    else:
        images = named_data(parsed.data, parsed.data_dir)
    return blame_build(
        build,
        images,
        objective=declared.objective,
        training=declared.training,
        shallower=shallower,
        seed=declared.seed,
        out=parsed.out,
        say=say,
    )
