"""The table of verdict categories is the only list of them, and the guide's table agrees with it."""

import ast
import dataclasses
import pathlib
import re
import string

import pytest

import tfcollapse
from tfcollapse.diagnosis.categories import CATEGORIES
from tfcollapse.diagnosis.measurements import Measurements

PACKAGE = pathlib.Path(tfcollapse.__file__).parent
GUIDE = PACKAGE / "diagnosis" / "README.md"


def test_the_categories_are_the_paper_s_five_and_those_of_whole_models():
    of_models = ["not trained", "inconsistent"]
    assert list(CATEGORIES) == ["healthy", "in use", "i", "ii", "iii", "iv", "v", "undecided", *of_models]
    assert [name for name, category in CATEGORIES.items() if not category.harmful] == ["healthy", "in use", "i"]
    assert [name for name, category in CATEGORIES.items() if category.by_decoder] == ["iii", "iv"]


def test_dead_units_are_labelled_in_an_order_without_ties():
    labelled = sorted((category.order, name) for name, category in CATEGORIES.items() if category.order)
    assert [name for _, name in labelled] == ["v", "ii", "undecided", "iii", "iv", "i"]
    assert [order for order, _ in labelled] == list(range(1, len(labelled) + 1))


def test_a_numbered_category_is_shown_by_its_number():
    assert CATEGORIES["iii"].title == "category (iii)"
    assert CATEGORIES["healthy"].title == "healthy"
    assert CATEGORIES["undecided"].title == "undecided"


@pytest.mark.parametrize("category", CATEGORIES.values(), ids=list(CATEGORIES))
def test_the_words_ask_only_for_what_the_advice_gives(category):
    fields = [
        {field for _, field, _, _ in string.Formatter().parse(words) if field is not None}
        for words in (category.why, category.next_step)
    ]
    assert fields[0] <= {"scale", "too_large", "more"}
    assert fields[1] <= {"enough", "less_weight", "blame", "kept", "settle", "mend"}
    assert category.next_step


def literal_lists(tree):
    """The string constants of every tuple, list, set and dictionary written out in a module."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.Tuple, ast.List, ast.Set)):
            yield [element.value for element in node.elts if isinstance(element, ast.Constant)]
        elif isinstance(node, ast.Dict):
            yield [key.value for key in node.keys if isinstance(key, ast.Constant)]


def test_nothing_else_in_the_package_lists_the_categories():
    listing = [
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*.py")
        for strings in literal_lists(ast.parse(path.read_text()))
        if len(set(strings) & set(CATEGORIES)) > 3  # a rule of `verdict` decides between three
    ]
    assert listing == []


def test_the_guide_s_table_has_every_category_in_order():
    if not GUIDE.is_file():
        pytest.skip("the guide is not installed with the package")
    lines = GUIDE.read_text().splitlines()
    start = lines.index(next(line for line in lines if line.startswith("| verdict | when")))
    rows = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        rows.append(line.split("|")[1].strip())
    assert len(rows) == len(CATEGORIES)
    for row, category in zip(rows, CATEGORIES.values(), strict=True):
        assert row.startswith(f"({category.name}) " if category.numbered else category.name), row


def test_the_guide_s_table_has_every_measurement():
    if not GUIDE.is_file():
        pytest.skip("the guide is not installed with the package")
    section = GUIDE.read_text().partition("\n## The measurements\n")[2].partition("\n## ")[0]
    cells = [line.split(" | ")[0] for line in section.splitlines() if line.startswith("| `")]
    named = {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}
    assert named == {field.name for field in dataclasses.fields(Measurements)}
