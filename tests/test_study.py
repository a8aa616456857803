"""A study's declaration, its table and its figure: what is wrong is said, and as what it is."""

import ast
import io
import typing

import pytest
import rich.console
from examples import table_row, tiny
from processes import ROOT

import tfcollapse as tc
from tfcollapse.cli.main import main
from tfcollapse.config.architectures import ARCHITECTURES
from tfcollapse.config.declaration import Network
from tfcollapse.config.overrides import replace
from tfcollapse.data import dataset as data
from tfcollapse.records.run_directory import RunDirectory
from tfcollapse.records.table import tidy_row, write_table
from tfcollapse.studies.display import Display
from tfcollapse.studies.study import load_study
from tfcollapse.training import trainer

DECLARATION = """from tfcollapse.claims import depth_claims
from tfcollapse.config.declaration import Run
from tfcollapse.figures import depth_figure
from tfcollapse.studies.study import Study
{line}
STUDY = Study(title="t", presets={{"quick": [Run()]}}, draw=draw, claims=depth_claims)
"""


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("def draw(:", "line 5: SyntaxError: "),
        ("draw = 1 / 0", "line 5: ZeroDivisionError: division by zero"),
        ("import no_such_package", "line 5: ModuleNotFoundError: No module named 'no_such_package'"),
        ("draw = Run(depth=3)", "line 5: ConfigError: unknown field of Run 'depth'"),
        ("raise SystemExit(0)", "line 5: SystemExit: 0"),
        ("", "line 6: NameError: name 'draw' is not defined"),
    ],
)
def test_a_declaration_that_fails_is_one_line_with_its_own_error(line, said, tmp_path, capsys, monkeypatch):
    study = tmp_path / "broken.py"
    study.write_text(DECLARATION.format(line=line))
    monkeypatch.chdir(tmp_path)
    for command in (
        ["sweep", "broken.py", "--list"],
        ["sweep", str(study), "--list"],
        ["figure", str(study), "--out", str(tmp_path)],
    ):
        assert main(command) == 2
        (error,) = capsys.readouterr().err.splitlines()
        assert f"study file '{command[1]}', {said}" in error


def test_a_missing_column_is_named_and_another_key_error_is_not_called_one(tmp_path, capsys, monkeypatch):
    study = tmp_path / "own.py"
    rows = [table_row(run_id="a", train_error=0.01, test_error=0.01)]
    write_table(tmp_path / "own.csv", rows)
    study.write_text(DECLARATION.format(line="def draw(rows): return rows[0]['sigma_histogram']"))
    assert main(["figure", str(study), "--out", str(tmp_path)]) == 2
    assert "expected a column sigma_histogram; run the sweep again" in capsys.readouterr().err
    study.write_text(DECLARATION.format(line="def draw(rows): return {}['a label that nobody gave']"))
    assert main(["figure", str(study), "--out", str(tmp_path)]) == 2
    assert "line 5: draw: KeyError: 'a label that nobody gave'" in capsys.readouterr().err
    monkeypatch.setattr("tfcollapse.studies.study._installed", lambda: {"own": study})  # as one of the package's
    with pytest.raises(KeyError, match="a label that nobody gave"):
        main(["figure", "own", "--out", str(tmp_path)])


@pytest.mark.parametrize(
    ("draw", "claims", "said"),
    [
        ("lambda rows: None", "depth_claims", ": draw: expected a matplotlib Figure, received None"),
        ("lambda rows: 1 / 0", "depth_claims", ", line 5: draw: ZeroDivisionError: division by zero"),
        ("lambda: None", "depth_claims", ": draw: TypeError: "),
        ("lambda rows: exit(0)", "depth_claims", ", line 5: draw: SystemExit: 0"),
        ("depth_figure", "lambda rows: rows[0]['no_such']", ", line 6: claims: KeyError: 'no_such'"),
        ("depth_figure", "lambda rows: None", ": claims: expected a list of Claim, received None"),
        ("depth_figure", "lambda rows: ['it holds']", ": claims: expected a list of Claim, received ['it holds']"),
    ],
)
def test_code_of_one_s_own_that_fails_is_one_line_and_the_table_is_kept(draw, claims, said, tmp_path, capsys):
    study, table = tmp_path / "own.py", tmp_path / "own.csv"
    declared = DECLARATION.replace("=depth_claims", f"={claims}")
    study.write_text(declared.format(line=f"draw = {draw}"))
    write_table(table, [table_row(run_id="a", train_error=0.01, test_error=0.01)])
    assert main(["figure", str(study), "--out", str(tmp_path)]) == 2
    (error,) = capsys.readouterr().err.splitlines()
    assert f"study file '{study}'{said}" in error
    assert f"the table '{table}' is written: mend the study file, then 'tfcollapse figure FILE.py --out " in error
    assert main(["overview", str(tmp_path), "--study", str(study)]) == (2 if claims != "depth_claims" else 0)


def test_the_printed_table_has_every_column_in_which_runs_differ():
    printed = io.StringIO()
    rows = [table_row(depth=depth, width=width, seed=seed) for depth in (1, 2) for width in (8, 16) for seed in (0, 1)]
    Display([], rich.console.Console(file=printed, width=200)).table(rows)
    header, *lines = printed.getvalue().splitlines()
    assert header.split()[:4] == ["depth", "objective", "width", "seed"]
    assert lines[2].split()[:4] == ["1", "AE", "16", "0"]
    printed.truncate(0)
    Display([], rich.console.Console(file=printed, width=200)).table(rows[:2])
    assert "width" not in printed.getvalue()


def test_every_architecture_has_a_label_of_its_depth():
    assert set(typing.get_args(typing.get_type_hints(Network)["architecture"])) == set(ARCHITECTURES)
    assert all(spec.depth_label for spec in ARCHITECTURES.values())


def test_a_sweep_has_the_study_s_own_number_of_seeds_where_none_is_asked_for():
    reach = load_study("reach")
    assert {run.seed for run in reach.runs("smoke")} == set(range(12))
    assert {run.seed for run in reach.runs("smoke", 2)} == {0, 1}
    assert {run.seed for run in load_study("fig2").runs("smoke")} == {0}


def test_the_smoke_sweep_of_one_data_set_cut_twice_has_two_columns_of_cells(tmp_path):
    runs = load_study("fig1_right").runs("smoke")
    rows = [tidy_row(RunDirectory(tmp_path / run.run_id, run)) for run in runs]
    from tfcollapse.records.relative_errors import dataset_name

    assert {dataset_name(row) for row in rows} == {"fashion_mnist_mini [:96]", "fashion_mnist_mini [:128]"}


def test_the_end_of_a_run_reads_no_image_again(tmp_path, monkeypatch):
    loads = []

    def counted(*arguments, **options):
        loads.append(arguments)
        return data.load(*arguments, **options)

    monkeypatch.setattr(trainer, "load", counted)
    for seed in (0, 1):
        result = trainer.train(tiny(seed=seed), tmp_path)
        assert result["pca_error"] > 0
    assert len(loads) == 2  # once a run, at its start
    other = trainer.train(replace(tiny(), {"data.train": 100}), tmp_path)
    assert other["mean_predictor_error"] != result["mean_predictor_error"]  # the spectrum is that of its own images


@pytest.mark.parametrize("path", sorted((ROOT / "runs").glob("*.py")), ids=lambda path: path.stem)
def test_a_declaration_imports_from_the_public_package_alone(path):
    imports = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, (ast.Import, ast.ImportFrom))]
    assert all(isinstance(node, ast.ImportFrom) and node.module == "tfcollapse" for node in imports)
    names = {alias.name for node in imports for alias in node.names}
    assert names <= set(tc.__all__)


PLANTED = "import pathlib\npathlib.Path('executed').write_text(__file__)\nSTUDY = None\n"


def test_a_file_that_nobody_has_named_is_never_executed(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    for name in ("__init__", "fig1_left", "gamma", "mine"):
        (tmp_path / "runs" / f"{name}.py").write_text(PLANTED)
        write_table(tmp_path / f"{name}.csv", [table_row(run_id="a", train_error=0.01, test_error=0.01)])
    for command in (["report", "."], ["figure", "--out", "."], ["overview", "."], ["sweep", "fig1_left", "--list"]):
        assert main(command) == 0
    capsys.readouterr()
    for command in (["sweep", "mine", "--list"], ["figure", "mine", "--out", "."]):
        assert main(command) == 2
        (error,) = capsys.readouterr().err.splitlines()
        assert error.endswith("or the path of a .py file, such as runs/mine.py")
    assert not (tmp_path / "executed").exists()
    assert main(["sweep", "runs/mine.py", "--list"]) == 2
    assert (tmp_path / "executed").read_text().endswith("mine.py")


def test_pages_show_a_study_of_ones_own_where_its_file_is_named(tmp_path, capsys):
    study = tmp_path / "own.py"
    study.write_text(DECLARATION.format(line="draw = depth_figure").replace('title="t"', 'title="What is mine"'))
    write_table(tmp_path / "own.csv", [table_row(run_id="a", train_error=0.01, test_error=0.01)])
    page, named = tmp_path / "page.html", ["--study", str(study)]
    said = f" FILE.py names a study of your own, such as that of '{tmp_path / 'own.csv'}'\n"
    for command in (["report", str(tmp_path), "-o", str(page)], ["overview", str(tmp_path)]):
        assert main(command) == 2
        assert capsys.readouterr().err.endswith(f": --study{said}")
    assert main(["figure", "--out", str(tmp_path)]) == 2
    assert capsys.readouterr().err.endswith(f": STUDY as{said}")
    write_table(tmp_path / "fig1_left.csv", [table_row(train_error=0.01, test_error=0.01)])
    for command in (["report", str(tmp_path), "-o", str(page)], ["overview", str(tmp_path)]):
        assert main(command) == 0
        assert capsys.readouterr().err == f"tfcollapse: left out: --study{said}"
    assert main(["figure", "--out", str(tmp_path)]) == 0
    assert capsys.readouterr().err == f"tfcollapse: left out: STUDY as{said}"
    assert main(["report", str(tmp_path), "-o", str(page), *named]) == 0
    assert "What is mine" in page.read_text()
    assert capsys.readouterr().err == ""
    assert main(["overview", str(tmp_path), *named]) == 0
    assert "(own.md)" in (tmp_path / "README.md").read_text()
