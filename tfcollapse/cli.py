"""The command line: parses and calls, decides nothing."""

from __future__ import annotations

import argparse
import json
import pathlib
import shlex
import signal
import sys
from collections.abc import Sequence
from typing import NoReturn

from tfcollapse.errors import ConfigError, RunError, Terminated, UserError
from tfcollapse.grammar import parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Exit status: 0; 1 where some runs of a sweep did not finish, or a check of the theory lab fails; 2 for a user's
    mistake, a single run that diverges among them; 130 for Ctrl-C, 143 for SIGTERM, what was trained saved.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    parsed = parser().parse_args(arguments)
    parsed.command_line = shlex.join(["tfcollapse", *arguments])
    signal.signal(signal.SIGTERM, _terminate)
    try:
        return _COMMANDS[parsed.command](parsed)
    except UserError as error:
        print(f"tfcollapse: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        return 1
    except OSError as error:
        print(f"tfcollapse: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(_STOPPED, file=sys.stderr)
        return 130
    except Terminated as error:
        print(_STOPPED, file=sys.stderr)
        return int(error.code)


_STOPPED = "tfcollapse: stopped; the same command goes on from the last checkpoints"


def _terminate(number: int, frame: object) -> NoReturn:
    raise Terminated


def _place(parsed: argparse.Namespace) -> tuple[str, pathlib.Path]:
    """The study's name and its directory."""
    name = pathlib.Path(parsed.study).stem
    return name, pathlib.Path(parsed.out or f"out/{name}-{parsed.preset}")


def declared_runs(parsed: argparse.Namespace):
    """The study that a sweep's arguments name, and the runs they make of it."""
    from tfcollapse.study import load_study
    from tfcollapse.variants import apply_settings, shorten

    study = load_study(parsed.study)
    runs = study.runs(parsed.preset, parsed.seeds)
    if parsed.steps is not None:
        runs = [shorten(run, parsed.steps) for run in runs]
    return study, apply_settings(runs, parsed.settings)


def _sweep(parsed: argparse.Namespace) -> int:
    study, runs = declared_runs(parsed)
    name, out = _place(parsed)
    if parsed.list:
        from tfcollapse.listing import lines

        print("\n".join(lines(runs, out / "runs", parsed.data_dir)))
        return 0
    if parsed.index is not None:
        if not 0 <= parsed.index < len(runs):
            raise ConfigError(f"--index: expected 0 to {len(runs) - 1}, received {parsed.index}")
        return _train_one(runs[parsed.index], out / "runs", parsed)
    rows = _train_all(runs, out, f"{name}.csv", parsed)
    missing = [row for row in rows if row["status"] != "finished"]
    if len(missing) < len(rows):
        _draw(name, study, out)
    for row in missing:
        print(f"tfcollapse: {row['run_id']}: {row['status']}: {row['reason']}", file=sys.stderr)
    if missing:
        print(f"tfcollapse: {len(missing)} of {len(rows)} runs did not finish", file=sys.stderr)
    return 1 if missing else 0


def _train_all(runs, out: pathlib.Path, table: str, parsed: argparse.Namespace):
    from tfcollapse import data
    from tfcollapse.display import Display
    from tfcollapse.ray_sweep import ray_sweep
    from tfcollapse.record import check_writable
    from tfcollapse.sweep import sweep, unfinished
    from tfcollapse.table import check_same_sweep, write_table
    from tfcollapse.training.strategy import workers

    jobs = _jobs(parsed.jobs)
    if workers() is not None:
        raise ConfigError("TF_CONFIG names several workers, and a sweep runs on one machine: train with --index I")
    if parsed.ray is not None and (parsed.strategy, parsed.devices) != ("auto", None):
        raise ConfigError("--strategy, --devices: not with --ray, which gives every run its devices: --cpus, --gpus")
    if parsed.ray is None and (parsed.cpus, parsed.gpus) != (None, None):
        raise ConfigError("--cpus, --gpus: expected --ray beside them; without it, --jobs says how many runs at a time")
    check_same_sweep(out / table, runs)
    waiting = unfinished(runs, out / "runs")
    for wanted in {run.data for run in waiting}:  # once, before any worker, so that a bad one stops the sweep here
        data.load(wanted, data_dir=parsed.data_dir)
    check_writable(out)
    if len(waiting) < len(runs):
        print(f"{len(runs) - len(waiting)} of {len(runs)} runs have ended before and are kept")
    with Display(waiting) as display:
        watch = {"data_dir": parsed.data_dir, "report": display.update, "ended": display.ended}
        if parsed.ray is None:
            placement = {"strategy": parsed.strategy, "devices": parsed.devices}
            rows = sweep(runs, out / "runs", jobs=jobs, placement=placement, **watch)
        else:
            rows = ray_sweep(runs, out / "runs", address=parsed.ray, cpus=parsed.cpus, gpus=parsed.gpus, **watch)
    rows = [row | {"command": parsed.command_line} for row in rows]
    write_table(out / table, rows)
    display.table(rows)
    return rows


def _jobs(text: str) -> int | None:
    if text == "auto":
        return None
    if not text.isdigit() or int(text) < 1:
        raise ConfigError(f"--jobs: expected 'auto' or a whole number >= 1, received '{text}'")
    return int(text)


def _train(parsed: argparse.Namespace) -> int:
    from tfcollapse.variants import configured

    return _train_one(configured(parsed.config, parsed.settings), pathlib.Path(parsed.out), parsed)


def _train_one(run, out: pathlib.Path, parsed: argparse.Namespace) -> int:
    from tfcollapse.display import Display
    from tfcollapse.record import RunDirectory
    from tfcollapse.table import tidy_row
    from tfcollapse.training import strategy

    here = strategy.workers()
    if here is not None:
        print(f"worker {here[0]} of {here[1]} starts, and waits for the others", flush=True)
    strategy.make(parsed.strategy, parsed.devices)  # before TensorFlow's first operation
    from tfcollapse.training.trainer import train

    placement = {"data_dir": parsed.data_dir, "strategy": parsed.strategy, "devices": parsed.devices}
    with Display([run]) as display:
        result = train(run, out, report=display.update, **placement)
        display.ended(run, result)
    if here is not None and here[0] > 0:
        print(f"worker {here[0]} of {here[1]} is done; worker 0 holds the record")
    else:
        display.table([tidy_row(RunDirectory(out / run.run_id, run))])
        print(f"{out / run.run_id}")
    if result["status"] != "finished":
        raise RunError(f"{run.run_id}: {result['reason']}")
    return 0


def _figure(parsed: argparse.Namespace) -> int:
    from tfcollapse.study import load_study, study_names

    out = pathlib.Path(parsed.out)
    from tfcollapse import findings

    if not parsed.study and findings.read(out):
        print("wrote", ", ".join(map(str, findings.draw(out))))
        return 0
    studies = [parsed.study] if parsed.study else [name for name in study_names() if (out / f"{name}.csv").exists()]
    if not studies:
        raise ConfigError(f"--out '{out}': expected the table of a study, such as fig1_left.csv, found none")
    for study in studies:
        _draw(pathlib.Path(study).stem, load_study(study), out)
    return 0


def _pictures(parsed: argparse.Namespace) -> int:
    from tfcollapse.figures.style import save
    from tfcollapse.quiet import import_tensorflow

    _, runs = declared_runs(parsed)
    name, out = _place(parsed)
    import_tensorflow()
    from tfcollapse.pictures import pictures

    paths = save(pictures(runs, out / "runs", data_dir=parsed.data_dir), out / f"{name}-pictures")
    print("wrote", ", ".join(map(str, paths)))
    return 0


def _draw(name: str, study, out: pathlib.Path) -> None:
    from tfcollapse import report
    from tfcollapse.figures.style import save
    from tfcollapse.record import replacing
    from tfcollapse.table import read_table

    rows = read_table(out / f"{name}.csv")
    try:
        figure, page = study.draw(rows), report.page(name, study, rows)
    except KeyError as error:
        raise RunError(f"table '{out / name}.csv': expected a column {error}; run the sweep again") from None
    paths = save(figure, out / name)
    with replacing(out / f"{name}.md") as partial:
        partial.write_text(page)
    print("wrote", ", ".join(str(path) for path in [*paths, out / f"{name}.md", out / f"{name}.csv"]))


def _theory(parsed: argparse.Namespace) -> int:
    from tfcollapse import findings
    from tfcollapse.quiet import import_tensorflow
    from tfcollapse.record import check_writable

    out = pathlib.Path(parsed.out)
    import_tensorflow()
    from tfcollapse.lab import laboratory

    names, found = laboratory.sections(parsed.section, parsed.table), []
    laboratory.check(names, vars(parsed))
    check_writable(out)
    for name in names:
        found.append(laboratory.find(name, vars(parsed)))
        if not parsed.json:
            print("\n".join(findings.lines(found[-1])), flush=True)
        findings.write(out, found[-1])
    paths = findings.draw(out)
    if parsed.json:
        print(json.dumps(found, indent=1))
    else:
        print("wrote", ", ".join(map(str, paths)))
    failed = sum(check["verdict"] == "fails" for each in found for check in each["checks"])
    if failed:
        print(f"tfcollapse: {failed} of {sum(len(each['checks']) for each in found)} checks fail", file=sys.stderr)
    return 1 if failed else 0


def _diagnose(parsed: argparse.Namespace) -> int:
    from tfcollapse.quiet import import_tensorflow

    import_tensorflow()
    from tfcollapse.diagnosis import commands

    return commands.diagnose_command(parsed) if parsed.command == "diagnose" else commands.blame_command(parsed)


def _export(parsed: argparse.Namespace) -> int:
    from tfcollapse.quiet import import_tensorflow

    import_tensorflow()
    from tfcollapse.saved_model import export_run

    run, target = pathlib.Path(parsed.run), pathlib.Path(parsed.target)
    found = export_run(run, target, input_type=parsed.input, force=parsed.force)
    for name, signature in found["signatures"].items():
        print(f"{name}: {_names(signature['inputs'])} -> {_names(signature['outputs'])}")
    print(f"wrote {found['path']}; a fresh process answers within {found['largest_difference']:.1g} of this one")
    return 0


def _names(tensors: dict[str, str]) -> str:
    return ", ".join(f"{name} {text}" for name, text in tensors.items())


def _report(parsed: argparse.Namespace) -> int:
    from tfcollapse.webpage import report

    print(f"wrote {report(pathlib.Path(parsed.directory), pathlib.Path(parsed.output))}")
    return 0


def _describe(parsed: argparse.Namespace) -> int:
    from tfcollapse.quiet import import_tensorflow
    from tfcollapse.variants import configured

    run = configured(None, parsed.settings)
    try:
        height, width, channels = (int(part) for part in parsed.image_shape.split(","))
        if min(height, width, channels) < 1:
            raise ValueError
    except ValueError:
        raise ConfigError(f"--image-shape: expected H,W,C such as 28,28,1, received '{parsed.image_shape}'") from None
    import_tensorflow()
    from tfcollapse.describe import describe, lines

    facts = describe(run, (height, width, channels))
    print(json.dumps(facts, indent=1) if parsed.json else "\n".join(lines(facts)))
    return 0


def _data(parsed: argparse.Namespace) -> int:
    from tfcollapse import data, prepared
    from tfcollapse.config import Data

    if parsed.action == "list":
        print("\n".join(prepared.prepared_names(parsed.data_dir)))
        return 0
    if not parsed.name:
        raise ConfigError("data prepare: expected the name of a dataset")
    images = data.load(Data(name=parsed.name), data_dir=parsed.data_dir)
    print(f"{images.source}: {len(images.train)} train and {len(images.test)} test images of {images.image_shape}")
    return 0


def _bench(parsed: argparse.Namespace) -> int:
    from tfcollapse.quiet import import_tensorflow
    from tfcollapse.variants import configured

    run = configured(None, parsed.settings)
    if parsed.steps < 1:
        raise ConfigError(f"--steps: expected >= 1, received {parsed.steps}")
    import_tensorflow()
    from tfcollapse.bench import bench, lines

    facts = bench(run, parsed.steps)
    print(json.dumps(facts, indent=1) if parsed.json else "\n".join(lines(facts)))
    return 0


_COMMANDS = {
    "sweep": _sweep,
    "pictures": _pictures,
    "train": _train,
    "figure": _figure,
    "theory": _theory,
    "diagnose": _diagnose,
    "blame": _diagnose,
    "report": _report,
    "export": _export,
    "describe": _describe,
    "data": _data,
    "bench": _bench,
}
