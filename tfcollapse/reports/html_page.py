"""Write blocks as one HTML page that needs no network. All escaping of HTML is in this file."""

from __future__ import annotations

import html
import importlib.resources
import pathlib
from collections.abc import Sequence

from tfcollapse.records.files import check_replaceable, disk_errors, replacing
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
    Number,
    Paragraph,
    Strong,
    Table,
    one_line,
    parts,
    printable,
    url,
)
from tfcollapse.reports.svg import svg

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src 'self' data:"

_FEW = 3
"""The largest number of columns of a table that a narrow screen shows as a list."""

MARK = '<meta name="generator" content="tfcollapse">'
"""What every page says in its head. A file without it is not replaced."""
_MARKS = (MARK.encode(), _POLICY.encode())  # pages of earlier versions have the policy alone


def write_html(path: pathlib.Path, title: str, blocks: Sequence[Block], skip: Link | None = None) -> pathlib.Path:
    """Write a page whole or not at all, with the folder that it is in, and return its path.

    Raises:
      RunError: the disk cannot be written, or there is something else than a page of ours.
    """
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path, *_MARKS) as partial:
        partial.write_text(html_page(title, blocks, skip), encoding="utf-8")
    return path


def check_html(path: pathlib.Path) -> None:
    """Check, before any work is done in vain, that a page may be written at `path`. Raises RunError."""
    check_replaceable(path, *_MARKS)


def html_page(title: str, blocks: Sequence[Block], skip: Link | None = None) -> str:
    """Return a whole page.

    Args:
      title: of the browser's window.
      blocks: the page.
      skip: a link to the main part, for a reader who moves by keyboard.
    """
    style, script = (
        importlib.resources.files("tfcollapse.reports").joinpath(name).read_text()
        for name in ("report.css", "report.js")
    )
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        f"{MARK}\n"
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{_text(title)}</title>\n<style>\n{style}</style>\n</head>\n<body>\n"
        + (f'<a class="skip" href="{skip.address}">{_text(skip.text)}</a>\n' if skip else "")
        + f"<main>\n{html_blocks(blocks)}\n</main>\n<script>\n{script}</script>\n</body>\n</html>\n"
    )


def html_blocks(blocks: Sequence[Block]) -> str:
    """Return the blocks as HTML."""
    return "\n".join(_block(block) for block in blocks)


def _block(block: Block) -> str:
    match block:
        case Heading():
            anchor = f" {_id(block.anchor)}" if block.anchor else ""
            return f"<h{block.level}{anchor}>{_inline(block.content)}</h{block.level}>"
        case Paragraph():
            return f"<p>{_inline(block.content)}</p>"
        case Bullets():
            return "<ul>" + "".join(f"<li>{_inline(item)}</li>" for item in block.items) + "</ul>"
        case Table():
            return _table(block)
        case Figure():
            return _figure(block)
        case Listing():
            return f"<pre>\n{html.escape(printable(block.text))}</pre>"  # a parser drops the first line break
        case Details():
            summary = f"<summary>{_inline(block.summary)}</summary>"
            return f"<details {_id(block.anchor)}>{summary}\n{html_blocks(block.blocks)}\n</details>"


def _table(table: Table) -> str:
    titles, caption = [_inline(title) for title in table.header], ""
    columns = "few" if len(titles) <= _FEW and not table.sortable else "many"
    if table.sortable:
        columns, caption = f"{columns} sortable", "<caption>Press a heading to sort by it.</caption>"
        titles = [f'<button type="button">{title}</button>' for title in titles]
    head = "".join(f'<th scope="col">{title}</th>' for title in titles)
    body = "\n".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in table.rows)
    opening = f'<div class="wide"><table class="{columns}">{caption}'
    return f"{opening}<thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody></table></div>"


def _cell(content: Content) -> str:
    if isinstance(content, Number) and content.value is not None:
        return f'<td class="number" data-value="{content.value!r}">{_text(content.text)}</td>'
    return f"<td>{_inline(content)}</td>"


def _figure(figure: Figure) -> str:
    alt = _text(figure.alt)
    if isinstance(figure.source, str):
        return f'<figure><img src="{url(figure.source)}" alt="{alt}"></figure>'
    return f'<figure role="img" aria-label="{alt}">{svg(figure.source, figure.alt)}</figure>'


def _inline(content: Content) -> str:
    return "".join(map(_part, parts(content)))


def _part(part: str | Mark) -> str:
    match part:
        case str():
            return _text(part)
        case Strong():
            return f"<strong>{_text(part.text)}</strong>"
        case Code():
            return f"<code>{_text(part.text)}</code>"
        case Link():
            return f'<a href="{part.address}">{_text(part.text)}</a>'
        case Number():
            return _text(part.text)


def _id(anchor: str) -> str:
    return f'id="{html.escape(printable(anchor))}"'


def _text(text: str) -> str:
    """Return text for an element or for an attribute in quotation marks."""
    return html.escape(one_line(text))
