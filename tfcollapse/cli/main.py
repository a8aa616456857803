"""Run the command line: the list of commands, the parser over them, and one line for a user's mistake."""

from __future__ import annotations

import argparse
import shlex
import sys
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
from tfcollapse.training.preemption import command_signals

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
"""The commands, in the order of the help. Each has HELP, `add_arguments(parser)` and `run(parsed)`.

The name of its file is the word that calls it.
"""

_STOPPED = "tfcollapse: stopped; the same command goes on from the last checkpoints"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command, and return the exit status.

    The status is 0 where all went well. It is 1 where some runs of a sweep did not finish, a check of the theory lab
    fails, or the verdict on a constructed VAE is wrong. It is 2 for a user's mistake, and where a single run diverges.
    It is 130 after Ctrl-C and 143 after SIGTERM; training is saved before.

    Args:
      arguments: the words of the command line without the program's name; None takes those of the process.
    """
    ends_process = arguments is None
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    parsed = parser().parse_args(arguments)
    parsed.command_line = shlex.join(["tfcollapse", *arguments])
    try:
        with command_signals(ends_process=ends_process):
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


class _Parser(argparse.ArgumentParser):
    """A parser whose messages are shortened as those of a UserError are."""

    def error(self, message: str) -> NoReturn:
        super().error(str(UserError(message)))


def parser() -> argparse.ArgumentParser:
    """Make the parser of the whole command line from the arguments of every command."""
    program = _Parser(prog="tfcollapse", description=tfcollapse.__doc__)
    program.add_argument("--version", action="version", version=tfcollapse.__version__)
    commands = program.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in COMMANDS:
        command_parser = commands.add_parser(name_of(command), help=command.HELP, description=command.HELP)
        command_parser.set_defaults(run_command=command.run)
        command.add_arguments(command_parser)
    return program


def name_of(command: ModuleType) -> str:
    """Return the word that calls a command."""
    return command.__name__.rpartition(".")[2]
