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
    parser.add_argument("--out", default="out/runs", help="directory of run directories (default: out/runs)")
    parser.add_argument("--config", metavar="FILE", help="a run's config.json to start from")
    add_settings(parser)
    add_data_dir(parser)
    add_devices(parser)


def run(parsed: argparse.Namespace) -> int:
    """Train the run that a configuration and settings declare."""
    from tfcollapse.config.overrides import configured

    return train_one(configured(parsed.config, parsed.settings), pathlib.Path(parsed.out), parsed)


def train_one(run: Run, out: pathlib.Path, parsed: argparse.Namespace) -> int:
    """Train `run` in `out`, on the devices that `parsed` names. Raises RunError where it does not finish."""
    from tfcollapse.records.run_directory import RunDirectory
    from tfcollapse.records.table import tidy_row
    from tfcollapse.studies.display import Display
    from tfcollapse.training import strategy

    here = strategy.workers()
    if here is not None:
        print(f"worker {here[0]} of {here[1]} starts, and waits for the others", flush=True)
    strategy.make(parsed.strategy, parsed.devices)  # before TensorFlow's first operation
    from tfcollapse.training import trainer

    placement = {"data_dir": parsed.data_dir, "strategy": parsed.strategy, "devices": parsed.devices}
    with Display([run]) as display:
        result = trainer.train(run, out, report=display.update, **placement)
        display.ended(run, result)
    if here is not None and here[0] > 0:
        print(f"worker {here[0]} of {here[1]} is done; worker 0 holds the record")
    else:
        display.table([tidy_row(RunDirectory(out / run.run_id, run))])
        print(f"{out / run.run_id}")
    if result["status"] != "finished":
        raise RunError(f"{run.run_id}: {result['reason']}")
    return 0
