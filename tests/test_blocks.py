"""Whatever text a block holds, a parser of the page finds that text again, in its place, and nothing else."""

import html.parser
import re
import urllib.parse

import pytest
from examples import table_row
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from matplotlib.figure import Figure as Drawing

from tfcollapse.records.table import write_table
from tfcollapse.reports import study_page
from tfcollapse.reports.blocks import (
    Bullets,
    Code,
    Details,
    Figure,
    Heading,
    Link,
    Listing,
    Number,
    Paragraph,
    Strong,
    Table,
    joined,
    one_line,
    printable,
    prose,
)
from tfcollapse.reports.html_page import html_blocks, html_page
from tfcollapse.reports.markdown import markdown
from tfcollapse.reports.provenance_table import provenance_table
from tfcollapse.studies.study import load_study

HOSTILE = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "</td></tr></table>",
    "<!-- comment",
    "<http://example.org>",
    '" onmouseover="alert(1)',
    "&lt;b&gt; &#60; & &amp",
    "a | b || c",
    "\\| \\\\| \\",
    "`code` ``two`` ```",
    "|`|",
    "**bold** __bold__ *it* _it_ ~~no~~ ~no~ a*b",
    "$x$ ^a^",
    "[text](javascript:alert(1)) ![alt](x) [ref]: /url [a][b] [ ] [",
    "[ref]: /url",
    "[x] done",
    "wow!",
    "line\nbreak\r\n\n# heading\n- item\n---\n```\n    code",
    "# heading #",
    "> quotation",
    "- item",
    "+ item",
    "* item",
    "1. item",
    "1) item",
    "---",
    "===",
    "| a |\n| --- |\n| b |",
    "trailing \\",
    "sigma_z > 0.9, Var[mu_j], fashion_mnist_mini, (b, c) = 1",
    "\x00\x1b[31m\ud800\x85\u2028",
    "*",
    "_",
    "a*",
    "a_",
    "!",
    "\\",
    "é ² 中 🙂",
)
WORDS = st.text(alphabet="ab1_ \n|`*~$<>[]()!#&;:\\-+=./\"'{}x", max_size=12)
ANY = st.one_of(st.sampled_from(HOSTILE), WORDS, st.text(max_size=12), st.lists(WORDS, max_size=3).map("".join))
TEXT = ANY.filter(lambda text: one_line(text).strip())


def every_hostile_text(test):
    """Try each hostile text, beside what Hypothesis thinks of."""
    for text in HOSTILE:
        test = example(text=text)(test)
    return test


BLOCK_TAGS = {"h1", "h2", "h3", "p", "li", "th", "td", "pre", "summary"}
MARKS = {"strong", "code", "a"}
FRAMES = {"ul", "table", "thead", "tbody", "tr", "div", "details", "figure", "img", "button", "caption"}


class Page(html.parser.HTMLParser):
    """The text of every element that holds some, by its tag; every link and image; and the tags that there are."""

    def __init__(self, text):
        super().__init__()
        self.texts, self.tags, self.links, self.images, self.rows = [], [], [], [], []
        self.attributes, self.inside = [], False
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.tags.append(tag)
        self.attributes.append((tag, values))
        if tag in BLOCK_TAGS:
            self.texts.append([tag, ""])
            self.inside = True
        if tag == "tr":
            self.rows.append(0)
        if tag in ("th", "td"):
            self.rows[-1] += 1
        if tag == "a":
            self.links.append(values["href"])
        if tag == "img":
            self.images.append((values["alt"], values["src"]))

    def handle_endtag(self, tag):
        self.inside = self.inside and tag not in BLOCK_TAGS

    def handle_data(self, data):
        if self.inside:
            self.texts[-1][1] += data

    def found(self):
        """Return every text as a browser shows it: white space counts in a listing alone."""
        return [(tag, text if tag == "pre" else " ".join(text.split())) for tag, text in self.texts]


def from_markdown(blocks):
    """A page of Markdown as a parser of CommonMark with GitHub's tables and strikethrough reads it."""
    reader = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    return Page(reader.render(markdown(blocks)))


def from_html(blocks):
    return Page(html_blocks(blocks))


READERS = pytest.mark.parametrize("reader", [from_markdown, from_html])


def without_spaces(text):
    """Return text without white space: a mark drops what stands at its edges, as a browser does at a line's."""
    return "".join(text.split())


def shown(text):
    return " ".join(one_line(text).split())


def lines(text):
    """The contents that hold a text: alone, in a mark, and among other parts."""
    return [
        text,
        Strong(text),
        Code(text),
        Number(1.5, text),
        (text, Strong(text), text),
        ("see ", Code(text), Link(text, "#x"), "(", text, ")"),
        (Strong(text), text),
        (text, Link("x", "#x")),
        joined([Link(text, "a"), Code(text), text], ", "),
    ]


def texts(text):
    """What `lines` show."""
    shows = shown(text)
    return [
        *[shows] * 4,
        shows * 3,
        f"see {shows}{shows}({shows})",
        shows * 2,
        f"{shows}x",
        f"{shows}, {shows}, {shows}",
    ]


@READERS
@every_hostile_text
@given(text=TEXT)
def test_any_line_of_text_is_shown_as_it_is_and_is_nothing_else(reader, text):
    contents = lines(text)
    blocks = [Heading(2, content) for content in contents]
    blocks += [Paragraph(content) for content in contents]
    blocks += [Bullets(contents)]
    page = reader(blocks)
    expected = [(tag, without_spaces(shows)) for tag in ("h2", "p", "li") for shows in texts(text)]
    assert [(tag, without_spaces(shows)) for tag, shows in page.found()] == expected
    assert set(page.tags) <= BLOCK_TAGS | MARKS | {"ul"}
    assert set(page.links) == {"#x", "a"}


@READERS
@given(texts=st.lists(TEXT, min_size=6, max_size=6))
def test_a_table_has_its_columns_whatever_its_cells_hold(reader, texts):
    header, first, second = texts[:2], texts[2:4], texts[4:]
    table = Table(header, [first, [Code(second[0]), (Strong(second[1]), " in ", Link(second[0], second[1]))]])
    page = reader([table, Paragraph("end")])
    assert page.rows == [2, 2, 2]
    last = f"{shown(second[1])} in {shown(second[0])}"
    cells = [*map(shown, [*header, *first]), shown(second[0]), last]
    assert [without_spaces(text) for tag, text in page.found() if tag in ("th", "td")] == list(
        map(without_spaces, cells)
    )
    assert page.found()[-1] == ("p", "end")
    assert set(page.tags) <= FRAMES | MARKS | {"th", "td", "p"}
    assert page.tags.count("a") == 1


@READERS
@every_hostile_text
@given(text=ANY)
def test_a_listing_keeps_its_lines(reader, text):
    page = reader([Listing(text), Paragraph("end")])
    (tag, listing), end = page.found()
    listing = listing.removeprefix("\n") if reader is from_html else listing.removesuffix("\n")  # as browsers do
    assert tag == "pre"
    assert listing == re.sub("\r\n|\r", "\n", printable(text))
    assert end == ("p", "end")
    assert set(page.tags) <= {"pre", "code", "p"}


@READERS
@given(text=TEXT, name=TEXT)
def test_figures_and_details_hold_their_text(reader, text, name):
    blocks = [Figure(text, name), Details(name, text, [Paragraph(text), Table([text], [[text]])]), Paragraph("end")]
    page = reader(blocks)
    ((alt, source),) = page.images
    assert without_spaces(alt) == without_spaces(shown(text))
    assert urllib.parse.urlsplit(source).scheme == ""
    assert [without_spaces(shows) for tag, shows in page.found()[-5:]] == [without_spaces(shown(text))] * 4 + ["end"]
    assert set(page.tags) <= BLOCK_TAGS | FRAMES


@pytest.mark.parametrize("target", ["javascript:alert(1)", "data:text/html,x", "a b|c.md", "x](y)", '"><b>', "//host"])
@READERS
def test_a_link_leads_to_a_name_beside_the_page_alone(reader, target):
    (address,) = reader([Paragraph(Link("here", target))]).links
    split = urllib.parse.urlsplit(address)
    assert (split.scheme, split.netloc) == ("", "")
    assert urllib.parse.unquote(address).lstrip("./") == target.lstrip("/")


@every_hostile_text
@given(text=ANY)
def test_a_whole_html_page_holds_hostile_text_as_text(text):
    page = html_page(text, [Heading(1, text, text), Details(text, Code(text), [])], Link(text, f"#{text}"))
    parsed = Page(page.partition("<main>")[2].partition("</main>")[0])
    assert set(parsed.tags) == {"h1", "details", "summary", "code"}
    assert page.count("<script") == page.count("</script>") == 1
    whole = Page(page)
    assert [values for tag, values in whole.attributes if any(name.startswith("on") for name in values)] == []


def test_a_link_reaches_its_anchor_by_any_name():
    name = "<b> 50% #1 é"
    page = Page(html_blocks([Paragraph(Link("run", f"#{name}")), Details(name, "run", [])]))
    (anchor,) = [values["id"] for tag, values in page.attributes if tag == "details"]
    assert urllib.parse.unquote(page.links[0].removeprefix("#")) == anchor == name


STRINGS = ("dataset", "machine", "command", "versions", "commit", "run_id", "reason", "objective")


@every_hostile_text
@example(text="; ; ")
@given(text=TEXT)
def test_a_study_s_page_shows_what_its_table_holds(text):
    rows = [table_row(run_id=f"{depth}", depth=depth, train_error=0.01, test_error=0.01) for depth in (1, 2)]
    rows = [row | dict.fromkeys(STRINGS, f"x{text}") | {"run_id": f"{row['run_id']}{text}"} for row in rows]
    rows[1] |= {"status": "failed", "train_error": None, "test_error": None}
    page = from_markdown(study_page.page("fig1_left", load_study("fig1_left"), rows))
    shows = without_spaces(shown(f"x{text}"))
    cells = [without_spaces(cell) for tag, cell in page.found() if tag == "td"]
    of_sessions = "; ".join(dict.fromkeys(f"x{text}".split("; ")))  # a part for each of them, shown once
    assert page.tags.count("table") == 3
    assert cells[cells.index("command") + 1] == shows
    for fact in ("commit", "hardware", "versions"):
        assert cells[cells.index(fact) + 1] == without_spaces(shown(of_sessions))
    assert any(shows in without_spaces(words) for tag, words in page.found() if tag == "p")
    assert set(page.tags) <= BLOCK_TAGS | MARKS | FRAMES
    assert len(page.links) == 1


def test_a_formula_in_a_study_s_table_is_text_in_its_figure(tmp_path):
    row = table_row(train_error=0.01, test_error=0.01, dataset="$\\frac$ 1.0")
    write_table(tmp_path / "fig1_left.csv", [row, row | {"run_id": "b", "depth": 4}])
    study_page.write_study("fig1_left", load_study("fig1_left"), tmp_path)
    figure = study_page.part_figure(load_study("fig1_left"), "", [row])
    assert "$\\frac$ 1.0" in html_blocks([Figure("drawn", figure)])


def test_how_numbers_were_made_is_said_once_for_all_records():
    made = {"command": "a", "commit": "abc", "numerics": 1, "machine": "here", "versions": {"numpy": "2", "keras": "3"}}
    row = made | {"command": "b", "versions": "numpy 2 keras 3"}
    facts = dict(provenance_table([made, row], {"seeds": "0", "images": ""}).rows)
    assert facts["command"] == (Code("a"), "; ", Code("b"))
    assert facts["versions"] == "numpy 2 keras 3"
    assert list(facts) == ["command", "commit", "numerics version", "hardware", "versions", "seeds"]


def test_committed_phrases_need_no_escaping():
    text = "sigma_z > 0.9 of Var[mu_j] <= 1e-12: 0.01 +- 7e-05 (b, c) fashion_mnist; gamma's 95% at 10-ae"
    assert markdown([Paragraph(text)]) == text + "\n"
    assert markdown([Table(["-", "a"], [["+0.5", "1. b"]])]) == "| - | a |\n| --- | --- |\n| +0.5 | 1. b |\n"


def test_a_row_of_another_length_is_refused():
    with pytest.raises(ValueError, match="expected 2 cells, received 1"):
        Table(["a", "b"], [["a"]])


def test_what_stands_between_backticks_in_our_own_sentences_is_code():
    assert prose("run `tfcollapse blame`; then") == ("run ", Code("tfcollapse blame"), "; then")
    assert prose("a lone ` stays") == ("a lone ` stays",)


def test_a_sortable_table_has_buttons_and_the_numbers_themselves():
    table = Table(["error", "run"], [[Number(0.0123456, "0.01235"), "a"], [Number(None, "-"), "b"]], sortable=True)
    page = Page(html_blocks([table]))
    assert page.tags.count("button") == 2
    assert [values for tag, values in page.attributes if tag == "td"] == [
        {"class": "number", "data-value": "0.0123456"},
        {},
        {},
        {},
    ]
    assert markdown([table]).splitlines()[2:] == ["| 0.01235 | a |", "| - | b |"]


def test_a_drawn_figure_is_svg_in_html_and_its_words_in_markdown():
    drawing = Drawing()
    drawing.text(0, 0, "<script>alert(1)</script>")
    page = html_blocks([Figure("two < three", drawing)])
    assert "<svg" in page
    assert "<script" not in page
    assert 'aria-label="two &lt; three"' in page
    assert markdown([Figure("two < three", drawing)]) == "two < three\n"
