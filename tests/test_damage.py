"""Records that are damaged at one place: report, figure and overview give a page or one line, and never a traceback."""

import random
import shutil

import pytest
from damage import damaged, one_line
from processes import ROOT

from tfcollapse.cli.main import main


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(12))
def test_a_damaged_record_is_a_page_or_one_line(seed, tmp_path, capfd):
    choose = random.Random(seed)
    shutil.copytree(ROOT / "tests" / "golden" / "finished", tmp_path / "runs", ignore=lambda *_: ["diagnosis.json"])
    shutil.copy(ROOT / "results" / "paper" / "fig1_left.csv", tmp_path)
    shutil.copy(ROOT / "results" / "bench-jax.json", tmp_path)
    (tmp_path / "theory").mkdir()
    for path in (ROOT / "results" / "theory").glob("*.json"):
        shutil.copy(path, tmp_path / "theory")
    records = [path for path in sorted(tmp_path.rglob("*")) if path.suffix in (".csv", ".json")]
    what = damaged(choose.choice(records), choose)
    for command in (
        ["report", str(tmp_path), "-o", str(tmp_path / "page.html")],
        ["figure", "--out", str(choose.choice([tmp_path, tmp_path / "theory"]))],
        ["overview", str(tmp_path)],
    ):
        status, error = main(command), capfd.readouterr().err
        assert (status, error) == (0, "") or (status in (1, 2) and one_line(error)), what
