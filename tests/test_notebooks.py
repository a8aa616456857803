"""The tutorials: what they show is what their code prints, and they are small enough to be read and compared."""

import pathlib

import nbformat
import pytest

notebooks = pytest.importorskip("notebooks", reason="nbclient is not installed", exc_type=ImportError)

RUNS = pathlib.Path(__file__).parents[1] / "runs"
NAMES = ("tutorial.ipynb", "tutorial_pytorch.ipynb")
LARGEST = 500_000
AGAIN = "write the outputs again: .venv/bin/python tests/tools/notebooks.py runs/"


def shown(name):
    return nbformat.read(RUNS / name, as_version=4)


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_is_kept_as_it_was_executed(name):
    notebook = shown(name)
    nbformat.validate(notebook)
    cells = notebooks.code_cells(notebook)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1)), AGAIN + name
    assert {output.output_type for cell in cells for output in cell.outputs} <= {
        "stream",
        "execute_result",
        "display_data",
    }
    assert not [output.text for cell in cells for output in cell.outputs if output.get("name") == "stderr"]
    assert any("image/png" in output.get("data", {}) for cell in cells for output in cell.outputs)
    assert (RUNS / name).stat().st_size < LARGEST


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_changes_where_its_text_does_and_nowhere_else(name):
    notebook = shown(name)
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    assert not [cell.id for cell in notebook.cells if cell.metadata]
    assert all(cell.id.replace("-", "").isalpha() for cell in notebook.cells), "an id is a word, and not drawn"
    assert nbformat.writes(notebook) + "\n" == (RUNS / name).read_text()


def test_another_verdict_is_seen_and_other_digits_are_not():
    def said(text):
        output = nbformat.v4.new_output("stream", text=text)
        cell = nbformat.v4.new_code_cell(id="answer", outputs=[output])
        return notebooks.verdicts(nbformat.v4.new_notebook(cells=[cell]))

    text = "5 of 8 units are dead (category\n(v)). 3 active.\nautoencoder base: responsible\n    7\nKL weight: cleared"
    assert said(text) == {"answer": ["category (v)", "autoencoder base: responsible", "KL weight: cleared"]}
    assert said(text.replace("5 of", "6 of")) == said(text)
    assert said(text.replace("(v)", "(ii)")) != said(text)
    assert said(text.replace("cleared", "responsible")) != said(text)
    assert said("Healthy: all 8 latent units are in use.") != said("Not trained yet: no unit is active.")


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_gives_the_verdicts_that_it_shows(name):
    if "pytorch" in name:
        pytest.importorskip("torch")
    found = notebooks.verdicts(notebooks.execute(RUNS / name))
    assert found
    assert found == notebooks.verdicts(shown(name)), AGAIN + name
