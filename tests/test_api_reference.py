"""The API reference: every public name has an example that runs, and the pages are built and their links resolve."""

import doctest
import html.parser
import inspect
import os
import re
import subprocess
import sys

import numpy as np
import pytest
from processes import ROOT, python

import tfcollapse as tc

SLOW = {"export", "train_together", "theory.basin.barrier_bound"}
"""Names whose examples start processes of their own, or search for seconds."""
WORDS = re.compile(r"(?<![\w/])tfcollapse(?:\.\w+)+")


def public():
    """Every public object by its name: what `tfcollapse.__all__` lists, and what its packages and modules hold."""
    names = {}
    for name in tc.__all__:
        if name != "__version__":
            value = getattr(tc, name)
            names |= of_module(value) if inspect.ismodule(value) else {name: value}
    return names


def of_module(module):
    """The public names of a package or a module: those that its `__all__` lists, or else its functions and classes."""
    short = module.__name__.removeprefix("tfcollapse.")
    own = [name for name, value in vars(module).items() if getattr(value, "__module__", None) == module.__name__]
    names = {}
    for name in getattr(module, "__all__", [name for name in own if not name.startswith("_")]):
        value = getattr(module, name)
        names |= of_module(value) if inspect.ismodule(value) else {f"{short}.{name}": value}
    return names


NAMES = public()


def test_the_first_page_names_every_public_name():
    named = set(re.findall(r"`(?:tfcollapse\.)?(\w+)`", tc.__doc__))
    assert named - {"__all__"} == set(tc.__all__) - {"__version__"}
    for package in (tc.theory, tc.lab):
        assert {name for name in package.__all__ if f"`{package.__name__}.{name}`" not in package.__doc__} == set()


@pytest.mark.parametrize("name", NAMES)
def test_a_docstring_says_what_the_name_does(name):
    value = NAMES[name]
    first = value.__doc__.splitlines()[0]
    assert first.endswith((".", ":")), first
    if inspect.isfunction(value) and inspect.signature(value).parameters:
        arguments = [each for each in inspect.signature(value).parameters if not each.startswith("_")]
        unsaid = [each for each in arguments if not re.search(rf"\b{each}\b", value.__doc__)]
        assert not unsaid


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name for name in NAMES]
)
def test_an_example_runs(name, tmp_path, monkeypatch):
    text = NAMES[name].__doc__
    example = doctest.DocTestParser().get_doctest(text, {"np": np, "tc": tc}, name, None, 0)
    assert example.examples, "no example"
    (tmp_path / "results").symlink_to(ROOT / "results")
    monkeypatch.chdir(tmp_path)
    for framework in ("torch", "jax"):
        if f"import {framework}" in text:
            pytest.importorskip(framework)
    if "KERAS_BACKEND" in text:  # before Keras is imported, so in a process of its own
        pytest.importorskip("jax")
        code = f"import os; os.chdir({str(tmp_path)!r})\n{_IN_A_PROCESS}"
        answer = python(code, text, PYTHONPATH=str(ROOT))
        assert answer.returncode == 0, answer.stdout + answer.stderr
        return
    said = []
    assert doctest.DocTestRunner(verbose=False).run(example, out=said.append).failed == 0, "".join(said)


_IN_A_PROCESS = """
import doctest, sys
import numpy as np, tfcollapse as tc
example = doctest.DocTestParser().get_doctest(sys.argv[1], {"np": np, "tc": tc}, "example", None, 0)
sys.exit(doctest.DocTestRunner().run(example).failed)
"""


class Page(html.parser.HTMLParser):
    """The ids and links of a page, and its text outside of links and examples."""

    def __init__(self, text):
        super().__init__()
        self.ids, self.links, self.words, self.inside = set(), [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.ids.add(values.get("id"))
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        if tag in ("a", "pre", "h1", "script", "style", "title") or values.get("class") == "base":
            self.inside.append(tag)

    def handle_endtag(self, tag):
        if self.inside and self.inside[-1] == tag:
            self.inside.pop()

    def handle_data(self, data):
        self.words.append(" " if self.inside else data)


@pytest.mark.slow
def test_the_documented_command_builds_pages_whose_links_resolve(tmp_path):
    pytest.importorskip("pdoc")
    (command,) = re.findall(
        r"^\.venv/bin/python (.* -m pdoc .*)$", (ROOT / "CONTRIBUTING.md").read_text(), re.MULTILINE
    )
    assert "-W error" in command
    arguments = command.replace("out/docs", str(tmp_path / "docs")).split()
    answer = subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, env=os.environ)
    assert answer.returncode == 0, answer.stderr[-2000:]
    pages = {path.resolve(): Page(path.read_text()) for path in (tmp_path / "docs").rglob("*.html")}
    for path, page in pages.items():
        for link in page.links:
            if "://" not in link:
                file, _, anchor = link.partition("#")
                target = pages[(path.parent / file).resolve()] if file else page
                assert not anchor or anchor in target.ids, f"{path.name}: {link}"
        assert set(WORDS.findall("".join(page.words))) == set(), f"{path.name}: names without a page"
    ids = {place for page in pages.values() for place in page.ids if place}
    assert {name.rpartition(".")[2] for name in NAMES} <= ids
    assert not [path for path in pages if path.parent.name in ("cli", "training")]
