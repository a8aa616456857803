"""Pages and figures replace what is ours alone: a file of ours says so, and only a regular file is replaced."""

import os
import pathlib
import re

import pytest
from examples import table_row
from processes import ROOT

from tfcollapse.cli.main import main
from tfcollapse.records.table import write_table
from tfcollapse.reports import markdown
from tfcollapse.reports.html_page import MARK

FOREIGN = b"# Notes on tfcollapse\n\nRun tfcollapse sweep, and read written pages.\n"


@pytest.fixture
def swept(tmp_path):
    """A directory with the table of a study."""
    write_table(tmp_path / "fig1_left.csv", [table_row(run_id="a", train_error=0.01, test_error=0.01)])
    return tmp_path


def _said(capsys):
    error = capsys.readouterr().err
    assert re.fullmatch(r"tfcollapse: [^\n]+\n", error)
    return error


def _commands(folder):
    yield "page.html", ["report", str(folder), "-o", str(folder / "page.html")]
    yield "README.md", ["overview", str(folder)]
    for name in ("fig1_left.md", "fig1_left.png", "fig1_left.pdf"):
        yield name, ["figure", "--out", str(folder)]


def test_a_page_is_written_again_and_a_foreign_file_stays(swept, capsys):
    for name, command in _commands(swept):
        assert main(command) == main(command) == 0
        (swept / name).write_bytes(FOREIGN)
        capsys.readouterr()
        assert main(command) == 2
        assert f"{name}' was not written by tfcollapse: expected a file of ours" in _said(capsys)
        assert (swept / name).read_bytes() == FOREIGN
        (swept / name).unlink()
    assert not list(swept.glob(".partial*"))


MAKE = {
    "link": lambda place, other: place.symlink_to(other),
    "fifo": lambda place, other: os.mkfifo(place),
    "directory": lambda place, other: place.mkdir(),
}


@pytest.mark.parametrize("kind", MAKE)
def test_only_a_regular_file_is_replaced(kind, swept, capsys):
    for name, command in _commands(swept):
        place, other = swept / name, swept / "other"
        other.write_text("mine")
        place.unlink(missing_ok=True)
        MAKE[kind](place, other)
        assert main(command) == 2
        assert f"{name}': expected a file that can be replaced, received " in _said(capsys)
        assert other.read_text() == "mine"
        place.rmdir() if kind == "directory" else place.unlink()


def test_a_sweep_or_a_diagnosis_is_refused_before_anything_is_done(tmp_path, capsys):
    (tmp_path / "fig1_left.md").write_bytes(FOREIGN)
    assert main(["sweep", "fig1_left", "--preset", "smoke", "--out", str(tmp_path)]) == 2
    assert "was not written by tfcollapse" in _said(capsys)
    assert [path.name for path in tmp_path.iterdir()] == ["fig1_left.md"]
    (tmp_path / "page.html").write_bytes(FOREIGN)
    assert main(["diagnose", str(tmp_path), "--html", str(tmp_path / "page.html")]) == 2
    assert "was not written by tfcollapse" in _said(capsys)


def test_every_committed_page_says_whose_it_is():
    for path in ROOT.glob("results/**/*.md"):
        assert path.read_text().endswith(f"\n\n{markdown.MARK}\n")
    for path in ROOT.glob("results/**/*.html"):
        assert MARK in path.read_text()


def test_a_page_of_an_earlier_version_is_known_without_a_mark(swept):
    for name, command in _commands(swept):
        assert main(command) == 0
        page = pathlib.Path(swept / name)
        if page.suffix in (".md", ".html"):
            page.write_text(page.read_text().replace(markdown.MARK, "").replace(MARK, ""))
        assert main(command) == 0
