"""Every link of a page leads to a file that is there, and every anchor to a heading."""

import collections
import json
import os
import re
import subprocess
import urllib.parse

import pytest
from markdown_it import MarkdownIt
from processes import ROOT

if not (ROOT / ".git").exists():
    pytest.skip("the pages are those of a checkout", allow_module_level=True)

TRACKED = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
PAGES = [name for name in TRACKED.split("\0") if name.endswith((".md", ".ipynb"))]
FILES = {name for name in TRACKED.split("\0") if name}
FOLDERS = {str(parent) for name in FILES for parent in (ROOT / name).relative_to(ROOT).parents}


def page_text(name):
    """The Markdown of a page: of a notebook, that of its cells."""
    text = (ROOT / name).read_text()
    if not name.endswith(".ipynb"):
        return text
    cells = json.loads(text)["cells"]
    return "\n\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")


def tokens(text):
    """Every token of a page of Markdown, those within a line too."""
    for token in MarkdownIt("commonmark").enable("table").parse(text):
        yield token
        yield from token.children or ()


def links(text):
    """Where the links and images of a page lead."""
    return [
        token.attrs[name]
        for token in tokens(text)
        for kind, name in (("link_open", "href"), ("image", "src"))
        if token.type == kind
    ]


def anchors(text):
    """The anchors of a page's headings, as GitHub makes them: lower case, no punctuation, repeats numbered."""
    parsed = MarkdownIt("commonmark").enable("table").parse(text)
    titles = [parsed[number + 1] for number, token in enumerate(parsed) if token.type == "heading_open"]
    seen = collections.Counter()
    found = set()
    for title in titles:
        said = "".join(child.content for child in title.children)
        slug = re.sub(r"[^\w\- ]", "", said.lower()).replace(" ", "-")
        found.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
        seen[slug] += 1
    return found


def leads(page, link, read):
    """Whether a link of the page at the path `page` leads to something that is there."""
    target = urllib.parse.urlsplit(link)
    if target.scheme or target.netloc:  # no network is used
        return True
    place = (ROOT / page).parent / urllib.parse.unquote(target.path) if target.path else ROOT / page
    name = os.path.relpath(place, ROOT)
    if name not in FILES | FOLDERS:
        return False
    return not target.fragment or (name.endswith(".md") and target.fragment in anchors(read(name)))


def broken(page, text, read=page_text):
    """The links of the page at the path `page` that lead nowhere."""
    return [link for link in links(text) if not leads(page, link, read)]


def test_there_are_pages_and_they_have_links():
    assert {"README.md", "CONTRIBUTING.md", "runs/README.md", "results/README.md", "results/bench.md"} <= set(PAGES)
    assert len(links((ROOT / "README.md").read_text())) > 20


@pytest.mark.parametrize("page", PAGES)
def test_no_link_is_broken(page):
    assert broken(page, page_text(page)) == []


def test_every_page_is_reached_from_the_readme():
    reached, waiting = set(), ["README.md"]
    while waiting:
        page = waiting.pop()
        reached.add(page)
        found = (urllib.parse.urlsplit(link) for link in links(page_text(page)))
        places = {os.path.relpath((ROOT / page).parent / link.path, ROOT) for link in found if not link.netloc}
        waiting += places & set(PAGES) - reached
    assert {page for page in PAGES if not page.startswith("tests/")} == reached


def test_a_broken_link_is_found():
    there = "[a](LICENSE) ![b](results/paper/fig1_left.png) [c](#set-up) [d](runs/README.md#presets) [e](runs) <https://x.y>"
    assert broken("README.md", f"# Set-up\n\n{there}\n", lambda _: "## Set-up\n## Presets") == []
    nowhere = ["nothing.md", "#nowhere", "runs/README.md#nowhere", "../README.md", "LICENSE#x", "out/x.png"]
    text = "# Set-up\n" + " ".join(f"[x]({link})" for link in nowhere) + "\n\n| a |\n| --- |\n| [x](cell.md) |\n"
    assert broken("README.md", text, lambda _: "# Set-up") == [*nowhere, "cell.md"]


def test_anchors_are_those_of_github():
    text = "# What the paper leaves open, and `x` done\n## The paper's length\n## A\n## A\n```sh\n# no heading\n```\n"
    assert anchors(text) == {"what-the-paper-leaves-open-and-x-done", "the-papers-length", "a", "a-1"}
