"""`tfcollapse bench`: time training steps against other ways to train the same networks."""

from __future__ import annotations

import argparse
import json
import pathlib
from typing import TYPE_CHECKING, Any

from tfcollapse.cli.announcement import announce, counted
from tfcollapse.cli.arguments import add_json, add_settings, number, place, whole_number
from tfcollapse.errors import ConfigError

if TYPE_CHECKING:
    from tfcollapse.config.declaration import Run

HELP = "time a training step against Keras' fit, PyTorch and pythae"
DESCRIPTION = """\
Time a training step of tfcollapse against the same network in Keras' fit, in a
PyTorch loop and in pythae's trainer, where those are installed, and against a
large matrix product. All take turns in windows of --seconds, so that a slow
moment of the machine meets all of them."""
EXAMPLES = (
    ("one case, with short windows", "tfcollapse bench --cases dense-1-ae --windows 3 --seconds 0.2"),
    ("every case, with the page and its record", "tfcollapse bench --out out/bench"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_json(parser)
    parser.add_argument(
        "--cases",
        metavar="NAMES",
        help="only these networks, such as dense-2-vae,convolutional-1 (default: all ten; --set makes one of its own)",
    )
    parser.add_argument(
        "--windows", type=whole_number, default=7, metavar="N", help="how many windows each is timed in (default: 7)"
    )
    parser.add_argument(
        "--seconds", type=number, default=1.0, metavar="S", help="the length of a window, in seconds (default: 1)"
    )
    parser.add_argument(
        "--throughput",
        type=number,
        metavar="S",
        help="also train each dense network in one process a core at once, for S seconds (default: not)",
    )
    parser.add_argument(
        "--out", type=place, metavar="DIR", help="write bench.md and its record there (default: nothing is written)"
    )
    add_settings(parser)


def run(parsed: argparse.Namespace) -> int:
    """Time the cases that are asked for, or the one that the settings make. Raises UserError."""
    if parsed.windows < 1 or parsed.seconds <= 0:
        raise ConfigError(f"--windows, --seconds: expected > 0, received {parsed.windows}, {parsed.seconds}")
    if parsed.throughput is not None and parsed.throughput <= 0:
        raise ConfigError(f"--throughput: expected > 0, received {parsed.throughput}")
    if parsed.settings and parsed.cases:
        raise ConfigError("--cases, --set: expected one of them: settings make a case of their own")
    from tfcollapse import backend
    from tfcollapse.records.files import check_writable
    from tfcollapse.reports import bench_page
    from tfcollapse.training.progress import duration

    own = _own_case(parsed.settings) if parsed.settings else None
    backend.start()
    from tfcollapse.bench.record import bench_record, expected_seconds
    from tfcollapse.bench.steps import chosen_cases

    cases = {"as set": own} if own else chosen_cases(parsed.cases or "all")
    if parsed.out:
        check_writable(pathlib.Path(parsed.out))
    seconds = expected_seconds(cases, parsed.windows, parsed.seconds, parsed.throughput)
    announce(f"{counted(len(cases), 'network')} to time", f"about {duration(seconds)}", parsed.out, json=parsed.json)

    def say(case: str, facts: dict[str, Any]) -> None:
        if not parsed.json:
            print("\n".join(bench_page.terminal_lines(case, facts)), flush=True)

    record = bench_record(cases, parsed.windows, parsed.seconds, parsed.throughput, parsed.command_line, say)
    if parsed.json:
        print(json.dumps(record, indent=1))
    if parsed.out:
        paths = bench_page.write(pathlib.Path(parsed.out), record)
        if not parsed.json:
            print("wrote", ", ".join(map(str, paths)))
    return 0


def _own_case(settings: list[str]) -> Run:
    """Return the case that the settings make. Raises ConfigError where one of the ways to train does not have it."""
    from tfcollapse.config.overrides import configured

    own = configured(None, settings)
    if own.objective.kl_constraint != "none" or own.objective.importance_samples > 1:
        raise ConfigError(
            f"--set: expected an objective that every way to train has, an AE's or eq. (4), received "
            f"'{own.objective.label}': leave out objective.kl_constraint and objective.importance_samples"
        )
    if own.training.encoder_ahead:
        raise ConfigError(
            f"--set: expected an optimiser that every way to train has, received training.encoder_ahead="
            f"{own.training.encoder_ahead}: leave it out"
        )
    return own
