"""`tfcollapse train`: train one run."""

from __future__ import annotations

import argparse
import os
import pathlib
from typing import TYPE_CHECKING

from tfcollapse.cli.announcement import announce_training
from tfcollapse.cli.arguments import DEEPEST_VAE, add_config, add_data_dir, add_devices, add_settings, place
from tfcollapse.errors import RunError

if TYPE_CHECKING:
    from tfcollapse.config.declaration import Run

HELP = "train one AE or VAE, as the paper does or with settings of your own"
DESCRIPTION = """\
Train one AE or VAE, and keep its record, checkpoints and model in a directory
of its own. Without --set it is the paper's dense VAE with two hidden layers, on
Fashion-MNIST, for 250,000 steps. The same command again goes on from the last
checkpoint, or keeps a run that has finished."""
EXAMPLES = (
    (
        "a VAE with four hidden layers, 500 steps on images that the package carries",
        "tfcollapse train --set network.depth=4 --set training.steps=500 --set data.name=fashion_mnist_mini",
    ),
    (
        "the deepest VAE of the main job again, with He's initial weights",
        f"tfcollapse train --config {DEEPEST_VAE}/config.json --set network.initializer=he_normal",
    ),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "--out",
        type=place,
        default="out/runs",
        metavar="DIR",
        help="the run gets a directory in DIR (default: out/runs)",
    )
    add_config(parser)
    add_settings(parser)
    add_data_dir(parser)
    add_devices(parser)


def run(parsed: argparse.Namespace) -> int:
    """Train the run that a configuration and settings declare. Raises UserError."""
    from tfcollapse.config.overrides import configured

    return train_one(
        configured(parsed.config, parsed.settings),
        pathlib.Path(parsed.out),
        data_dir=parsed.data_dir,
        strategy=parsed.strategy,
        devices=parsed.devices,
    )


def train_one(run: Run, out: pathlib.Path, *, data_dir: str | None, strategy: str, devices: str | None) -> int:
    """Train `run` in `out`, show its progress and its result, and return the exit status.

    Args:
      out, data_dir, strategy, devices: as `tfcollapse.train` takes them.

    Raises:
      RunError: the run did not finish.
      UserError: as `tfcollapse.train`.
    """
    from tfcollapse.backend import set_threads
    from tfcollapse.records.run_directory import RunDirectory
    from tfcollapse.training import strategy as strategies
    from tfcollapse.training.threads import threads_of

    number, count = strategies.workers() or (0, 1)
    one_device = count == 1 and devices is None and strategy in ("auto", "one")
    directory, cores = RunDirectory(out / run.run_id, run), len(os.sched_getaffinity(0))
    set_threads(threads_of(directory, cores, one_device=one_device))  # before NumPy and the framework start
    from tfcollapse.records.table import tidy_row
    from tfcollapse.studies.display import Display

    if count > 1:
        print(f"worker {number} of {count} starts, and waits for the others", flush=True)
    if number == 0:
        announce_training([run], out, directory.path, data_dir)
    strategies.make(strategy, devices)  # before TensorFlow's first operation
    from tfcollapse.training.trainer import train

    with Display([run]) as display:
        result = train(run, out, data_dir=data_dir, report=display.update, strategy=strategy, devices=devices)
        display.ended(run, result)
    if number > 0:
        print(f"worker {number} of {count} is done; worker 0 holds the record")
    else:
        display.table([tidy_row(directory)])
        print(f"wrote {directory.path}")
    if result["status"] != "finished":
        raise RunError(f"{run.run_id}: {result['reason']}")
    return 0
