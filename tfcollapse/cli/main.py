"""The command line: parses and calls, decides nothing."""

from __future__ import annotations

import argparse
import json
import pathlib
import shlex
import signal
import sys
import threading
from collections.abc import Sequence
from typing import NoReturn

from tfcollapse.cli.parser import parser
from tfcollapse.errors import ConfigError, Terminated, UserError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Exit status: 0; 1 where some runs of a sweep did not finish, or a check of the theory lab fails; 2 for a user's
    mistake, a single run that diverges among them; 130 for Ctrl-C, 143 for SIGTERM, what was trained saved.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    parsed = parser().parse_args(arguments)
    parsed.command_line = shlex.join(["tfcollapse", *arguments])
    if threading.current_thread() is threading.main_thread():
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


def _runs(parsed: argparse.Namespace) -> int:
    from tfcollapse.cli import run_commands

    return getattr(run_commands, parsed.command)(parsed)


def _theory(parsed: argparse.Namespace) -> int:
    from tfcollapse.backend import need_tensorflow
    from tfcollapse.records.run_directory import check_writable
    from tfcollapse.reports import theory_page as findings

    out = pathlib.Path(parsed.out)
    need_tensorflow("theory")
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
    from tfcollapse.backend import need_tensorflow

    need_tensorflow(parsed.command)
    from tfcollapse.cli import diagnosis_commands as commands

    return commands.diagnose_command(parsed) if parsed.command == "diagnose" else commands.blame_command(parsed)


def _export(parsed: argparse.Namespace) -> int:
    from tfcollapse.backend import need_tensorflow

    need_tensorflow("export")
    from tfcollapse.exports.saved_model import export_run

    run, target = pathlib.Path(parsed.run), pathlib.Path(parsed.target)
    found = export_run(run, target, input_type=parsed.input, force=parsed.force)
    for name, signature in found["signatures"].items():
        print(f"{name}: {_names(signature['inputs'])} -> {_names(signature['outputs'])}")
    print(f"wrote {found['path']}; a fresh process answers within {found['largest_difference']:.1g} of this one")
    return 0


def _names(tensors: dict[str, str]) -> str:
    return ", ".join(f"{name} {text}" for name, text in tensors.items())


def _report(parsed: argparse.Namespace) -> int:
    from tfcollapse.reports import report

    print(f"wrote {report(pathlib.Path(parsed.directory), pathlib.Path(parsed.output))}")
    return 0


def _describe(parsed: argparse.Namespace) -> int:
    from tfcollapse.backend import start
    from tfcollapse.config.overrides import configured

    run = configured(None, parsed.settings)
    try:
        height, width, channels = (int(part) for part in parsed.image_shape.split(","))
        if min(height, width, channels) < 1:
            raise ValueError
    except ValueError:
        raise ConfigError(f"--image-shape: expected H,W,C such as 28,28,1, received '{parsed.image_shape}'") from None
    start()
    from tfcollapse.models.description import describe, lines

    facts = describe(run, (height, width, channels))
    print(json.dumps(facts, indent=1) if parsed.json else "\n".join(lines(facts)))
    return 0


def _data(parsed: argparse.Namespace) -> int:
    from tfcollapse.config.declaration import Data
    from tfcollapse.data import dataset as data
    from tfcollapse.data import tfds as prepared

    if parsed.action == "list":
        print("\n".join(prepared.prepared_names(parsed.data_dir)))
        return 0
    if not parsed.name:
        raise ConfigError("data prepare: expected the name of a dataset")
    images = data.load(Data(name=parsed.name), data_dir=parsed.data_dir)
    print(f"{images.source}: {len(images.train)} train and {len(images.test)} test images of {images.image_shape}")
    return 0


def _bench(parsed: argparse.Namespace) -> int:
    from tfcollapse.cli.bench_command import bench

    return bench(parsed)


_COMMANDS = {
    "sweep": _runs,
    "pictures": _runs,
    "train": _runs,
    "figure": _runs,
    "overview": _runs,
    "theory": _theory,
    "diagnose": _diagnose,
    "blame": _diagnose,
    "report": _report,
    "export": _export,
    "describe": _describe,
    "data": _data,
    "bench": _bench,
}
