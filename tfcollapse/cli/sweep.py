"""`tfcollapse sweep`: train every run of a study, then draw its figure; or list, collect or train one of them."""

from __future__ import annotations

import argparse
import pathlib
import sys
from typing import TYPE_CHECKING, Any

from tfcollapse.cli.arguments import add_devices, add_study, automatic, declared_study, study_directory
from tfcollapse.cli.train import train_one
from tfcollapse.errors import ConfigError

if TYPE_CHECKING:
    from tfcollapse.config.declaration import Run
    from tfcollapse.studies.study import Study

HELP = "train every run of a study, then draw its figure"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_study(parser)
    parser.add_argument("--jobs", default="auto", help="runs at a time, or 'auto'")
    parser.add_argument(
        "--together", default="auto", metavar="K", help="seeds of a cell trained as one program (JAX), or 'auto'"
    )
    parser.add_argument("--list", action="store_true", help="list the runs and their state, train nothing")
    parser.add_argument(
        "--collect",
        metavar="DIR",
        help="train nothing: copy the records of the runs that have ended to DIR, with table, figure and page of them; "
        "safe while the sweep goes on",
    )
    parser.add_argument("--ray", nargs="?", const="", metavar="HOST:PORT", help="train on a Ray cluster (extra 'ray')")
    parser.add_argument("--cpus", type=float, metavar="N", help="with --ray: CPUs of one run (default: by its size)")
    parser.add_argument(
        "--gpus", type=float, metavar="N", help="with --ray: GPUs of one run (default: 1 where there are)"
    )
    parser.add_argument("--index", type=int, metavar="I", help="train only the run of this index (job arrays)")
    add_devices(parser)


def run(parsed: argparse.Namespace) -> int:
    """Train a study's runs, or one of them, or list or collect them."""
    study, runs = declared_study(parsed)
    name, out = study_directory(parsed)
    if parsed.list:
        from tfcollapse.studies.listing import lines

        print("\n".join(lines(runs, out / "runs", parsed.data_dir)))
        return 0
    if parsed.collect is not None:
        return _collect(name, study, runs, out, parsed)
    if parsed.index is not None:
        if not 0 <= parsed.index < len(runs):
            raise ConfigError(f"--index: expected 0 to {len(runs) - 1}, received {parsed.index}")
        return train_one(runs[parsed.index], out / "runs", parsed)
    return _train(name, study, runs, out, parsed)


def _train(name: str, study: Study, runs: list[Run], out: pathlib.Path, parsed: argparse.Namespace) -> int:
    from tfcollapse.reports.study_page import write_study

    rows = _train_all(runs, out, f"{name}.csv", parsed)
    missing = [row for row in rows if row["status"] != "finished"]
    if len(missing) < len(rows):
        print("wrote", ", ".join(map(str, write_study(name, study, out))))
    for row in missing:
        print(f"tfcollapse: {row['run_id']}: {row['status']}: {row['reason']}", file=sys.stderr)
    if missing:
        print(f"tfcollapse: {len(missing)} of {len(rows)} runs did not finish", file=sys.stderr)
    return 1 if missing else 0


def _collect(name: str, study: Study, runs: list[Run], out: pathlib.Path, parsed: argparse.Namespace) -> int:
    """Keep the records of what has ended so far, and draw them; runs that have not ended are drawn as missing."""
    from tfcollapse.records.table import check_same_sweep, write_table
    from tfcollapse.reports.study_page import write_study
    from tfcollapse.studies.collect import collect, lasting_command

    target = pathlib.Path(parsed.collect)
    if parsed.index is not None:
        raise ConfigError("--collect: expected the whole sweep, received --index beside it; --only names a part")
    if not parsed.collect or target.resolve() == out.resolve():
        raise ConfigError(f"--collect: expected a directory other than the sweep's own, received '{parsed.collect}'")
    check_same_sweep(target / f"{name}.csv", runs)
    rows, damaged = collect(runs, out / "runs", target / "runs")
    write_table(target / f"{name}.csv", [row | {"command": lasting_command(parsed.command_line)} for row in rows])
    print("wrote", ", ".join(map(str, write_study(name, study, target))))
    ended = sum(row["status"] != "unfinished" for row in rows)
    print(f"{ended} of {len(rows)} runs have ended; their records are in {target / 'runs'}")
    for reason in damaged:
        print(f"tfcollapse: not collected: {reason}", file=sys.stderr)
    return 1 if damaged else 0


def _check_placement(parsed: argparse.Namespace) -> None:
    from tfcollapse.training.strategy import workers

    if workers() is not None:
        raise ConfigError("TF_CONFIG names several workers, and a sweep runs on one machine: train with --index I")
    if parsed.ray is not None and (parsed.strategy, parsed.devices) != ("auto", None):
        raise ConfigError("--strategy, --devices: not with --ray, which gives every run its devices: --cpus, --gpus")
    if parsed.ray is None and (parsed.cpus, parsed.gpus) != (None, None):
        raise ConfigError("--cpus, --gpus: expected --ray beside them; without it, --jobs says how many runs at a time")


def _train_all(runs: list[Run], out: pathlib.Path, table: str, parsed: argparse.Namespace) -> list[dict[str, Any]]:
    from tfcollapse.data.dataset import load
    from tfcollapse.records.files import check_writable
    from tfcollapse.records.table import check_same_sweep, write_table
    from tfcollapse.studies import sweep as pool
    from tfcollapse.studies.display import Display
    from tfcollapse.studies.ray_sweep import ray_sweep

    jobs, together = (automatic(name, getattr(parsed, name)) for name in ("jobs", "together"))
    _check_placement(parsed)
    check_same_sweep(out / table, runs)
    waiting = pool.unfinished(runs, out / "runs")
    for wanted in {run.data for run in waiting}:  # once, before any worker, so that a bad one stops the sweep here
        load(wanted, data_dir=parsed.data_dir)
    check_writable(out)
    if len(waiting) < len(runs):
        print(f"{len(runs) - len(waiting)} of {len(runs)} runs have ended before and are kept")
    with Display(waiting) as display:
        watch = {"data_dir": parsed.data_dir, "report": display.update, "ended": display.ended}
        if parsed.ray is None:
            placement = {"strategy": parsed.strategy, "devices": parsed.devices}
            rows = pool.sweep(runs, out / "runs", jobs=jobs, placement=placement, together=together, **watch)
        else:
            rows = ray_sweep(runs, out / "runs", address=parsed.ray, cpus=parsed.cpus, gpus=parsed.gpus, **watch)
    rows = [row | {"command": parsed.command_line} for row in rows]
    write_table(out / table, rows)
    display.table(rows)
    return rows
