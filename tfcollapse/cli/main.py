"""Dispatch: the commands there are, the one parser over them, and what becomes of a user's mistake."""

from __future__ import annotations

import argparse
import shlex
import signal
import sys
import threading
from collections.abc import Sequence
from types import ModuleType
from typing import NoReturn

import tfcollapse
from tfcollapse.cli import (
    bench,
    blame,
    data,
    describe,
    diagnose,
    export,
    figure,
    overview,
    pictures,
    report,
    sweep,
    taxonomy,
    theory,
    train,
)
from tfcollapse.errors import Terminated, UserError

COMMANDS: tuple[ModuleType, ...] = (
    sweep,
    pictures,
    train,
    figure,
    overview,
    report,
    theory,
    diagnose,
    blame,
    taxonomy,
    export,
    describe,
    data,
    bench,
)
"""Each has HELP, `add_arguments(parser)` and `run(parsed)`, and is called as its file is."""

_STOPPED = "tfcollapse: stopped; the same command goes on from the last checkpoints"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Exit status: 0; 1 where some runs of a sweep did not finish, a check of the theory lab fails, or a verdict on a
    constructed VAE is wrong; 2 for a user's mistake, a single run that diverges among them; 130 for Ctrl-C, 143 for
    SIGTERM, what was trained saved.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    parsed = parser().parse_args(arguments)
    parsed.command_line = shlex.join(["tfcollapse", *arguments])
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _terminate)
    try:
        return parsed.run_command(parsed)
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


def parser() -> argparse.ArgumentParser:
    """Make the parser of the whole command line, from each command's own arguments."""
    whole = argparse.ArgumentParser(prog="tfcollapse", description=tfcollapse.__doc__)
    whole.add_argument("--version", action="version", version=tfcollapse.__version__)
    commands = whole.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in COMMANDS:
        own = commands.add_parser(name_of(command), help=command.HELP, description=command.HELP)
        own.set_defaults(run_command=command.run)
        command.add_arguments(own)
    return whole


def name_of(command: ModuleType) -> str:
    """The word that calls a command."""
    return command.__name__.rpartition(".")[2]


def _terminate(number: int, frame: object) -> NoReturn:
    raise Terminated
