"""What the code of numerics version 1 computed and left on the disk, held against the code of today.

tests/golden/README.md says where it comes from. Processors and libraries differ in the last bits, hence NEAR.
"""

import csv
import importlib.resources
import json
import pathlib
import shutil

import golden
import numpy as np
import pytest
from processes import python

import tfcollapse as tc
from tfcollapse.cli.main import main
from tfcollapse.records.files import read_json
from tfcollapse.records.run_directory import RunDirectory, read_config
from tfcollapse.records.table import read_table, tidy_row, write_table
from tfcollapse.training import checkpoint
from tfcollapse.training.trainer import train

GOLDEN = pathlib.Path(__file__).parent / "golden"
NEAR = 1e-5
CLOCK = ("seconds", "steps_per_second")

LOSSES = read_json(GOLDEN / "losses.json")
IDS = read_json(GOLDEN / "run_ids.json")
DRAWS = read_json(GOLDEN / "draws.json")
ROWS = read_table(GOLDEN / "finished.csv")
VAE, AE = (GOLDEN / "finished" / row["run_id"] for row in ROWS)
(STOPPED,) = (GOLDEN / "stopped").iterdir()
UNDISTURBED = GOLDEN / "undisturbed" / STOPPED.name


def close(found, pinned, where, near=NEAR):
    """Whether numbers, lists or arrays differ by less than `near` of the largest of the pinned ones."""
    found, pinned = np.asarray(found, np.float64), np.asarray(pinned, np.float64)
    assert found.shape == pinned.shape, where
    apart = np.abs(found - pinned).max() / max(np.abs(pinned).max(), 1e-30)
    assert apart <= near, f"{where}: {apart:.2g} apart: {found.ravel()[:5]} against {pinned.ravel()[:5]}"


def alike(found, pinned, where):
    """The same for JSON, whose text must be equal; what the pinned one lacks may be new."""
    if isinstance(pinned, dict):
        for name in set(pinned) - set(CLOCK):
            alike(found[name], pinned[name], f"{where}.{name}")
    elif pinned and isinstance(pinned, (list, float)) and not isinstance(np.ravel(pinned)[0], str):
        close(found, pinned, where)
    else:
        assert found == pinned, where


def declared(name):
    return tc.Run.from_json(json.dumps(LOSSES[name]["config"]))


@pytest.fixture
def few_images(tmp_path, monkeypatch):
    """The packaged images cut to the first ones, as resizing all of them takes seconds."""
    with np.load(importlib.resources.files("tfcollapse.data") / f"{golden.MINI}.npz") as arrays:
        np.savez(tmp_path / f"{golden.MINI}.npz", train=arrays["train"][:100], test=arrays["test"][:20])
    monkeypatch.setattr(importlib.resources, "files", lambda package: tmp_path)


@pytest.mark.parametrize("name", LOSSES)
def test_the_first_steps_give_the_pinned_numbers(name, few_images):
    alike(golden.losses(declared(name)), LOSSES[name]["metrics"], name)


def test_the_pinned_runs_are_those_that_the_script_declares():
    """Else the next golden files would be of other runs."""
    cases = {name: golden.first_version(run) for name, run in golden.cases().items()}
    assert cases == {name: declared(name) for name in LOSSES}


@pytest.mark.slow
def test_jax_gives_the_pinned_numbers_too():
    pytest.importorskip("jax")
    names = ["dense-ae", "dense-vae-kl-warmup"]
    code = """
import sys; sys.path.insert(0, "tests/tools")
import json
import golden
from tfcollapse.backend import backend
from tfcollapse.config.overrides import replace
cases = golden.cases()
print(json.dumps({n: golden.losses(replace(cases[n], {"training.jit": "auto"})) for n in sys.argv[1:]}))
assert backend() == "jax"
"""
    ran = python(code, *names, KERAS_BACKEND="jax")
    assert ran.returncode == 0, ran.stderr[-2000:]
    for name, found in json.loads(ran.stdout).items():
        alike(found, LOSSES[name]["metrics"], name)


def test_the_ids_of_the_pinned_runs_are_what_they_were():
    assert {name: declared(name).run_id for name in LOSSES} == {name: each["run_id"] for name, each in LOSSES.items()}
    for path in (VAE, AE, STOPPED, UNDISTURBED):
        assert read_config(path).run_id == path.name


@pytest.mark.parametrize("study", IDS)
def test_the_ids_of_every_study_s_runs_are_what_they_were(study):
    found = golden.study_ids(study)
    for preset, ids in IDS[study].items():
        assert [name for name in found[preset] if name in ids] == ids, preset


@pytest.mark.parametrize("stream", DRAWS["draws"])
def test_every_stream_of_draws_begins_as_it_did(stream):
    close(golden.first_draws()[stream], DRAWS["draws"][stream], stream, near=1e-8)


@pytest.mark.parametrize("initializer", DRAWS["initial_weights"])
def test_an_initialiser_draws_what_it_drew(initializer):
    alike(golden.initial_weights(initializer), DRAWS["initial_weights"][initializer], initializer)


@pytest.mark.parametrize("path", [VAE, AE], ids=["vae", "ae"])
def test_a_finished_run_is_read_and_not_trained_again(path, tmp_path):
    shutil.copytree(path, tmp_path / path.name)
    before = {file.name: file.read_bytes() for file in path.iterdir()}
    run, pinned = read_config(path), read_json(path / "result.json")
    result = train(run, tmp_path, report=lambda progress: pytest.fail("it trained"))
    directory = RunDirectory(tmp_path / path.name, run)
    assert result == directory.result == pinned
    assert {file.name: file.read_bytes() for file in directory.path.iterdir()} == before
    assert directory.last_metrics["step"] == run.training.steps
    assert directory.sessions[-1]["commit"].startswith("d7900b2")
    (row,) = [row for row in ROWS if row["run_id"] == path.name]
    write_table(tmp_path / "now.csv", [tidy_row(directory)])
    (now,) = read_table(tmp_path / "now.csv")
    assert {name: now[name] for name in row} == row


@pytest.mark.filterwarnings("ignore:.* began on 2 threads")  # these tests have one
def test_a_run_that_was_stopped_goes_on_to_the_pinned_numbers(tmp_path):
    """And so does the whole run: the program that the rest of it was compiled to trains it, too."""
    shutil.copytree(STOPPED, tmp_path / "a" / STOPPED.name)
    run, step = read_config(STOPPED), checkpoint.steps(STOPPED / "checkpoints")[-1]
    for out in (tmp_path / "a", tmp_path / "b"):
        alike(train(run, out), read_json(UNDISTURBED / "result.json"), "result")
        for name in ("metrics.csv", "diagnostics.csv"):
            alike(columns(out / STOPPED.name / name), columns(UNDISTURBED / name), name)
    assert step % run.training.log_every
    assert RunDirectory(tmp_path / "a" / STOPPED.name, run).sessions[-1]["resumed_from"] == step


def columns(path):
    """The numbers of a CSV file, by column; of diagnostics.csv by step and measure."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    found = {}
    for row in rows:
        if "measure" in row:
            found.setdefault(f"{row['step']} {row['measure']}", []).append(float(row["value"]))
        else:
            for name, value in row.items():
                found.setdefault(name, []).append(float(value))
    return found


@pytest.fixture(scope="module")
def answered():
    with np.load(GOLDEN / "answers.npz", allow_pickle=False) as arrays:
        return dict(arrays)


MODELS = {"vae": VAE / "model.keras", "ae": AE / "model.keras", "residual": GOLDEN / "residual.keras"}


@pytest.mark.parametrize("name", MODELS)
def test_a_keras_file_answers_as_it_did(name, answered):
    found = golden.answers(tc.load_model(MODELS[name]), answered[f"{name}/images"], answered[f"{name}/latents"])
    assert ("gamma" in found) == (name != "ae")
    for output, values in found.items():
        close(values, answered[f"{name}/{output}"], output)


def test_a_saved_model_answers_as_it_did(answered):
    found = golden.signature_answers(GOLDEN / "saved_model", answered["vae/images"], answered["vae/latents"])
    assert {f"saved_model/{name}" for name in found} == {name for name in answered if name.startswith("saved_model/")}
    for output, values in found.items():
        close(values, answered[f"saved_model/{output}"], output)
    facts = read_json(GOLDEN / "saved_model" / "assets.extra" / "tfcollapse.json")
    assert tc.Run.from_json(json.dumps(facts["config"])).run_id == facts["run_id"] == VAE.name


def test_diagnose_says_of_a_run_what_it_said(tmp_path, capsys):
    shutil.copytree(VAE, tmp_path / VAE.name)
    assert main(["diagnose", str(tmp_path / VAE.name), "--json"]) == 0
    found, pinned = json.loads(capsys.readouterr().out), read_json(VAE / "diagnosis.json")
    assert found["verdict"]["categories"] == pinned["verdict"]["categories"]
    # Since then a unit that repeats another one counts as idle too: of the two active ones here, one does.
    labels = zip(found["verdict"]["per_dimension"], pinned["verdict"]["per_dimension"], strict=True)
    assert sorted(labels) == [("active", "active"), ("v", "active"), ("v", "v"), ("v", "v")]
    assert found["measurements"]["repeated_units"] == 1
    for name in ("gamma", "error", "error_at_mean", "kl", "latent_variance", "pca_error", "mean_predictor_error"):
        close(found["measurements"][name], pinned["measurements"][name], name)
