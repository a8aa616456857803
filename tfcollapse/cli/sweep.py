"""`tfcollapse sweep`: train every run of a study, then draw its figure; or train one run, or list or collect them."""

from __future__ import annotations

import argparse
import functools
import pathlib
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from tfcollapse.cli.announcement import announce_training
from tfcollapse.cli.arguments import (
    DeclaredStudy,
    add_devices,
    add_study,
    automatic,
    declared_study,
    number,
    place,
    whole_number,
)
from tfcollapse.cli.train import train_one
from tfcollapse.errors import ConfigError

if TYPE_CHECKING:
    from tfcollapse.records.run_directory import Row

HELP = "train all networks of a study (a figure of the paper), and draw it"
DESCRIPTION = """\
Train all networks of a study, then write its table, its figure, and a page that
compares the figure with the paper's claims. After a stop, give the same command
again: it keeps what has finished, and goes on from the last checkpoints.

The studies are figures of the paper and experiments beyond it:
  countermeasures  what others do against collapse, at depth 10
  fig1_left        error against depth: dense networks, Fashion-MNIST
  fig1_middle      error against depth: convolutional networks, CIFAR-100
  fig1_right       error of residual AEs, on four datasets
  fig2             histograms of sigma_z: convolutional VAEs, CelebA
  fig3             error against depth: convolutional networks, ImageNet 64x64
  gamma            active units and error as a fixed gamma grows
  initialisation   fig1_left from three kinds of initial weights, to depth 20
  reach            how often training reaches a given error, by depth
  twins            whether a VAE is trained where the AE of its start is
  warmup           two kinds of KL warm-up against none"""
EXAMPLES = (
    ("the main job: 18 small networks on images that the package carries", "tfcollapse sweep fig1_left --preset quick"),
    (
        "list the runs of the paper's Figure 1 (left), with the time each takes",
        "tfcollapse sweep fig1_left --preset paper --list",
    ),
    ("see in seconds that all works", "tfcollapse sweep fig1_left --preset smoke"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_study(parser)
    parser.add_argument(
        "--jobs",
        default="auto",
        metavar="N",
        help="how many runs to train at a time; auto is one on each core where one core is enough for a network, and "
        "one in all for other networks and on a GPU (default: auto)",
    )
    parser.add_argument(
        "--together",
        default="auto",
        metavar="K",
        help="with JAX: how many runs that differ in their seeds alone to train as one program; auto is all of them on "
        "a GPU, else one (default: auto)",
    )
    parser.add_argument(
        "--list",
        action="store_true",
        help="train nothing; list the runs: index, state, time still needed on this machine, name",
    )
    parser.add_argument(
        "--collect",
        type=place,
        metavar="DIR",
        help="train nothing; copy the records of the runs that have ended to DIR, without weights, and draw table, "
        "figure and page there. The sweep may go on meanwhile",
    )
    _add_ray(parser)
    parser.add_argument(
        "--index",
        type=whole_number,
        metavar="I",
        help="train only run I of --list, counted from 0; for the job arrays of a cluster",
    )
    add_devices(parser)


def _add_ray(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--ray",
        nargs="?",
        const="",
        metavar="HOST:PORT",
        help="train on the Ray cluster of that address; without an address on the one of RAY_ADDRESS, or else on this "
        "machine. Needs the package ray",
    )
    parser.add_argument("--cpus", type=number, metavar="N", help="with --ray: CPUs of one run (default: by its size)")
    parser.add_argument(
        "--gpus", type=number, metavar="N", help="with --ray: GPUs of one run (default: 1 where there are any, else 0)"
    )


def run(parsed: argparse.Namespace) -> int:
    """Train the runs of a study, or one of them, or list or collect them. Raises UserError."""
    from tfcollapse.backend import set_threads

    set_threads(1)  # before the study imports NumPy; `train_one` sets the number of its run
    declared = declared_study(parsed)
    if parsed.list:
        from tfcollapse.studies.listing import lines

        print("\n".join(lines(declared.runs, declared.run_directories, declared.data_dir)))
        return 0
    if parsed.collect is not None:
        if parsed.index is not None:
            raise ConfigError(
                "--collect: expected the whole sweep, received --index too: leave it out; --only names a part"
            )
        return _collect(declared, parsed.collect, parsed.command_line)
    if parsed.index is not None:
        if not 0 <= parsed.index < len(declared.runs):
            raise ConfigError(f"--index: expected 0 to {len(declared.runs) - 1}, received {parsed.index}")
        devices = {"data_dir": parsed.data_dir, "strategy": parsed.strategy, "devices": parsed.devices}
        return train_one(declared.runs[parsed.index], declared.run_directories, **devices)
    sweep = _sweep_function(parsed)
    return _train(declared, sweep, parsed.command_line)


def _collect(declared: DeclaredStudy, collect_to: str, command: str) -> int:
    """Copy the records of the runs that have ended to the directory `collect_to`, and draw them there.

    Runs that have not ended are drawn as missing. The exit status is 1 where a record was damaged.
    """
    from tfcollapse.records.files import existing_directory
    from tfcollapse.reports.study_page import write_study
    from tfcollapse.studies.collect import collect, lasting_command

    target = pathlib.Path(collect_to)
    if target.resolve() == declared.out.resolve():
        raise ConfigError(f"--collect: expected a directory other than the sweep's own, received '{collect_to}'")
    if target.exists():
        existing_directory(target)
    table_path = target / declared.table_path.name
    trains = lasting_command(command)
    rows, damaged = collect(declared.runs, declared.run_directories, target / "runs", table_path, trains)
    print("wrote", ", ".join(map(str, write_study(declared.name, declared.study, target))))
    ended = sum(row["status"] != "unfinished" for row in rows)
    print(f"{ended} of {len(rows)} runs have ended; their records are in {target / 'runs'}")
    for reason in damaged:
        print(f"tfcollapse: not collected: {reason}", file=sys.stderr)
    return 1 if damaged else 0


def _sweep_function(parsed: argparse.Namespace) -> Callable[..., list[Row]]:
    """Choose what trains the runs: the worker processes of this machine, or a Ray cluster. Raises ConfigError."""
    from tfcollapse.training.strategy import workers

    jobs, together = automatic("jobs", parsed.jobs), automatic("together", parsed.together)
    if workers() is not None:
        raise ConfigError(
            "sweep: expected one machine, received a TF_CONFIG of several: train one run on all of them by --index I"
        )
    if parsed.ray is not None:
        if (parsed.strategy, parsed.devices) != ("auto", None):
            raise ConfigError(
                "--ray: expected no --strategy or --devices: with Ray, --cpus and --gpus say what a run is given"
            )
        from tfcollapse.studies.ray_sweep import ray_sweep

        return functools.partial(ray_sweep, address=parsed.ray, cpus=parsed.cpus, gpus=parsed.gpus)
    if (parsed.cpus, parsed.gpus) != (None, None):
        raise ConfigError("--cpus, --gpus: expected --ray with them; without it, --jobs says how many runs at a time")
    from tfcollapse.studies.sweep import sweep

    placement = {"strategy": parsed.strategy, "devices": parsed.devices}
    return functools.partial(sweep, jobs=jobs, together=together, placement=placement)


def _train(declared: DeclaredStudy, sweep: Callable[..., list[Row]], command: str) -> int:
    """Train the runs, and write their table, figure and page. The exit status is 1 where a run did not finish.

    A bad table, dataset or directory stops the sweep before any worker process starts.
    """
    from tfcollapse.data.dataset import load
    from tfcollapse.records.files import check_writable
    from tfcollapse.records.table import check_same_sweep, write_table
    from tfcollapse.reports.study_page import check_study, write_study
    from tfcollapse.studies.display import Display
    from tfcollapse.studies.schedule import unfinished

    runs, out = declared.runs, declared.run_directories
    waiting = unfinished(runs, out)
    display = Display(waiting)
    check_same_sweep(declared.table_path, runs)
    check_study(declared.name, declared.study, declared.out)
    if len(waiting) < len(runs):
        print(f"{len(runs) - len(waiting)} of {len(runs)} runs have ended before and are kept")
    announce_training(waiting, out, declared.out, declared.data_dir)
    for data in {run.data for run in waiting}:
        load(data, data_dir=declared.data_dir)
    check_writable(declared.out)
    with display:
        rows = sweep(runs, out, data_dir=declared.data_dir, report=display.update, ended=display.ended)
    rows = [row | {"command": command} for row in rows]
    write_table(declared.table_path, rows)
    display.table(rows)
    missing = [row for row in rows if row["status"] != "finished"]
    if len(missing) < len(rows):
        print("wrote", ", ".join(map(str, write_study(declared.name, declared.study, declared.out))))
    for row in missing:
        print(f"tfcollapse: {row['run_id']}: {row['status']}: {row['reason']}", file=sys.stderr)
    if missing:
        print(f"tfcollapse: {len(missing)} of {len(rows)} runs did not finish", file=sys.stderr)
    return 1 if missing else 0
