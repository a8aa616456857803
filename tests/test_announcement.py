"""What is said before a long command begins: how long it takes, and where it writes."""

import json
import math
import re

from examples import tiny
from processes import ROOT, python

from tfcollapse.bench.record import expected_seconds
from tfcollapse.bench.steps import CASES
from tfcollapse.cli import taxonomy, theory
from tfcollapse.cli.main import main

UP_TO_THE_LINE = """
import json, sys
from tfcollapse.cli import announcement
from tfcollapse.cli.main import main

class Said(BaseException):
    pass

def say(line, file, flush):
    raise Said(line, "out" if file is sys.stdout else "err", "tensorflow" in sys.modules)

announcement.print = say
for words in json.loads(sys.argv[1]):
    try:
        main(words)
    except Said as said:
        print("said", json.dumps(said.args))
"""
"""Runs commands as far as their announcement: prints its line, where it goes, and whether TensorFlow has started."""
TRAINING = r"about \d+m\d\ds of training left on this machine{}, and some seconds a run to start; written to "


def test_long_commands_say_how_long_and_where_before_tensorflow_starts(finished, tmp_path):
    run, out = tiny(steps=1_000), tmp_path / "out"
    config = tmp_path / "run.json"
    config.write_text(run.to_json())
    some = TRAINING.format(", the sum over all runs") + re.escape(str(out))
    expected = {
        ("train", "--config", config, "--out", out): f"1 run to train: {TRAINING.format('')}{out}/{run.run_id}",
        ("sweep", "fig1_left", "--preset", "smoke", "--out", out): f"6 runs to train: {some}",
        ("blame", "--config", config, "--out", out): f"10 runs to train: {some}",
        (
            "blame",
            "--build",
            "their.py:build",
            "--out",
            out,
        ): f"your architecture .*: its first steps .*; written to {out}",
        ("theory", "all", "--out", out): rf"theory all: up to about \d+m\d\ds on two cores; written to {out}",
        ("theory", "prop1", "--out", out): rf"theory prop1: up to about 0m\d\ds on two cores; written to {out}",
        ("taxonomy", "--out", out): rf"cases to diagnose: about \d+m\d\ds on two cores; written to {out}/taxonomy.md",
        ("export", finished, out): f"a model to write, .*: some seconds, .*; written to {out}",
        ("diagnose", finished.parent): f"1 run to read, .*: some seconds each, .*; written to {finished.parent}",
    }
    commands = [[*map(str, words)] for words in expected]
    commands += [[*words, "--json"] for words in commands if words[0] in ("blame", "theory", "diagnose")]
    printed = python(UP_TO_THE_LINE, json.dumps(commands)).stdout.splitlines()
    lines = [json.loads(line.removeprefix("said ")) for line in printed if line.startswith("said ")]
    for (line, place, started), words in zip(lines, commands, strict=True):
        matching = next(text for start, text in expected.items() if words[: len(start)] == [*map(str, start)])
        assert re.fullmatch(matching, line)
        assert place == ("err" if "--json" in words else "out")
        assert not started


def test_a_run_that_has_ended_is_not_announced(finished, capsys):
    assert main(["train", "--config", str(finished / "config.json"), "--out", str(finished.parent)]) == 0
    assert "to train" not in capsys.readouterr().out


def test_a_dataset_that_is_to_be_fetched_is_announced(tmp_path, capsys):
    assert main(["data", "prepare", "no_such_dataset", "--data-dir", str(tmp_path)]) == 2
    line = f"no_such_dataset to fetch with TensorFlow Datasets: minutes to hours, by its size; written to {tmp_path}\n"
    assert capsys.readouterr().out == line


def near(estimate, recorded):
    return abs(math.log2(estimate / recorded)) < 1


def test_the_times_that_are_said_are_those_of_the_records():
    for section in ("affine", "prop1", "prop2", "prop4"):
        recorded = json.loads((ROOT / f"results/theory/{section}.json").read_text())["made"]["seconds"]
        assert near(theory._SECONDS[section], recorded)
    page = (ROOT / "results/taxonomy.md").read_text()
    seeds = len(re.search(r"\| seeds \| (.*) \|", page)[1].split(";"))
    assert near(seeds * taxonomy._SECONDS_A_SEED, int(re.search(r"\| time \| (\d+) s \|", page)[1]))


def test_the_bench_s_time_is_that_of_its_record():
    record = json.loads((ROOT / "results/bench-tensorflow.json").read_text())
    spent = 0.0
    for case in record["cases"].values():
        sizes = case["steps_per_window"]
        windows = {name: sum(ms) / 1e3 for name, ms in case["windows_ms"].items() if name in sizes}
        spent += sum(seconds * sizes[name] for name, seconds in windows.items())
        spent += sum(case["first_call_seconds"].values())
    assert record["cases"].keys() == CASES.keys()
    assert near(expected_seconds(CASES, record["windows"], 1.0, None), spent)
