import dataclasses
import json
import pathlib
import shutil

import pytest
from examples import table_row
from processes import ROOT, python

from tfcollapse.claims.claim import NOT_RUN, NOT_TRAINED, REPRODUCED, Claim
from tfcollapse.cli.main import main
from tfcollapse.config.declaration import NUMERICS
from tfcollapse.records.table import write_table
from tfcollapse.reports import readme_table
from tfcollapse.studies.study import load_study

OVERVIEW = """
import sys
sys.modules["tensorflow"] = sys.modules["keras"] = sys.modules["tensorflow_datasets"] = None
from tfcollapse.cli.main import main
from tfcollapse.config.declaration import NUMERICS
sys.exit(main(["overview", *sys.argv[1:]]))
"""


def table(path, steps=250_000, seeds=(0,), ae=(0.01, 0.009, 0.008, 0.01, 0.012, 0.02)):
    """The table of fig1_left's preset `paper` as if it had been trained, seed by seed a little worse."""
    runs = [dataclasses.replace(run, seed=seed) for run in load_study("fig1_left").presets["paper"] for seed in seeds]
    depths = sorted({run.network.depth for run in runs})
    rows = []
    for run in runs:
        error = ae[depths.index(run.network.depth)] + 1e-4 * run.seed
        vae = {"gamma_mode": "learned", "gamma_start": 1.0, "gamma": error, "active_units": 3, "sigma_above_0.9": 0.5}
        kind = vae if run.objective.kind == "vae" else {"gamma": None, "active_units": None, "sigma_above_0.9": None}
        facts = {"run_id": run.run_id, "objective": run.objective.label, "depth": run.network.depth, "seed": run.seed}
        rows.append(table_row(**facts, **kind, train_error=error, test_error=error, kl=1.0))
        rows[-1] |= {"steps": steps, "halve_every": steps * 2 // 5}
    write_table(path, rows)


def lines(folder):
    assert main(["overview", str(folder)]) == 0
    return (folder / "README.md").read_text().splitlines()


def test_a_claim_has_its_verdict_seeds_and_standard_deviation_in_plain_words(tmp_path):
    table(tmp_path / "fig1_left.csv", seeds=(0, 1))
    falls, *_ = [line for line in lines(tmp_path) if line.startswith("| [fig1_left]")]
    assert (
        "| the AE's error first falls with depth, then rises | **reproduced** at 250,000 steps | nothing | by depth"
        in falls
    )
    assert "by depth 1: 0.01005 +- 7.1e-05," in falls
    assert "turning point at depth 4; " in falls
    assert "| 2 | 250,000 | fashion_mnist 3.0.1 (60,000) | here; 0.10 h over 36 runs | `tfcollapse sweep" in falls


def test_what_the_table_contradicts_is_not_reproduced_and_a_short_run_says_how_short(tmp_path):
    table(tmp_path / "fig1_left.csv", steps=500, ae=(0.06, 0.05, 0.04, 0.03, 0.02, 0.01))
    text = "\n".join(lines(tmp_path))
    assert (
        "first falls with depth, then rises | **not reproduced** at 500 steps | 500 steps where the paper has 250,000 |"
        in text
    )
    assert "**reproduced** at 250,000" not in text


def test_untrained_networks_give_no_verdict_and_are_counted(tmp_path):
    table(tmp_path / "fig1_left.csv", ae=(0.01, 0.009, 0.008, 0.01, 0.012, 0.086))
    falls, *_ = [line for line in lines(tmp_path) if line.startswith("| [fig1_left]")]
    assert "then rises | **not trained** at 250,000 steps |" in falls
    assert "not trained: AE depth 10; 5 of 6 runs are there and trained" in falls
    assert "over 18 runs, 3 not trained |" in falls


def test_what_has_not_been_trained_at_the_papers_length_is_not_run(tmp_path):
    table(tmp_path / "elsewhere" / "fig1_left.csv")
    found = lines(tmp_path)
    missing = {
        line.split(" | ")[0].strip("| "): line for line in found if "at the paper's length | **not run**" in line
    }
    assert set(missing) == {
        "fig1_middle",
        "fig1_right",
        "fig2",
        "fig3",
        "gamma",
        "initialisation",
        "reach",
        "twins",
        "warmup",
    } | {"countermeasures"}
    assert "| **not run** at 250,000 steps | - | 0 of 3 runs are there | 0 |" in missing["fig2"]
    # Runs that a study shares with another one count for both.
    assert "4 of 28 runs are there" in missing["gamma"]
    assert any("`tfcollapse sweep fig2 --preset paper`" in line for line in found)
    assert any(line.startswith("| [fig1_left](elsewhere/fig1_left.md)") for line in found)
    (tmp_path / "elsewhere" / "fig1_left.csv").unlink()
    table(tmp_path / "fig1_left.csv")
    rows = (tmp_path / "fig1_left.csv").read_text().splitlines()
    (tmp_path / "fig1_left.csv").write_text("\n".join(rows[:-1]) + "\n")
    assert any("| 17 of 18 runs are there | 1 | 250,000 |" in line for line in lines(tmp_path))


def test_theory_and_bench_records_stand_beside(tmp_path):
    theory, bench = tmp_path / "theory", tmp_path / "speed"
    for source in (ROOT / "results" / "theory").glob("*.json"):
        theory.mkdir(exist_ok=True)
        found = json.loads(source.read_text())
        found["made"]["numerics"] = NUMERICS
        (theory / source.name).write_text(json.dumps(found))
    record = json.loads((ROOT / "results" / "bench-tensorflow.json").read_text())
    case = record["cases"]["dense-2-vae"]
    case["speedup_over"]["keras_fit"]["median"] = 2.6
    case["fraction_of_sgemm"]["tfcollapse"]["median"] = 0.4
    for part in ("products", "updates", "drawing"):
        del case["step_ms"][part]
    bench.mkdir()
    record |= {"cases": {"dense-2-vae": case}, "command": "tfcollapse bench", "device": "CPU"}
    record["environment"]["machine"] = "here"
    (bench / "bench-tensorflow.json").write_text(json.dumps(record))
    text = "\n".join(lines(tmp_path))
    checks = json.loads((theory / "affine.json").read_text())["checks"]
    assert f"| [The affine decoder (section 4)](theory/theory.md) | {len(checks)} holds |" in text
    assert "| [dense-2-vae](speed/bench.md) | Keras `fit` | 2.5 | 2.60: reached | here, CPU |" in text
    assert "| sgemm | 0.55 | 0.40: not reached |" in text
    found["made"]["numerics"] = NUMERICS - 1
    (theory / source.name).write_text(json.dumps(found))
    assert f"not counted, made with version {NUMERICS - 1} of the numbers: " in "\n".join(lines(tmp_path))


def state(folder):
    """The lines between the marks of a README beside the results in `folder`, and the text around them."""
    readme = folder / "README.md"
    readme.write_text(f"# Mine\n\n{readme_table.BEGIN}\nold\n{readme_table.END}\n\nmine\n")
    assert main(["overview", str(folder / "out"), "--readme", str(readme)]) == 0
    before, _, rest = readme.read_text().partition(f"{readme_table.BEGIN}\n")
    inside, _, after = rest.partition(f"{readme_table.END}\n")
    return inside.splitlines()[2:], before, after


def test_the_readme_has_a_line_for_each_claim_and_one_for_a_study_that_was_not_run(tmp_path):
    table(tmp_path / "out" / "paper" / "fig1_left.csv", seeds=(0, 1))
    rows, before, after = state(tmp_path)
    assert (before, after) == ("# Mine\n\n", "\nmine\n")
    falls, stuck, above, *_ = [row for row in rows if row.startswith("| [fig1_left]")]
    assert falls.startswith(
        "| [fig1_left](out/paper/fig1_left.md) | the AE's error first falls with depth, then rises | "
    )
    assert falls.endswith(" | 250,000 steps, 2 seeds | **reproduced** |")
    assert "rank test" not in falls
    assert "depth 10 against PCA" in stuck
    assert "| holds at 0 of 6 values of depth | 250,000 steps, 2 seeds | **too close to call** |" in above
    (middle,) = [row for row in rows if row.startswith("| fig1_middle")]
    assert "then rises; and 5 more claims | 0 of 15 runs are there | 250,000 steps, 0 seeds | **not run** |" in middle
    (shared,) = [row for row in rows if row.startswith("| gamma")]
    assert "| 4 of 28 runs are there | 250,000 steps, 1 seed | **not run** |" in shared


def test_the_longest_training_of_a_claim_counts_and_what_is_missing_is_counted(tmp_path):
    table(tmp_path / "out" / "short" / "fig1_left.csv", steps=500)
    assert all("500 steps" in row for row in state(tmp_path)[0] if row.startswith("| [fig1_left]"))
    table(tmp_path / "out" / "long" / "fig1_left.csv")
    lines = (tmp_path / "out" / "long" / "fig1_left.csv").read_text().splitlines()
    (tmp_path / "out" / "long" / "fig1_left.csv").write_text(
        "\n".join([lines[0], *lines[2:]]) + "\n"
    )  # no AE of depth 1
    rows = [row for row in state(tmp_path)[0] if row.startswith("| [fig1_left]")]
    assert len(rows) == 5
    assert all(row.startswith("| [fig1_left](out/long/fig1_left.md)") for row in rows)
    (waiting,) = [row for row in rows if row.endswith("| **not run** |")]  # for the run that is missing
    assert "; and 2 more claims |" in waiting


def test_claims_share_a_line_where_they_wait_for_the_same_reason_and_are_of_one_table(tmp_path):
    reasons = [
        (NOT_RUN, "a"),
        (NOT_TRAINED, "a"),
        (NOT_RUN, "a"),
        (REPRODUCED, "a"),
        (NOT_RUN, "b"),
        (NOT_TRAINED, "a"),
    ]
    row = table_row(run_id="x", depth=1)
    judged = [
        (Claim(f"claim {number}", verdict, "so"), tmp_path / f"{name}.csv", [row])
        for number, (verdict, name) in enumerate(reasons)
    ]
    told = [line[1] for line in readme_table._of_study("study", judged, tmp_path)]
    assert told == ["claim 0; and 1 more claim", "claim 1; and 1 more claim", "claim 3", "claim 4"]


def test_claims_of_ours_are_left_to_the_overview(tmp_path):
    write_table(tmp_path / "out" / "gamma.csv", [_gamma(run) for run in load_study("gamma").runs("paper")])
    rows, _, _ = state(tmp_path)
    assert sum(row.startswith("| [gamma]") for row in rows) == 4
    assert sum("; and 2 more claims |" in row for row in rows if row.startswith("| [gamma]")) == 1
    assert not any("(ours)" in row for row in rows)
    assert "(ours)" in (tmp_path / "out" / "README.md").read_text()


def _gamma(run):
    """A row of the gamma study as if it had been trained."""
    facts = {"run_id": run.run_id, "depth": run.network.depth, "steps": 250_000, "objective": run.objective.label}
    fixed = {"gamma_mode": run.objective.gamma, "gamma_start": run.objective.gamma_start, "gamma": 0.01}
    return table_row(**facts, **fixed, train_error=0.01, test_error=0.01, kl=1.0, active_units=3, affine_active_units=3)


def test_a_readme_without_marks_is_left_alone(tmp_path, capsys):
    table(tmp_path / "fig1_left.csv")
    readme = tmp_path / "mine.md"
    both = f"{readme_table.BEGIN}\n{readme_table.END}\n"
    for text in ("# Mine\n", f"{readme_table.END}\n{readme_table.BEGIN}\n", f"{readme_table.BEGIN}\n", 2 * both):
        readme.write_text(text)
        assert main(["overview", str(tmp_path), "--readme", str(readme)]) == 2
        assert "expected one line '<!-- state of the replication" in capsys.readouterr().err
        assert readme.read_text() == text
    assert main(["overview", str(tmp_path), "--readme", str(tmp_path / "nowhere.md")]) == 2
    assert "there is no such file" in capsys.readouterr().err
    (tmp_path / "link.md").symlink_to(readme)
    assert main(["overview", str(tmp_path), "--readme", str(tmp_path / "link.md")]) == 2
    assert "expected a regular file, received a symbolic link" in capsys.readouterr().err
    assert not (tmp_path / "README.md").exists()


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_what_stands_around_the_marks_stays(tmp_path, line_end):
    table(tmp_path / "out" / "fig1_left.csv")
    readme = tmp_path / "README.md"
    before = f"a mark is the line {readme_table.BEGIN}\nkept\n"
    text = f"{before}{readme_table.BEGIN}\noutdated\n{readme_table.END}\nend"
    readme.write_bytes(text.replace("\n", line_end).encode())
    for _ in range(2):
        assert main(["overview", str(tmp_path / "out"), "--readme", str(readme)]) == 0
    found = readme.read_bytes().decode()
    assert found.count("| figure |") == found.count("\nend") == 1
    assert "outdated" not in found
    assert found.startswith(f"{before}{readme_table.BEGIN}\n| figure |".replace("\n", line_end))
    assert found.count(line_end) == found.count("\n")


def test_a_study_without_claims_has_no_line(tmp_path):
    table(tmp_path / "out" / "fig1_left.csv")
    mine = tmp_path / "mine.py"
    mine.write_text(
        "import tfcollapse as tc\nfrom tfcollapse.studies.study import load_study\n"
        "given = load_study('fig1_left')\n"
        "STUDY = tc.Study(title='Mine', presets=given.presets, draw=given.draw, claims=lambda rows: [])\n"
    )
    readme = tmp_path / "README.md"
    readme.write_text(f"{readme_table.BEGIN}\n{readme_table.END}\n")
    assert main(["overview", str(tmp_path / "out"), "--readme", str(readme), "--study", str(mine)]) == 0
    assert "mine" not in readme.read_text()


def test_a_directory_without_records_is_one_line(tmp_path, capsys):
    assert main(["overview", str(tmp_path)]) == 2
    assert "expected tables or records below it" in capsys.readouterr().err
    assert not (tmp_path / "README.md").exists()
    assert main(["overview", str(tmp_path / "nowhere")]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_the_committed_pages_are_what_the_records_give_without_tensorflow(tmp_path):
    committed, made = ROOT / "results", tmp_path / "results"
    records = [path for kind in ("csv", "json") for path in committed.rglob(f"*.{kind}") if "runs" not in path.parts]
    for path in records:
        copy = made / path.relative_to(committed)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    readme = pathlib.Path(shutil.copy(ROOT / "README.md", tmp_path))
    answer = python(OVERVIEW, str(made), "--redraw", "--readme", str(readme))
    assert answer.returncode == 0, answer.stderr
    assert readme.read_text() == (ROOT / "README.md").read_text(), "tfcollapse overview results --readme README.md"
    pages = sorted(path.relative_to(made) for path in made.rglob("*.md"))
    assert {str(page) for page in pages} >= {"README.md", "bench.md", "theory/theory.md", "paper/fig1_left.md"}
    for page in pages:
        text = (made / page).read_text().replace(str(made), "results")
        assert text == (committed / page).read_text(), page
    assert all(path.with_suffix(".png").stat().st_size > 10_000 for path in made.rglob("*.pdf"))
    assert {path.relative_to(made) for path in made.rglob("*.pdf")} >= {
        path.relative_to(made).with_suffix(".pdf") for path in made.rglob("*.csv")
    }
