"""`tfcollapse blame`: train the AE twin and other arms that tell who is to blame for a collapse."""

from __future__ import annotations

import argparse
import json
import pathlib
import re
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from tfcollapse.cli.announcement import announce, announce_training
from tfcollapse.cli.arguments import DEEPEST_VAE, add_config, add_data_dir, add_json, add_settings, place
from tfcollapse.cli.diagnose import named_data
from tfcollapse.cli.python_file import function_in_file
from tfcollapse.errors import ConfigError

if TYPE_CHECKING:
    from tfcollapse.config.declaration import Run
    from tfcollapse.diagnosis.blame.experiment import Blame

HELP = "find what causes a collapse: depth, KL term, gamma, start, budget"
DESCRIPTION = """\
Find what causes the collapse of a VAE. The VAE is trained, then the same with
one thing changed at a time: without the KL term (an AE), shallower, with KL
warm-up, with other initial weights, with twice the steps, and so on. If the
first training shows no collapse, the others are left out. The VAE is
- a network of ours, as --config and --set declare it; or
- with --build, an architecture of your own.
The same command again goes on where it was stopped."""
EXAMPLES = (
    (
        "what causes the collapse of the deepest VAE of the main job; the command says first how long it takes",
        f"tfcollapse blame --config {DEEPEST_VAE}/config.json --page out/blame.html",
    ),
)
_CLOSED_FORM = (
    "gamma is set on every batch to the value that fits the error, eq. (10); --set objective.gamma=learned trains it "
    "instead"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_config(parser)
    parser.add_argument(
        "--build",
        metavar="FILE.py:FUNCTION",
        help="an architecture of your own: a function in a Python file, which is executed, that takes a seed and "
        "returns (encoder, decoder), two new Keras models",
    )
    parser.add_argument(
        "--shallower",
        metavar="DEPTH",
        help="the depth of the shallower networks (default: 2, or one layer less); with --build FILE.py:FUNCTION, a "
        "function that builds them (default: none are trained)",
    )
    parser.add_argument(
        "--data",
        metavar="NAME|FILE",
        help="with --build: what to train on: a .npy or .npz file, or the name of a dataset (default: Fashion-MNIST)",
    )
    parser.add_argument(
        "--out",
        type=place,
        default="out/blame",
        metavar="DIR",
        help="the directory of all trainings (default: out/blame)",
    )
    parser.add_argument(
        "--page",
        type=place,
        metavar="FILE",
        help="also write a page with a figure, the tables and every diagnosis: FILE.md or FILE.html",
    )
    add_json(parser)
    add_settings(parser)
    add_data_dir(parser)


def run(parsed: argparse.Namespace) -> int:
    """Blame a run that settings declare, or an architecture of the user's own. Raises UserError."""
    from tfcollapse.backend import check_tensorflow, import_tensorflow
    from tfcollapse.diagnosis.blame.arms import arms_of
    from tfcollapse.records.provenance import environment
    from tfcollapse.reports import blame_page

    check_tensorflow("blame")

    def say(line: str) -> None:
        print(line, file=sys.stderr if parsed.json else sys.stdout, flush=True)

    page = None if parsed.page is None else pathlib.Path(parsed.page)
    if page is not None:
        blame_page.check(page)
    declared, out = _declared(parsed.config, parsed.settings, say), pathlib.Path(parsed.out)
    if parsed.build is not None:
        result = _blame_build(parsed, declared, say)
    elif parsed.data is not None:
        raise ConfigError(
            "--data: expected --build with it: a network of ours takes its images by --set data.name=NAME"
        )
    else:
        shallower, command = _depth(parsed.shallower), parsed.command_line
        runs = list(arms_of(declared, shallower).values())
        announce_training(runs, out, out, parsed.data_dir, json=parsed.json)
        import_tensorflow()
        from tfcollapse.diagnosis.blame.experiment import blame

        result = blame(declared, out, shallower=shallower, data_dir=parsed.data_dir, command=command, say=say)
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
    if own_gamma or declared.objective.kind != "vae" or not declared.objective.has_closed_gamma:
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
    from tfcollapse.backend import import_tensorflow
    from tfcollapse.data.dataset import load

    ours = [text for text in parsed.settings if text.startswith("network.")]
    if ours:
        raise ConfigError(
            f"--set {ours[0]}: expected no setting of the network beside --build, which brings its own: change it in "
            f"'{parsed.build}'"
        )
    theirs = [text for text in parsed.settings if text.startswith("data.")]
    if parsed.data is not None and theirs:
        raise ConfigError(f"--set {theirs[0]}: expected --data or settings of the data, received both")
    work, time = "your architecture to train, one thing changed at a time", "its first steps are timed to say how long"
    announce(work, time, parsed.out, json=parsed.json)
    import_tensorflow()
    from tfcollapse.diagnosis.blame.experiment import blame_build

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
