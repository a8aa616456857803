"""Run the command line: the commands by groups, the parser over them, and one line for a user's mistake."""

from __future__ import annotations

import argparse
import itertools
import os
import pathlib
import shlex
import shutil
import sys
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import NoReturn

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
from tfcollapse.cli.arguments import given
from tfcollapse.errors import Terminated, UserError, unknown
from tfcollapse.training.preemption import command_signals

GROUPS: Mapping[str, tuple[ModuleType, ...]] = {
    "Reproduce the paper": (sweep, theory),
    "Diagnose a VAE": (diagnose, blame, taxonomy),
    "Train and export": (train, export, describe, data, bench),
    "Look at results": (figure, pictures, report, overview),
}
"""The commands, by what a person wants, in the order of the help.

The name of a command's file is the word that calls it. Each has HELP, its line in the list; DESCRIPTION and EXAMPLES,
which its own help begins and ends with; `add_arguments(parser)` and `run(parsed)`. An example is a comment and a
command, which can be pasted as it stands after the README's main job.
"""

_DESCRIPTION = """\
Find out whether a VAE's posterior has collapsed, how and why; and train the
networks of "The Usual Suspects? Reassessing Blame for VAE Posterior Collapse"
(Dai, Wang, Wipf, ICML 2020) again."""
_MAIN_JOB = "tfcollapse sweep fig1_left --preset quick"
_BEGIN = """\
To begin: {main_job}
(18 small networks and their figure, on images that the package carries).
'tfcollapse COMMAND --help' explains a command, with examples."""
_GOES_ON = "; the same command goes on from the last checkpoints"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command, and return the exit status.

    The status is 0 where all went well; without a command the help is printed. It is 1 where some runs of a sweep did
    not finish, a check of the theory lab fails, or the verdict on a constructed VAE is wrong. It is 2 for a user's
    mistake, and where a single run diverges. It is 130 after Ctrl-C and 143 after SIGTERM; training is saved before.

    Args:
      arguments: the words of the command line without the program's name; None takes those of the process.
    """
    ends_process = arguments is None
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    parsed, unread = parser().parse_known_args(arguments)
    if unread:
        parsed.parser.error(f"unknown argument '{unread[0]}'")
    if parsed.version:
        return _print(_versions())
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
        print(_stopped(parsed), file=sys.stderr)
        return 130
    except Terminated as error:
        print(_stopped(parsed), file=sys.stderr)
        return int(error.code)


def _stopped(parsed: argparse.Namespace) -> str:
    """Return the line of a command that was stopped. It names checkpoints only where the command writes some."""
    without = any(given(getattr(parsed, name, None)) for name in ("list", "collect", "build"))
    trains = parsed.run_command in (sweep.run, train.run, blame.run) and not without
    return f"tfcollapse: stopped{_GOES_ON if trains else ''}"


class _Parser(argparse.ArgumentParser):
    """A parser that keeps the line breaks of its own texts, and says a mistake in one line, as a UserError is said."""

    def __init__(self, **texts: str) -> None:
        super().__init__(formatter_class=argparse.RawDescriptionHelpFormatter, **texts)

    def error(self, message: str) -> NoReturn:
        said = UserError(f"{message.removeprefix('argument ')}; '{self.prog} --help' says what it takes")
        self.exit(2, f"tfcollapse: {said}\n")

    def _check_value(self, action: argparse.Action, value: object) -> None:
        """Refuse a word that is no choice, and suggest the nearest one. argparse does so from Python 3.14 on."""
        if action.choices is not None and value not in action.choices:
            raise argparse.ArgumentError(None, unknown((action.metavar or action.dest).lower(), value, action.choices))


def parser() -> argparse.ArgumentParser:
    """Make the parser of the whole command line from the arguments of every command."""
    program = _Parser(prog="tfcollapse", usage="tfcollapse COMMAND ...", description=_DESCRIPTION, epilog=_listing())
    program.set_defaults(parser=program, run_command=lambda parsed: _print(program.format_help().rstrip()))
    program.add_argument(
        "--version",
        action="store_true",
        help="print the versions of the package, of its numbers and of the backend",
    )
    commands = program.add_subparsers(prog="tfcollapse", metavar="COMMAND", help=argparse.SUPPRESS)
    for command in itertools.chain(*GROUPS.values()):
        texts = {"description": command.DESCRIPTION, "epilog": _examples(command)}
        command_parser = commands.add_parser(name_of(command), **texts)
        command_parser.set_defaults(parser=command_parser, run_command=command.run)
        command.add_arguments(command_parser)
    return program


def _listing() -> str:
    """Return every command with its line, by groups."""
    lines = []
    for group, commands in GROUPS.items():
        lines += [f"{group}:", *(f"  {name_of(command):<10}{command.HELP}" for command in commands), ""]
    return "\n".join([*lines, _BEGIN.format(main_job=_as_called(_MAIN_JOB))])


def _examples(command: ModuleType) -> str:
    """Return the examples of a command, each under a comment that says what it does."""
    needs_runs = any("out/fig1_left-quick" in line for _, line in command.EXAMPLES)
    lines = [f"examples, once '{_as_called(_MAIN_JOB)}' has ended:" if needs_runs else "examples:"]
    return "\n".join([*lines, *(f"  # {comment}\n  {_as_called(line)}" for comment, line in command.EXAMPLES)])


def _as_called(line: str) -> str:
    """Return a command that begins with "tfcollapse" as it has to be pasted, where that is not on the PATH."""
    called = sys.argv[0]
    on_path = shutil.which("tfcollapse") == os.path.abspath(called)
    if on_path or pathlib.Path(called).name != "tfcollapse":
        return line
    return shlex.quote(called) + line.removeprefix("tfcollapse")


def _print(text: str) -> int:
    print(text)
    return 0


def _versions() -> str:
    """Return the versions of the package, of the numbers and of the backend, in one line. No framework is started."""
    import tfcollapse
    from tfcollapse.backend import installed_backend
    from tfcollapse.config.declaration import NUMERICS

    return f"tfcollapse {tfcollapse.__version__}, numerics version {NUMERICS}, backend {installed_backend()}"


def name_of(command: ModuleType) -> str:
    """Return the word that calls a command."""
    return command.__name__.rpartition(".")[2]
