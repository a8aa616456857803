"""`sweep --collect`: the records of what has ended, and what they show so far."""

import csv
import gzip
import json
import shutil

import pytest
from processes import ROOT

from tfcollapse.cli.main import main
from tfcollapse.records.table import read_table
from tfcollapse.reports import sweep_page
from tfcollapse.studies.collect import lasting_command
from tfcollapse.studies.study import load_study
from tfcollapse.training import trainer

SWEEP = ["sweep", "fig1_left", "--preset", "smoke"]


@pytest.fixture(scope="module")
def partial(tmp_path_factory):
    """A sweep of which two of six runs have ended, and one has begun."""
    out = tmp_path_factory.mktemp("partial")
    runs = load_study("fig1_left").runs("smoke")
    for run in runs[:2]:
        trainer.train(run, out / "runs")
    begun = out / "runs" / runs[2].run_id
    begun.mkdir()
    (begun / "config.json").write_text(runs[2].to_json())
    (begun / "metrics.csv").write_text("step,loss\n10,")
    return out


def files(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_what_has_ended_is_kept_and_drawn_and_the_rest_is_missing(partial, tmp_path, capsys):
    before, target = files(partial), tmp_path / "kept"
    command = [*SWEEP, "--out", str(partial), "--collect", str(target)]
    assert main(command) == 0
    assert "2 of 6 runs have ended" in capsys.readouterr().out
    assert files(partial) == before  # nothing is trained, nothing moved
    rows = read_table(target / "fig1_left.csv")
    assert [row["status"] for row in rows] == ["finished"] * 2 + ["unfinished"] * 4
    assert {row["command"] for row in rows} == {f"tfcollapse sweep fig1_left --preset smoke --out {partial}"}
    assert "4 of 6 runs missing" in (target / "fig1_left.md").read_text()
    assert (target / "fig1_left.png").stat().st_size > 10_000
    kept = {path.name for path in (target / "runs" / rows[0]["run_id"]).iterdir()}
    assert kept == {"config.json", "environment.json", "result.json", "metrics.csv.gz", "diagnostics.csv.gz"}
    first = files(target)
    assert main(command) == 0
    assert files(target) == first  # to the byte: git sees no change where there is none


def test_a_record_outlasts_the_run_it_came_from(partial, tmp_path, capsys):
    target = tmp_path / "kept"
    assert main([*SWEEP, "--out", str(partial), "--collect", str(target)]) == 0
    table = (target / "fig1_left.csv").read_text().splitlines()
    assert main([*SWEEP, "--out", str(tmp_path / "gone"), "--collect", str(target)]) == 0
    again = (target / "fig1_left.csv").read_text().splitlines()
    assert [line.rpartition(",")[0] for line in again] == [line.rpartition(",")[0] for line in table]
    (folder,) = [folder for folder in (target / "runs").iterdir() if "-ae-" in folder.name]
    with gzip.open(folder / "metrics.csv.gz", "rt", newline="") as file:
        assert [row["step"] for row in csv.DictReader(file)] == ["10", "20"]
    page = sweep_page.report(target, tmp_path / "report.html").read_text()
    assert page.count("Training curves of") == 2


def test_nothing_to_collect_another_sweep_s_table_and_one_run_are_one_line(partial, tmp_path, capsys):
    nothing = [*SWEEP, "--out", str(tmp_path / "none"), "--collect", str(tmp_path / "kept")]
    assert main(nothing) == 2
    assert "expected runs that have ended" in capsys.readouterr().err
    assert not (tmp_path / "kept").exists()
    assert main([*nothing, "--index", "0"]) == 2
    assert "expected the whole sweep" in capsys.readouterr().err
    assert main([*SWEEP, "--out", str(partial), "--collect", str(tmp_path / "kept")]) == 0
    only = [*SWEEP, "--out", str(partial), "--only", "network.depth=1", "--collect", str(tmp_path / "kept")]
    capsys.readouterr()
    assert main(only) == 2
    assert "that are not of this sweep" in capsys.readouterr().err


def test_a_damaged_record_is_named_not_kept_and_stops_no_other(partial, tmp_path, capsys):
    source, target = tmp_path / "source", tmp_path / "kept"
    shutil.copytree(partial, source)
    arguments = [*SWEEP, "--out", str(source), "--collect", str(target)]
    assert main(arguments) == 0
    before = files(target / "runs")
    first, second = (source / "runs" / run.run_id / "result.json" for run in load_study("fig1_left").runs("smoke")[:2])
    for content in ("{", "{}", '{"status": "finished"}', '{"status": "finished", "train": {"images": "x"}}'):
        first.write_text(content)
        capsys.readouterr()
        assert main(arguments) == 1, content
        (said,) = capsys.readouterr().err.splitlines()
        assert said.startswith("tfcollapse: not collected: ")
        assert files(target / "runs") == before
    assert second.exists()
    assert main([*SWEEP, "--out", str(source), "--collect", str(source)]) == 2
    assert "expected a directory other than the sweep's own" in capsys.readouterr().err


def test_a_damaged_archive_is_one_line(partial, tmp_path, capsys):
    target = tmp_path / "kept"
    assert main([*SWEEP, "--out", str(partial), "--collect", str(target)]) == 0
    packed = next((target / "runs").glob("*/metrics.csv.gz"))
    whole = packed.read_bytes()
    for content in (whole[: len(whole) // 2], whole[:30] + b"xxxx" + whole[34:], b""):
        packed.write_bytes(content)
        capsys.readouterr()
        if main(["report", str(target), "-o", str(tmp_path / "report.html")]):
            assert capsys.readouterr().err.count("\n") == 1


def test_the_command_of_a_collected_table_is_the_one_that_trains():
    for said in ("--collect results/paper", "--collect=results/paper", "--coll 'a b'"):
        assert lasting_command(f"tfcollapse sweep fig2 {said} --seeds 2") == "tfcollapse sweep fig2 --seeds 2"
    assert lasting_command("tfcollapse sweep fig2") == "tfcollapse sweep fig2"


def test_committed_records_are_the_runs_that_they_name():
    for path in ROOT.glob("results/**/runs/*/config.json"):
        result = json.loads((path.parent / "result.json").read_text())
        assert result["run_id"] == path.parent.name
        kept = {file.name for file in path.parent.iterdir()}
        assert kept == {"config.json", "environment.json", "result.json", "metrics.csv.gz", "diagnostics.csv.gz"}
