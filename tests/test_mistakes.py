"""Mistakes on the command line: each is one line that says what was expected, and nothing stands before it."""

import os
import re
import time

import pytest
from examples import table_row, tiny

from tfcollapse.cli.main import main
from tfcollapse.records.table import write_table

NOTHING = "there is no such "


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A directory with a sweep of one unfinished run, a FIFO, a file of another kind, and nothing else."""
    monkeypatch.chdir(tmp_path)
    run = tmp_path / "sweep" / "runs" / tiny().run_id
    run.mkdir(parents=True)
    (run / "config.json").write_text(tiny().to_json())
    write_table(tmp_path / "own" / "mine.csv", [table_row(run_id="a", train_error=0.01, test_error=0.01)])
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "config.json").write_text(tiny().to_json())
    (tmp_path / "one" / "result.json").write_text('{"identity": {}, "status": "finished"}')
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes").write_text("\udcff mine".encode("utf-8", "surrogateescape").decode("latin-1"))
    for name in ("fifo", "fifo.py"):
        os.mkfifo(tmp_path / name)
    return tmp_path


DEEP = "[" * 50_000


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("train --config nowhere.json", "--config 'nowhere.json': there is no such file"),
        ("train --config fifo", "--config 'fifo': expected a file"),
        ("train --config one/result.json", "unknown field of Run 'identity': expected one of data"),
        ("train --config one/result.json", ": try one/config.json"),
        ("train --config notes", "--config 'notes': not a run's configuration"),
        ("train --config sweep", "received a directory: try sweep/runs/dense-2-vae-fashion_mnist_mini-s0-"),
        ("train --config /dev/zero", "--config '/dev/zero': expected a file"),
        (f"train --set data.crop={DEEP}", "Data.crop|data.crop: expected "),
        ("train --set network.depth=²", "network.depth: expected int, received '²'"),
        ("train --set network.depth=1_000", "network.depth: expected int, received '1_000'"),
        ("train --set training.learning_rate=1e400", "training.learning_rate: expected float"),
        ("train --set training.learning_rate=nan", "expected float, received 'nan': write a finite number"),
        (
            "train --set network.batch_norm=yes",
            "network.batch_norm: expected bool, received 'yes': write true or false",
        ),
        ("train --set network.depth=two", "network.depth: expected int, received 'two': write a whole number"),
        (f"train --set network.width={'9' * 5_000}", "network.width: expected int"),
        ("train --devices ²", "--devices: expected a number from 1 to 999999, or names"),
        ("train --devices 1000000000", "--devices: expected a number from 1 to 999999, or names"),
        (f"train --devices {'9' * 5_000}", "--devices: expected a number from 1 to 999999, or names"),
        (f"train --set network.architecture={DEEP}", "unknown value of network.architecture '"),
        ("train --set objective.beta=1e300", "Objective.beta: expected 0 or a size from"),
        ("sweep fig1_left --jobs ²", "--jobs: expected 'auto' or a whole number >= 1, received '²'"),
        ("sweep fig1_left --together 1_0", "--together: expected 'auto'"),
        ("sweep fig1_left --list --seeds 1000000000", "--seeds: expected 1 to 10,000, received 1000000000"),
        ("sweep nowhere.py --list", "study file 'nowhere.py': there is no such file"),
        ("sweep fifo.py --list", "study file 'fifo.py': expected a file"),
        *(
            (f"diagnose empty --{option}", "expected a run's directory or --encoder and --decoder, received both")
            for option in ("gamma 0", "logged 0", "loss=", "output=", "encoder=", "joined", "gamma-learned")
        ),
        ("bench --throughput -1", "--throughput: expected > 0, received -1"),
        ("bench --set training.encoder_ahead=10", "received training.encoder_ahead=10: leave it out"),
        ("report nowhere", "'nowhere': there is no such directory"),
        ("report notes", "'notes': expected a directory, received a regular file"),
        ("report empty", "expected the table of a study or run directories"),
        ("figure --out nowhere", "'nowhere': there is no such directory"),
        ("figure --out empty", "expected the table of a study"),
        ("overview nowhere", "'nowhere': there is no such directory"),
        ("export nowhere out", "'nowhere': there is no such directory"),
        ("export sweep out", "'sweep' is not a run's directory: run directories below it are sweep/runs/dense-2"),
        ("export empty out", "'empty' is not a run's directory: it has no config.json, and no run directory"),
        ("diagnose nowhere", "nowhere"),
        ("diagnose --encoder nowhere.keras --decoder nowhere.keras --data x.npy", "nowhere.keras"),
        ("diagnose --encoder nowhere.py:f --decoder nowhere.py:f --data x.npy", "'nowhere.py': there is no such file"),
        ("diagnose --encoder fifo.py:f --decoder fifo.py:f --data x.npy", "'fifo.py': expected a file"),
        ("blame --shallower ²", "--shallower: expected a depth, such as 2, received '²'"),
        ("describe --image-shape 1000000,1000000,3", "--image-shape: expected H,W,C"),
        ("describe --image-shape ²,28,1", "--image-shape: expected H,W,C"),
        ("describe --set network.depth=1000000000", "Network.depth: expected <= 1000"),
        ("describe --set network.latent_dim=1000000000", "Network.latent_dim: expected <= 1048576"),
        ("describe --image-shape 16384,16384,3 --set network.width=1048576", "expected a network that fits"),
        ("taxonomy --seeds 1000000000", "--seeds: expected 1 to "),
        ("theory equations --table own", "'own': expected a file, received a directory: name own/mine.csv"),
        ("theory equations --table empty", "'empty': expected a file, received a directory: name a .csv file"),
        ("theory equations --table fifo", "'fifo': expected a regular file, received a FIFO: name another file"),
        ("report sweep -o own", "'own': expected a file that can be replaced, received a directory: name a file"),
        ("sweep fig1_left --collect notes", "'notes': expected a directory, received a regular file"),
        ("taxonomy --out notes", "'notes': File exists: expected a directory, received a file: name another place"),
    ],
)
def test_a_mistake_is_one_line_at_once(command, said, place, capfd):
    start = time.process_time()
    assert main(command.split()) == 2
    error = capfd.readouterr().err
    assert re.fullmatch(r"tfcollapse: [^\n]+\n", error)
    assert re.search(said.replace("(", r"\("), error) or said in error
    assert len(error) < 2_100
    assert not re.search("remove|delete", error)
    assert time.process_time() - start < 20
    assert not (place / "out").exists()


def test_a_long_number_is_shortened_by_the_parser_too(capfd):
    with pytest.raises(SystemExit):
        main(["sweep", "fig1_left", "--seeds", "9" * 5_000])
    (said,) = capfd.readouterr().err.splitlines()
    assert said.startswith("tfcollapse: --seeds: expected a whole number, received '999")
    assert len(said) < 600


PLACES = {
    "train": "--out --config --data-dir",
    "sweep fig1_left": "--out --collect --data-dir",
    "pictures fig1_left": "--out",
    "figure": "--out",
    "blame": "--out --page",
    "theory all": "--out --runs --table",
    "bench": "--out",
    "taxonomy": "--out",
    "diagnose": "--html",
    "report": "directory -o --study",
    "overview": "out --readme",
    "export x": "target",
}


@pytest.mark.parametrize(
    ("command", "option"), [(command, option) for command, options in PLACES.items() for option in options.split()]
)
def test_an_empty_text_is_no_place(command, option, place, capfd):
    with pytest.raises(SystemExit) as ended:
        main([*command.split(), *([option] if option.startswith("-") else []), ""])
    assert ended.value.code == 2
    error = capfd.readouterr().err
    assert re.fullmatch(r"tfcollapse: [^\n]+: expected a path, received an empty text; [^\n]+\n", error)
    assert not (place / "out").exists()


def test_a_tf_config_nested_too_deeply_is_one_line(place, capfd, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", DEEP)
    assert main(["sweep", "fig1_left", "--preset", "smoke"]) == 2
    assert capfd.readouterr().err.startswith("tfcollapse: TF_CONFIG: expected such as {")
