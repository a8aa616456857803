"""Define what a page consists of: blocks such as a heading or a table, and marks within a line of text.

A page is a sequence of blocks. `markdown` and `html_page` write it; they alone know how to escape text.
"""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib import figure


@dataclass(frozen=True)
class Strong:
    """Text that stands out."""

    text: str


@dataclass(frozen=True)
class Code:
    """A command, a path or a name, as it is typed."""

    text: str


@dataclass(frozen=True)
class Link:
    """A link to a file beside the page, or to an anchor of the page.

    Attributes:
      text: what the reader sees.
      target: a relative path, or "#" and the name of an anchor. It is a plain name: `address` encodes it.
    """

    text: str
    target: str

    @property
    def address(self) -> str:
        """The target as a URL: see `url`."""
        return url(self.target)


@dataclass(frozen=True)
class Number:
    """A number and the text that shows it. A sortable table sorts by the number.

    Attributes:
      value: None for a number that is missing.
      text: what the reader sees.
    """

    value: float | None
    text: str


Mark = Strong | Code | Link | Number
Content = str | Mark | tuple[str | Mark, ...]
"""One line of text: plain, one mark, or several parts in a row. Plain text may hold any characters."""


@dataclass(frozen=True)
class Heading:
    """A heading.

    Attributes:
      level: 1 for the page's title, then 2 to 6.
      content: its text.
      anchor: the name by which links reach it on an HTML page; empty for none.
    """

    level: int
    content: Content
    anchor: str = ""


@dataclass(frozen=True)
class Paragraph:
    """A paragraph of text."""

    content: Content


@dataclass(frozen=True)
class Bullets:
    """A list of points."""

    items: Sequence[Content]


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
      header: one cell a column.
      rows: each has as many cells as the header.
      sortable: whether a reader of the HTML page may sort it.

    Raises:
      ValueError: a row has more or fewer cells than the header.
    """

    header: Sequence[Content]
    rows: Sequence[Sequence[Content]]
    sortable: bool = False

    def __post_init__(self) -> None:
        """Refuse a row of another length."""
        for row in self.rows:
            if len(row) != len(self.header):
                raise ValueError(f"Table: expected {len(self.header)} cells, received {len(row)}: {row}")


@dataclass(frozen=True)
class Figure:
    """A figure.

    Attributes:
      alt: what it shows, for a reader who does not see it.
      source: the path of an image file beside the page, or the figure itself, which an HTML page holds as SVG.
    """

    alt: str
    source: str | figure.Figure


@dataclass(frozen=True)
class Listing:
    """Lines that keep their breaks and spaces, such as a file's text."""

    text: str


@dataclass(frozen=True)
class Details:
    """Blocks that an HTML page shows on demand.

    Attributes:
      anchor: the name by which links reach it.
      summary: the line that is always shown.
      blocks: the rest.
    """

    anchor: str
    summary: Content
    blocks: Sequence[Block]


Block = Heading | Paragraph | Bullets | Table | Figure | Listing | Details

_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")


def prose(text: str) -> tuple[str | Mark, ...]:
    """Return a sentence of ours as content: what stands between two backticks is `Code`."""
    pieces = re.split(r"`([^`]+)`", text)
    return tuple(Code(piece) if index % 2 else piece for index, piece in enumerate(pieces) if piece)


def parts(content: Content) -> tuple[str | Mark, ...]:
    """Return the parts of a line; neighbouring pieces of plain text are one part."""
    merged: list[str | Mark] = []
    for part in content if isinstance(content, tuple) else (content,):
        if isinstance(part, str) and merged and isinstance(merged[-1], str):
            merged[-1] += part
        else:
            merged.append(part)
    return tuple(merged)


def joined(contents: Sequence[Content], separator: str) -> Content:
    """Return several contents as one, with a separator between them."""
    line: list[str | Mark] = []
    for number, content in enumerate(contents):
        line += [separator] * bool(number) + list(parts(content))
    return tuple(line)


def one_line(text: str) -> str:
    """Return text with every run of white space as one space, and without characters that cannot be printed."""
    return printable(re.sub(r"\s+", " ", text))


def printable(text: str) -> str:
    """Return text with one kind of line break, and with U+FFFD for control characters and lone surrogates."""
    return _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", re.sub(r"\r\n?", "\n", text))


def url(target: str) -> str:
    """Return a relative path or "#anchor" as a URL. It needs no escaping, and names neither a scheme nor a host."""
    return urllib.parse.quote(target.lstrip("/"), safe="/#", errors="replace")
