"""Write blocks as Markdown, as GitHub reads it. All escaping of Markdown is in this file."""

from __future__ import annotations

import pathlib
import re
from collections.abc import Sequence

from tfcollapse.records.files import check_replaceable, replacing
from tfcollapse.reports.blocks import (
    Block,
    Bullets,
    Code,
    Content,
    Details,
    Figure,
    Heading,
    Link,
    Listing,
    Mark,
    Paragraph,
    Strong,
    Table,
    one_line,
    parts,
    printable,
    url,
)

_SPECIAL = r"""
    [\\`*~|$]                       # escapes, code, emphasis, strikethrough, cells, formulas
  | (?<![^\W_])_ | _(?![^\W_])      # emphasis; an underscore within a word is none
  | <(?=[A-Za-z/!?])                # tags and addresses
  | &(?=\#|\w+;)                    # entities
  | (?<!\S)\#                       # headings
  | !(?=\[|\Z)                      # images
  | \](?=[(\[:])                    # links and what they refer to
  | \[(?=[ xX]\])                   # tick boxes
"""
_IN_TEXT = re.compile(_SPECIAL, re.VERBOSE)
_IN_LABEL = re.compile(_SPECIAL + r"| [\[\]]", re.VERBOSE)
_AT_START = re.compile(r"\A(\d{1,9}(?=[.)](?:\s|\Z))|(?=[-+=>]))")
"""What begins a list, a quotation or a rule at the start of a line: a backslash belongs behind the match."""


MARK = "<!-- written by tfcollapse -->"
"""The last line of every page. A file without it is not replaced."""


def write_markdown(path: pathlib.Path, blocks: Sequence[Block], earlier: str = "") -> pathlib.Path:
    """Write a page whole or not at all, and return its path.

    Args:
      path: the page.
      blocks: what stands on it.
      earlier: a text by which a page of an earlier version, which has no mark, is known; empty for its heading.

    Raises:
      RunError: the disk cannot be written, or there is something else than a page of ours.
    """
    text = markdown(blocks)
    with replacing(path, *_marks(text, earlier)) as partial:
        partial.write_text(f"{text}\n{MARK}\n", encoding="utf-8")
    return path


def check_page(path: pathlib.Path, title: str) -> None:
    """Check, before any work is done in vain, that a page of this title may be written at `path`. Raises RunError."""
    check_replaceable(path, *_marks(markdown([Heading(1, title)])))


def _marks(text: str, earlier: str = "") -> tuple[bytes, bytes]:
    return MARK.encode(), (earlier or text.partition("\n")[0]).encode()


def markdown(blocks: Sequence[Block]) -> str:
    """Return the blocks as Markdown that ends with a line break."""
    return "\n\n".join(_block(block) for block in blocks) + "\n"


def _block(block: Block) -> str:
    match block:
        case Heading():
            return f"{'#' * block.level} {_line(block.content)}"
        case Paragraph():
            return _line(block.content)
        case Bullets():
            return "\n".join(f"- {_line(item)}" for item in block.items)
        case Table():
            return "\n".join([_row(block.header), _row(["---"] * len(block.header)), *map(_row, block.rows)])
        case Figure():
            alt = _label(block.alt)
            return f"![{alt}]({url(block.source)})" if isinstance(block.source, str) else _line(block.alt)
        case Listing():
            return _listing(printable(block.text))
        case Details():
            return "\n\n".join([_line(block.summary), *map(_block, block.blocks)])


def _row(cells: Sequence[Content]) -> str:
    return "| " + " | ".join(_inline(cell).strip() for cell in cells) + " |"


def _listing(text: str) -> str:
    """Return a block of code; its fence is longer than any row of backticks in it."""
    fence = "`" * max(3, *(len(ticks) + 1 for ticks in re.findall("`+", text)), 3)
    return f"{fence}\n{text}\n{fence}"


def _line(content: Content) -> str:
    """Return content that begins a line."""
    return _AT_START.sub(r"\1\\", _inline(content).strip())


def _inline(content: Content) -> str:
    line = parts(content)
    return "".join(_part(part, alone=len(line) == 1) for part in line)


def _part(part: str | Mark, *, alone: bool) -> str:
    match part:
        case str():
            return _text(part)
        case Strong():
            return _strong(one_line(part.text).strip(), alone=alone)
        case Code():
            return _code(one_line(part.text).strip())
        case Link():
            return f"[{_label(part.text)}]({part.address})"
        case _:
            return _text(part.text)


def _text(text: str) -> str:
    return _IN_TEXT.sub(r"\\\g<0>", one_line(text))


def _label(text: str) -> str:
    """Return text that stands in square brackets."""
    return _IN_LABEL.sub(r"\\\g<0>", one_line(text)).strip()


def _strong(text: str, *, alone: bool) -> str:
    """Return bold text. Asterisks beside punctuation within a line do not count as marks: there it is a tag."""
    if not text:
        return ""
    if alone or (text[0].isalnum() and text[-1].isalnum()):
        return f"**{_text(text)}**"
    return f"<strong>{_text(text)}</strong>"


def _code(text: str) -> str:
    """Return code. Between backticks nothing can be escaped: text with a backtick or a bar stands in a tag."""
    if not text:
        return ""
    return f"<code>{_text(text)}</code>" if "`" in text or "|" in text else f"`{text}`"
