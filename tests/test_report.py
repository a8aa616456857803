"""The HTML page: what is on it, and what a real browser makes of it without a network."""

import html.parser
import json
import os
import re
import shutil

import numpy as np
import pytest
from processes import ROOT

from tfcollapse.cli.main import main
from tfcollapse.config.declaration import Data, Network, Run
from tfcollapse.diagnosis.run_diagnosis import diagnose_run
from tfcollapse.errors import RunError
from tfcollapse.records.run_directory import runs_below
from tfcollapse.records.table import read_table
from tfcollapse.reports import sweep_page
from tfcollapse.reports.curves import curves
from tfcollapse.reports.sweep_page import report

FINDS_NOTHING = "expected the table of a study or run directories"


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """A real sweep of the smoke preset's AE and VAEs of one depth, in this process and without XLA; a VAE diagnosed."""
    out = tmp_path_factory.mktemp("sweep")
    sweep = ["sweep", "fig1_left", "--preset", "smoke", "--only", "network.depth=1", "--set", "training.jit=off"]
    sweep += ["--out", str(out)]
    assert [main([*sweep, "--index", str(index)]) for index in range(3)] == [0, 0, 0]
    assert main(sweep) == 0
    vae = next(path for path in sorted((out / "runs").iterdir()) if "-vae-" in path.name)
    diagnose_run(vae, images=128)
    report(out, out / "report.html")
    return out


class Outline(html.parser.HTMLParser):
    """Ids, links, everything that could be fetched, and the text."""

    def __init__(self, text):
        super().__init__()
        self.ids, self.links, self.fetched, self.words = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        if "id" in values:
            self.ids.append(values["id"])
        if tag == "a":
            self.links.append(values["href"])
        self.fetched += [values[name] for name in ("src", "srcset", "data", "poster", "action") if name in values]
        if tag == "link":
            self.fetched.append(values["href"])

    def handle_data(self, data):
        self.words.append(data)


def test_the_page_holds_every_run_and_fetches_nothing(swept):
    text = (swept / "report.html").read_text()
    outline = Outline(text)
    rows = read_table(swept / "fig1_left.csv")
    assert {row["run_id"] for row in rows} <= set(outline.ids)
    assert len(outline.ids) == len(set(outline.ids))
    assert not outline.fetched
    assert "url(http" not in text
    assert "@import" not in text
    assert all(
        link.startswith("#") and link[1:] in outline.ids for link in outline.links if not link.startswith("http")
    )
    words = " ".join(outline.words)
    assert rows[0]["command"] in words
    assert "1 of 2 finished VAEs have no diagnosis yet" in words
    assert f"tfcollapse diagnose {swept}" in words  # how to get the verdict that is not there


def test_the_table_of_all_runs_tells_the_arms_of_a_study_apart():
    rows = read_table(ROOT / "results/countermeasures/countermeasures.csv")
    table = sweep_page._cells(rows, {})
    apart = [tuple(line[: table.header.index("train error")]) for line in table.rows]
    assert len(set(apart)) == len(rows)


def test_a_curve_that_does_not_change_is_not_drawn(swept):
    titles = {}
    for path in (swept / "runs").iterdir():
        drawn = curves(path / "metrics.csv")
        titles[path.name.partition("-fashion")[0]] = [axes.get_title(loc="left") for axes in drawn.axes]
    assert titles["dense-1-ae"] == ["error per pixel"]  # its loss is the same, and it has neither gamma nor KL
    assert titles["dense-1-vae"] == ["loss", "error per pixel", "gamma", "KL (nats)"]


def test_a_gamma_that_changes_by_rounding_alone_is_not_drawn(tmp_path):
    lines = ["step,loss,reconstruction_error,gamma,kl", "1,3,0.2,0.01,1", "2,2,0.1,0.010000001,1", "3,2,0.1,0.01,1"]
    (tmp_path / "metrics.csv").write_text("\n".join(lines) + "\n")
    assert [axes.get_title(loc="left") for axes in curves(tmp_path / "metrics.csv").axes] == ["loss", "error per pixel"]


@pytest.mark.parametrize("value", ["nan", "-inf", "1e308"])
def test_a_curve_that_no_figure_can_show_is_refused(value, tmp_path):
    lines = ["step,loss,reconstruction_error,gamma,kl", "1,3,0.2,0.01,1", f"2,{value},0.1,0.01,1"]
    (tmp_path / "metrics.csv").write_text("\n".join(lines) + "\n")
    with pytest.raises(RunError, match=f"received '{value}'"):
        curves(tmp_path / "metrics.csv")


def test_a_verdict_stands_with_its_evidence(swept):
    vae = next(path for path in sorted((swept / "runs").iterdir()) if (path / "diagnosis.json").exists())
    verdict = json.loads((vae / "diagnosis.json").read_text())["verdict"]
    words = " ".join(Outline((swept / "report.html").read_text()).words)
    assert verdict["headline"] in words
    assert verdict["next_step"] in words
    assert all(each["reading"] in words for each in verdict["evidence"])
    assert all(f"{each['distance']:.3g}" in words for each in verdict["evidence"])
    assert "it has no posterior to diagnose" in words  # of the AEs


EVIDENCE = {"name": "KL", "value": 1.0, "threshold": 2.0, "distance": 2.0, "reading": "below"}
VERDICT = {
    "headline": "Stuck.",
    "next_step": "more steps",
    "categories": ["v"],
    "meaning": ["stuck"],
    "evidence": [EVIDENCE],
    "notes": [],
}


@pytest.mark.parametrize(
    "verdict",
    [
        {"categories": ["v"]},
        "v",
        VERDICT | {"categories": 3},
        VERDICT | {"meaning": []},
        VERDICT | {"notes": [1]},
        VERDICT | {"next_step": None},
        VERDICT | {"headline": 1},
        VERDICT | {"evidence": None},
        VERDICT | {"evidence": ["KL"]},
        VERDICT | {"evidence": [EVIDENCE | {"value": "1"}]},
        VERDICT | {"evidence": [EVIDENCE | {"reading": None}]},
    ],
)
def test_half_a_diagnosis_is_one_line(swept, tmp_path, capsys, verdict):
    copy = tmp_path / "copy"
    shutil.copytree(swept, copy)
    (found,) = copy.glob("runs/*/diagnosis.json")
    found.write_text(json.dumps({"verdict": verdict}))
    assert main(["report", str(copy), "-o", str(tmp_path / "r.html")]) == 1
    said = capsys.readouterr().err
    assert "diagnosis.json': expected a" in said
    assert said.endswith("again\n")
    assert said.count("\n") == 1


def test_what_a_config_says_cannot_become_markup(tmp_path):
    run = Run(data=Data(name="x"), network=Network(width=8))
    nasty = tmp_path / "runs" / "<img src=x onerror=alert(1)>"
    nasty.mkdir(parents=True)
    (nasty / "config.json").write_text(run.to_json())
    text = report(tmp_path, tmp_path / "report.html").read_text()
    assert "<img" not in text
    assert "&lt;img" in text


def test_a_diagnosis_of_a_stranger_is_text(swept, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(swept, copy)
    (file,) = copy.glob("runs/*/diagnosis.json")
    attack = "<script>alert(1)</script>"
    evidence = EVIDENCE | {"name": attack, "reading": attack}
    texts = {"categories": [attack], "meaning": [attack], "evidence": [evidence], "notes": [attack]}
    texts |= {"headline": attack, "next_step": attack}
    file.write_text(json.dumps({"verdict": texts}))
    page = report(copy, tmp_path / "report.html").read_text()
    assert page.count("<script") == 1  # our own
    words = Outline(page.partition("<main>")[2].partition("<script>")[0]).words
    assert sum(word.count(attack) for word in words) == 7  # in the table of cells with its meaning


def test_numbers_that_are_none_in_a_run_s_metrics_are_one_line(swept, tmp_path, capsys):
    copy = tmp_path / "copy"
    shutil.copytree(swept, copy)
    metrics = next(copy.glob("runs/*/metrics.csv"))
    metrics.write_text(metrics.read_text().replace(",", ",x", 40))
    (metrics.parent / "result.json").unlink()  # which names the sha256 of what it was made from
    assert main(["report", str(copy), "-o", str(tmp_path / "r.html")]) == 1
    said = capsys.readouterr().err
    assert "metrics.csv': expected numbers, as a run writes them" in said
    assert said.count("\n") == 1


def _of_another_run(file):
    other = next(path for path in file.parents[1].glob("*/result.json") if path != file)
    file.write_text(other.read_text())


def _replaced(make):
    return lambda file: (file.unlink(), make(file))


DAMAGE = {
    "text": lambda file: file.write_text("hello"),
    "empty object": lambda file: file.write_text("{}"),
    "another run's": _of_another_run,
    "link": _replaced(lambda file: file.symlink_to("config.json")),
    "fifo": _replaced(os.mkfifo),
    "directory": _replaced(os.mkdir),
}


@pytest.mark.parametrize(
    ("damage", "table"),
    [
        ("text", True),
        ("another run's", False),
        *(
            pytest.param(damage, True, marks=pytest.mark.slow)
            for damage in ("empty object", "link", "fifo", "directory")
        ),
    ],
)
def test_a_damaged_result_costs_one_run(damage, table, swept, tmp_path, capsys):
    shutil.copytree(swept, tmp_path, dirs_exist_ok=True)
    if not table:
        (tmp_path / "fig1_left.csv").unlink()
    file, *others = sorted(tmp_path.glob("runs/*/result.json"))
    DAMAGE[damage](file)
    assert main(["report", str(tmp_path), "-o", str(tmp_path / "page.html")]) == 1
    said = capsys.readouterr()
    assert re.fullmatch(r"tfcollapse: left out: [^\n]+\n", said.err)
    page = (tmp_path / "page.html").read_text()
    assert len(re.findall('<details id="dense-1-[^"]*-s0-[0-9a-f]*">', page)) == len(others)
    assert "Left out, since their records are damaged" in page
    list_ = ["sweep", "fig1_left", "--preset", "smoke", "--only", "network.depth=1", "--set", "training.jit=off"]
    assert main([*list_, "--out", str(tmp_path), "--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    states = {line.split()[-1]: line.split()[1] for line in lines[:-1]}
    assert states == {path.parent.name: "damaged" if path == file else "finished" for path in (file, *others)}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, FINDS_NOTHING),
        (lambda path: (path / "fig1_left.csv").write_text("a,b\n1,2\n"), "expected a column run_id"),
        (lambda path: (path / "fig1_left.csv").write_text("run_id,b\n1,2\n"), "expected a column status"),
    ],
)
def test_a_directory_without_a_sweep_is_refused_in_one_line(tmp_path, capsys, make, message):
    make(tmp_path)
    with pytest.raises(RunError, match=message):
        report(tmp_path, tmp_path / "report.html")
    assert main(["report", str(tmp_path), "-o", str(tmp_path / "report.html")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "report.html").exists()


def test_runs_are_in_numeric_order(tmp_path):
    for depth in (10, 2, 1):
        (tmp_path / f"dense-{depth}-vae").mkdir()
        (tmp_path / f"dense-{depth}-vae" / "config.json").touch()
    assert list(runs_below(tmp_path)) == ["dense-1-vae", "dense-2-vae", "dense-10-vae"]


def test_a_directory_of_runs_without_a_table_will_do(swept, tmp_path):
    shutil.copytree(swept / "runs", tmp_path / "runs")
    text = report(tmp_path, tmp_path / "report.html").read_text()
    assert all(f'<details id="{path.name}">' in text for path in (swept / "runs").iterdir())


@pytest.fixture(scope="module")
def browser():
    """A headless Chromium with the network taken away."""
    selenium = pytest.importorskip("selenium.webdriver", reason="selenium drives the browser")
    if not (shutil.which("chromium") and shutil.which("chromedriver")):
        pytest.skip("needs chromium and chromedriver")
    options = selenium.ChromeOptions()
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1200,900"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = selenium.Chrome(options=options, service=selenium.ChromeService(shutil.which("chromedriver")))
    driver.set_network_conditions(offline=True, latency=0, throughput=0)
    yield driver
    driver.quit()


def depths(browser):
    column = "[...document.querySelectorAll('table.sortable tbody tr')].map(row => row.cells[%d].textContent)"
    heads = browser.execute_script("return [...document.querySelectorAll('table.sortable th')].map(h => h.textContent)")
    return [
        float(text) if text != "-" else None
        for text in browser.execute_script(f"return {column}" % heads.index("gamma"))
    ]


def test_in_a_browser_the_table_sorts_by_keyboard_and_links_open_runs(swept, browser):
    from selenium.webdriver.common.keys import Keys

    browser.get((swept / "report.html").as_uri())
    head = browser.find_element("xpath", "//th/button[text()='gamma']")
    for order, key in (("ascending", Keys.ENTER), ("descending", Keys.SPACE)):
        head.send_keys(key)
        assert head.find_element("xpath", "..").get_attribute("aria-sort") == order
        values = [value for value in depths(browser) if value is not None]
        assert len(values) > 1
        assert values == sorted(values, reverse=order == "descending")
        assert depths(browser)[-1] is None  # an AE has no gamma
    link = browser.find_element("css selector", "table.sortable a")
    name = link.get_attribute("href").rpartition("#")[2]
    assert not browser.find_element("id", name).get_attribute("open")
    link.send_keys(Keys.ENTER)
    assert browser.find_element("id", name).get_attribute("open")
    assert browser.execute_script("return document.querySelectorAll('figure svg').length") > 1
    assert browser.execute_script("return performance.getEntriesByType('resource').length") == 0
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_in_a_browser_text_stands_out_in_light_and_dark(swept, browser, scheme):
    features = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", features)
    browser.get((swept / "report.html").as_uri())
    colours = browser.execute_script("const s = getComputedStyle(document.body); return [s.color, s.backgroundColor]")
    ink, paper = (luminance(colour) for colour in colours)
    assert (max(ink, paper) + 0.05) / (min(ink, paper) + 0.05) > 7  # WCAG 2 AAA
    assert (paper < ink) == (scheme == "dark")


def test_in_a_browser_a_narrow_window_shows_every_sentence_without_scrolling_the_page(swept, browser):
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": 400, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    )
    browser.get((swept / "report.html").as_uri())
    assert browser.execute_script("return document.documentElement.scrollWidth") <= 400
    right = (
        "return Math.max(...[...document.querySelectorAll('table.few td')].map(e => e.getBoundingClientRect().right))"
    )
    assert 0 < browser.execute_script(right) <= 400
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def luminance(colour):
    channels = np.array([float(part) for part in colour[colour.index("(") + 1 : -1].split(",")[:3]]) / 255
    linear = np.where(channels <= 0.03928, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])
