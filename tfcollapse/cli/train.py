"""`tfcollapse train`: train one run."""

from __future__ import annotations

import argparse
import pathlib
from typing import TYPE_CHECKING

from tfcollapse.cli.arguments import add_data_dir, add_devices, add_settings
from tfcollapse.errors import RunError

if TYPE_CHECKING:
    from tfcollapse.config.declaration import Run

HELP = "train one run"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("--out", default="out/runs", help="the directory of run directories (default: out/runs)")
    parser.add_argument("--config", metavar="FILE", help="start from the config.json of a run")
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
    from tfcollapse.records.run_directory import RunDirectory
    from tfcollapse.records.table import tidy_row
    from tfcollapse.studies.display import Display
    from tfcollapse.training import strategy as strategies

    number, count = strategies.workers() or (0, 1)
    if count > 1:
        print(f"worker {number} of {count} starts, and waits for the others", flush=True)
    strategies.make(strategy, devices)  # before TensorFlow's first operation
    from tfcollapse.training.trainer import train

    with Display([run]) as display:
        result = train(run, out, data_dir=data_dir, report=display.update, strategy=strategy, devices=devices)
        display.ended(run, result)
    if number > 0:
        print(f"worker {number} of {count} is done; worker 0 holds the record")
    else:
        display.table([tidy_row(RunDirectory(out / run.run_id, run))])
        print(out / run.run_id)
    if result["status"] != "finished":
        raise RunError(f"{run.run_id}: {result['reason']}")
    return 0
