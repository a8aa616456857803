import gzip
import importlib.util
import math
import os
import subprocess
import sys

import numpy as np
import pytest
from examples import table_row, tiny
from processes import ROOT

from tfcollapse.config.declaration import Objective, Training
from tfcollapse.errors import RunError
from tfcollapse.records import provenance, table
from tfcollapse.records import run_directory as record
from tfcollapse.records.metrics import gamma_pace, late_fall
from tfcollapse.records.run_directory import RunDirectory


def _directory(tmp_path, run=None):
    run = run or tiny()
    return RunDirectory(tmp_path / "run", run)


def test_a_second_process_is_refused_and_a_dead_one_leaves_no_lock(tmp_path):
    holder = """
import sys; sys.path.insert(0, "tests/tools")
from examples import tiny; from tfcollapse.records.run_directory import RunDirectory; import pathlib
with RunDirectory(pathlib.Path(sys.argv[1]), tiny()).open():
    print("held", flush=True)
    sys.stdin.read()
"""
    process = subprocess.Popen(
        [sys.executable, "-c", holder, str(tmp_path / "run")],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=os.environ,
    )
    with process:
        assert process.stdout.readline() == b"held\n"
        with pytest.raises(RunError, match="another process is writing it"), _directory(tmp_path).open():
            pass
        process.kill()
    with _directory(tmp_path).open() as directory:
        assert record.read_config(directory.path) == tiny()


def test_a_directory_of_another_run_is_refused(tmp_path):
    with _directory(tmp_path).open():
        pass
    with (
        pytest.raises(RunError, match=f"holds another run's configuration: expected {tiny(seed=1).run_id}"),
        _directory(tmp_path, tiny(seed=1)).open(),
    ):
        pass


def test_rewind_drops_later_rows_and_torn_ones(tmp_path):
    with _directory(tmp_path).open() as directory:
        directory.append("metrics.csv", [{"step": step, "loss": 0.5} for step in (10, 20, 30)])
        with (directory.path / "metrics.csv").open("a") as file:
            file.write("40")
        directory.rewind(20)
        assert (directory.path / "metrics.csv").read_text().split() == ["step,loss", "10,0.5", "20,0.5"]
        directory.append("metrics.csv", [{"step": 30, "loss": 0.25}])
        assert (directory.path / "metrics.csv").read_text().split()[-1] == "30,0.25"


def test_a_table_reads_back_as_it_was_written(tmp_path):
    rows = [
        {"run_id": "a", "depth": 2, "train_error": 0.1 + 0.2, "kl": None, "commit": "12345e6", "reason": "a, b"},
        {"run_id": "b", "depth": 10, "train_error": 1e-30, "kl": 4.0, "commit": "0012", "reason": ""},
    ]
    table.write_table(tmp_path / "t.csv", rows)
    again = table.read_table(tmp_path / "t.csv")
    assert again == [rows[0], rows[1] | {"reason": None}]
    assert type(again[0]["depth"]) is int


@pytest.mark.parametrize("content", [None, "", "run_id,depth\n"])
def test_a_table_that_is_missing_or_empty_is_one_clear_line(content, tmp_path):
    if content is not None:
        (tmp_path / "t.csv").write_text(content)
    with pytest.raises(RunError, match=r"'.*t.csv'"):
        table.read_table(tmp_path / "t.csv")


@pytest.mark.parametrize("content", ["", "[1]", "\x00", "{"])
def test_a_damaged_json_is_one_clear_line(content, tmp_path):
    (tmp_path / "result.json").write_text(content)
    with pytest.raises(RunError, match=r"result.json"):
        record.read_json(tmp_path / "result.json")
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(RunError, match="is not a run's directory"):
        record.read_config(tmp_path)


def test_an_unfinished_run_has_a_row_that_says_so(tmp_path):
    row = table.tidy_row(_directory(tmp_path))
    assert (row["status"], row["train_error"], row["depth"]) == ("unfinished", None, 2)


def test_the_late_fall_is_the_slope_of_the_last_tenth_with_its_noise():
    def rows(late, noise=0.0, count=200):
        """An error that falls fast, and by the share `late` over its last tenth."""
        random = np.random.default_rng(0)
        places = np.linspace(1 / count, 1, count)
        errors = 0.01 * np.where(places > 0.9, 1 - late * 10 * (places - 0.9), 20 - 20 * places)
        return [
            {"step": 10_000 * place, "reconstruction_error": error * (1 + noise * random.normal())}
            for place, error in zip(places, errors, strict=True)
        ]

    fall, noise = late_fall(rows(0.04))
    assert fall == pytest.approx(0.04, rel=0.03)  # of the mean of the last tenth
    assert noise < 1e-9
    fall, noise = late_fall(rows(0.04, noise=0.02))
    assert noise == pytest.approx(0.02 * 12**0.5 / 20**0.5, rel=0.4)  # of the slope through 20 places
    assert abs(fall - 0.04) < 3 * noise
    assert late_fall(rows(-0.04))[0] < 0
    assert late_fall(rows(0.04, count=80)) is None  # eight rows do not tell
    assert late_fall([]) is None


def test_the_pace_of_gamma_is_a_share_of_the_learning_rates_of_the_last_tenth():
    def rows(move, held=0, count=200):
        """A log gamma from log 0.01 that moves by `move` learning rates a step; the rate is halved half way."""
        found, log_gamma, before = [], math.log(0.01), 0
        for step in range(50, 50 * count + 1, 50):
            rate = 1e-3 if step <= 25 * count else 5e-4
            log_gamma += move * rate * (step - before) if step > held else 0
            before = step
            found.append({"step": step, "gamma": math.exp(log_gamma), "learning_rate": rate})
        return found

    assert gamma_pace(rows(1.0), error=1e9) == pytest.approx(1.0)
    assert gamma_pace(rows(-0.3), error=1e-9) == pytest.approx(0.3)
    assert gamma_pace(rows(0.3), error=1e-9) == pytest.approx(-0.3)
    assert gamma_pace(rows(0.0), error=1.0) == 0
    assert gamma_pace(rows(0.5, held=9_500), error=1e9, held=9_500) == pytest.approx(0.5)
    assert gamma_pace(rows(0.5, held=10_000), error=1e9, held=10_000) is None
    assert gamma_pace(rows(0.5, count=2), error=1e9) == pytest.approx(0.5)
    assert gamma_pace(rows(0.5, count=1), error=1e9) is None
    ahead = [row | {"gamma": 0.01 * math.exp(5e-4 * (row["step"] // 10))} for row in rows(0.0, count=100)]
    assert gamma_pace(ahead, 1e9, updates=Training(encoder_ahead=5_000).decoder_updates) == pytest.approx(1.0)
    assert gamma_pace([], error=1.0) is None
    assert gamma_pace([row | {"learning_rate": 0.0} for row in rows(0.0)], error=1.0) is None  # halved down to zero
    assert gamma_pace([row | {"gamma": 0.0} for row in rows(0.0)], error=1.0) is None  # float32 holds no smaller gamma
    assert gamma_pace([{"step": 50}, {"step": 100}], error=1.0) is None


def test_a_finished_run_has_its_late_fall_in_the_table_whatever_its_sign(tmp_path):
    directory = _directory(tmp_path, tiny(objective=Objective(kind="ae")))
    lines = ["step,reconstruction_error", *(f"{step},{0.05 + step / 1e5}" for step in range(1, 101))]
    split = {"images": 9, "reconstruction_error": 0.05}
    with directory.open():
        (directory.path / "metrics.csv.gz").write_bytes(gzip.compress("\n".join(lines).encode()))
        assert table.tidy_row(directory)["late_fall"] is None  # the run has not ended
        directory.write_json("environment.json", {"commit": "abc", "machine": "here", "versions": {}})
        result = {"status": "finished", "train": split, "test": split, "image_shape": [28, 28, 1], "seconds": 1.0}
        directory.write_json("result.json", result)
    table.write_table(tmp_path / "t.csv", [table.tidy_row(directory)])
    (row,) = table.read_table(tmp_path / "t.csv")
    assert row["late_fall"] == pytest.approx(-1e-4 / 0.050955)
    with pytest.raises(RunError, match="expected a number >= 0 in column late_fall_error"):
        table.typed_row(row | {"late_fall_error": -0.1}, "row 1", "mend it")


def test_the_environment_names_what_a_result_must_name():
    facts = provenance.environment(extra=1)
    assert set(facts["versions"]) - {"jax"} == {"tensorflow", "keras", "numpy", "scipy", "tensorflow-datasets"}
    assert ("jax" in facts["versions"]) == (importlib.util.find_spec("jax") is not None)
    assert "pytest" in provenance.environment(["pytest", "no-such-package"])["versions"]
    assert f"of {os.cpu_count()} cores" in facts["machine"]
    assert facts["extra"] == 1


@pytest.mark.parametrize(
    "session",
    [
        {"commit": "abc", "machine": "\ud800", "versions": {}},
        {"commit": "\udcff", "machine": "here", "versions": {}},
        {"commit": "abc", "machine": "here", "versions": {"\ud800": "1"}},
        {"commit": "abc", "machine": "here", "versions": {"numpy": "\ud800"}},
    ],
)
def test_a_text_that_utf_8_cannot_write_is_refused_where_it_is_read(session, tmp_path):
    directory = _directory(tmp_path)
    with directory.open():
        directory.write_json("environment.json", session)
    with pytest.raises(RunError, match="environment.json': expected (a text|names) in UTF-8"):
        table.tidy_row(directory)
    with pytest.raises(RunError, match="expected a text in UTF-8 in column reason"):
        table.typed_row(table_row(reason="\ud800"), "row 1", "mend it")
