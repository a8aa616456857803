"""Run the commands of a page as a reader pastes them, and hold what they print against the page.

    python3 tests/tools/pasted.py README.md                             all of them, from top to bottom
    python3 tests/tools/pasted.py README.md --only Set-up               those below one heading, or several
    python3 tests/tools/pasted.py README.md --except Set-up Tests       all others

A block of `sh` is run by bash in the directory that this is called from. The blocks of `python` below one heading are
one program for .venv/bin/python. A block of `text` right behind a block that is run is what it prints; a line "..." in
it stands for any lines. The first line of a block that cannot be run says why: ```sh not run: needs a GPU.
Every other block is `text`, `bibtex` or `yaml`. Needs nothing but Python, as the first block of a page may install it.
"""

import argparse
import dataclasses
import pathlib
import re
import resource
import subprocess
import sys
import tempfile
import time

RUN, SHOWN = ("sh", "python"), ("text", "bibtex", "yaml")
_HEADING = re.compile(r"#{1,6} (.+)")
_FENCE = re.compile(r"```(\w*) ?(.*)")


@dataclasses.dataclass
class Block:
    """A block that is to be run.

    Attributes:
      language: one of RUN.
      heading: the heading above it.
      text: its lines.
      line: the number of its first line in the page.
      not_run: why it is not run; empty where it is.
      prints: what it prints, as the page shows it; None where the page does not.
    """

    language: str
    heading: str
    text: str
    line: int
    not_run: str
    prints: str | None = None


def blocks(page: str) -> list[Block]:
    """Return the blocks of a page that are to be run. Raises ValueError for a fence that says neither yes nor no."""
    found: list[Block] = []
    heading, lines, number = "", page.splitlines(), 0
    last: Block | None = None  # with nothing but empty lines since
    while number < len(lines):
        line, number = lines[number], number + 1
        if fence := _FENCE.fullmatch(line):
            end = next((place for place in range(number, len(lines)) if lines[place].rstrip() == "```"), None)
            if end is None:
                raise ValueError(f"line {number}: expected a line ``` that ends the block, received none")
            text, start, number = "\n".join(lines[number:end]) + "\n", number + 1, end + 1
            last = _block(fence, heading, text, start, last)
            found += [last] if last else []
        elif line.lstrip("> ").startswith(("```", "~~~")):
            raise ValueError(f"line {number}: expected ``` at the beginning of the line, received {line}")
        elif line.strip():
            last = None
            heading = match[1] if (match := _HEADING.fullmatch(line)) else heading
    return found


def _block(fence: re.Match, heading: str, text: str, line: int, last: Block | None) -> Block | None:
    """Return a block that is to be run; None for another one, which may be what the `last` one prints."""
    language, rest = fence.groups()
    why = rest.removeprefix("not run: ")
    if language in SHOWN and not rest:
        if language == "text" and last:
            last.prints = text
        return None
    if language not in RUN or (rest and (why == rest or not why)):
        raise ValueError(
            f"line {line - 1}: expected ```{', ```'.join(RUN + SHOWN)} or ```sh not run: WHY, received {fence[0]}"
        )
    return Block(language, heading, text, line, why)


def programs(found: list[Block]) -> list[Block]:
    """Return what is run, in order: each block of sh, and the blocks of Python below one heading as one block."""
    merged: list[Block] = []
    for block in (block for block in found if not block.not_run):
        before = next(
            (other for other in merged if other.heading == block.heading and other.language == "python"), None
        )
        if block.language == "python" and before:
            before.text += f"\n{block.text}"
            before.prints = "".join(part or "...\n" for part in (before.prints, block.prints))
        else:
            merged.append(dataclasses.replace(block))
    return merged


def agrees(prints: str, said: str) -> bool:
    """Tell whether output is what a page shows of it."""
    pattern = "".join("(?:.*\n)*?" if line == "..." else re.escape(line) + "\n" for line in prints.splitlines())
    return re.fullmatch(pattern, "".join(f"{line.rstrip()}\n" for line in said.splitlines())) is not None


def run(program: Block) -> str:
    """Run a program, show what it prints, and return why it failed; empty where it did not."""
    print("+", program.text.rstrip().replace("\n", "\n  "), flush=True)
    start, before = time.monotonic(), _processor_seconds()
    with tempfile.TemporaryDirectory() as folder:
        command = ["bash", "-euo", "pipefail", "-c", program.text]
        if program.language == "python":
            script = pathlib.Path(folder, "pasted.py")
            script.write_text(program.text)
            command = [".venv/bin/python", str(script)]
        said = ""
        with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True) as process:
            for line in process.stdout:
                said += line
                print(line, end="", flush=True)
    seconds, of_processor = time.monotonic() - start, _processor_seconds() - before
    print(f"line {program.line}: {seconds:.0f} s, {of_processor:.0f} s of processor time", flush=True)
    if process.returncode:
        return f"exit status {process.returncode}"
    if program.prints is not None and not agrees(program.prints, said):
        return f"it does not print what the page shows:\n{program.prints}"
    return ""


def _processor_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main(arguments: list[str]) -> int:
    """Run the blocks that the command line names, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("page", type=pathlib.Path)
    parser.add_argument("--only", nargs="+", default=[], metavar="HEADING")
    parser.add_argument("--except", nargs="+", default=[], metavar="HEADING", dest="without")
    parsed = parser.parse_args(arguments)
    found = programs(blocks(parsed.page.read_text()))
    for heading in parsed.only + parsed.without:
        if heading not in {program.heading for program in found}:
            parser.error(f"{parsed.page} has no commands below '{heading}'")
    for program in found:
        if program.heading in parsed.without or (parsed.only and program.heading not in parsed.only):
            continue
        if failed := run(program):
            print(f"{parsed.page}, line {program.line}: {failed}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
