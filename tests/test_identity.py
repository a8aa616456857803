"""Each record says of which run, numerics and images it is, and one of another is refused in one line, not taken."""

import json
import shutil

import numpy as np
import pytest
from examples import tiny

from tfcollapse.config.overrides import replace
from tfcollapse.diagnosis.run_diagnosis import DIAGNOSIS, diagnose_run
from tfcollapse.errors import RunError
from tfcollapse.records.files import read_json
from tfcollapse.records.identity import KEY, identity, mixed_images
from tfcollapse.records.run_directory import RunDirectory
from tfcollapse.records.run_files import copy_record
from tfcollapse.records.table import tidy_row
from tfcollapse.reports.curves import curves
from tfcollapse.studies.sweep import tidy_rows
from tfcollapse.training import checkpoint
from tfcollapse.training.trainer import train


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    """A finished run of another seed."""
    out = tmp_path_factory.mktemp("other")
    train(tiny(seed=1), out)
    return out / tiny(seed=1).run_id


@pytest.fixture
def copied(finished, tmp_path):
    """The finished run, for writing."""
    shutil.copytree(finished, tmp_path / finished.name)
    return tmp_path / finished.name


def _edit(path, change):
    values = read_json(path)
    change(values)
    path.write_text(json.dumps(values))


def test_every_record_names_its_run(copied):
    diagnose_run(copied)
    named = {name: read_json(copied / name)[KEY] for name in ("result.json", "environment.json", DIAGNOSIS)}
    saved = checkpoint.newest(copied / "checkpoints", print)[KEY]
    named["checkpoint"] = json.loads(saved.tobytes())
    assert all(value == named["checkpoint"] for value in named.values())
    assert named["checkpoint"]["run_id"] == copied.name
    assert set(named["checkpoint"]) == {"run_id", "numerics", "images"}
    assert set(read_json(copied / "result.json")["sha256"]) == {"metrics.csv", "diagnostics.csv", "model.keras"}
    assert tidy_row(RunDirectory(copied, tiny()))["images"] == named["checkpoint"]["images"]


def test_a_checkpoint_of_another_run_is_not_taken(copied, other, tmp_path):
    (copied / "result.json").unlink()
    shutil.rmtree(copied / "checkpoints")
    shutil.copytree(other / "checkpoints", copied / "checkpoints")
    with pytest.raises(RunError, match=f"step 40 in .*: expected run {copied.name}, received {other.name}: move it"):
        train(tiny(), tmp_path)
    assert checkpoint.steps(copied / "checkpoints") == [20, 40]


@pytest.mark.parametrize("name", ["result.json", "environment.json"])
def test_a_record_of_another_run_is_not_taken(name, copied, other, tmp_path):
    shutil.copy(other / name, copied)
    with pytest.raises(RunError, match=f"{name}.*expected run {copied.name}, received {other.name}"):
        tidy_row(RunDirectory(copied, tiny()))
    if name == "result.json":
        with pytest.raises(RunError, match="result.json.*expected run"):
            train(tiny(), tmp_path)


def test_an_earlier_result_of_another_run_is_not_taken_either(copied):
    """A result that an earlier version wrote has no identity, but a run id."""
    _edit(copied / "result.json", lambda result: (result.pop(KEY), result.update(run_id="dense-other")))
    with pytest.raises(RunError, match="expected run .* received dense-other"):
        tidy_row(RunDirectory(copied, tiny()))


@pytest.mark.parametrize(("key", "message"), [("numerics", "expected version of the numbers 1"), ("images", "digest")])
def test_numbers_of_another_version_or_of_other_images_are_noticed(key, message, copied):
    _edit(copied / "result.json", lambda result: result[KEY].update({key: "other"}))
    with pytest.raises(RunError, match=f"{message}.*received"):
        tidy_row(RunDirectory(copied, tiny()))


def test_a_run_does_not_go_on_on_other_images(tmp_path):
    """The file has its name still, and other pixels."""
    images = np.random.default_rng(0).integers(0, 256, (60, 4, 4, 1), np.uint8)
    np.savez(tmp_path / "mine.npz", train=images, test=images[:9])
    run = replace(tiny(), {"data.name": str(tmp_path / "mine.npz"), "data.train": 60, "data.test": 9})
    train(run, tmp_path / "out")
    folder = tmp_path / "out" / run.run_id
    np.savez(tmp_path / "mine.npz", train=images[::-1], test=images[:9])
    with pytest.raises(RunError, match="expected images with the digest"):
        diagnose_run(folder)
    (folder / "result.json").unlink()
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file() and path.name != "lock"}
    with pytest.raises(RunError, match="expected images with the digest [0-9a-f]{16}, received [0-9a-f]{16}: restore"):
        train(run, tmp_path / "out")
    assert {name: (folder / name).read_bytes() for name in before} == before


def test_a_model_or_a_csv_file_of_another_run_is_not_taken(copied, other, tmp_path):
    for name in ("model.keras", "metrics.csv"):
        shutil.copy(other / name, copied)
    with pytest.raises(RunError, match=r"model.keras' is not this run's: expected the sha256 [0-9a-f]{12}"):
        diagnose_run(copied)
    with pytest.raises(RunError, match="metrics.csv' is not this run's"):
        curves(copied / "metrics.csv")
    with pytest.raises(RunError, match="metrics.csv' is not this run's"):
        copy_record(copied, tmp_path / "kept")
    assert not (tmp_path / "kept").exists()


def test_records_without_an_identity_are_read_and_gone_on_from(copied, finished, tmp_path):
    """As an earlier version wrote them."""
    whole = read_json(copied / "result.json")
    (copied / "result.json").unlink()
    _edit(copied / "environment.json", lambda facts: facts.pop(KEY))
    state = checkpoint.newest(copied / "checkpoints", print)
    shutil.rmtree(copied / "checkpoints")
    checkpoint.save(copied / "checkpoints", 40, {name: value for name, value in state.items() if name != KEY})
    assert train(tiny(), tmp_path)["train"] == whole["train"]
    _edit(copied / "result.json", lambda result: [result.pop(name) for name in (KEY, "sha256")])
    assert tidy_row(RunDirectory(copied, tiny()))["images"] is None
    assert curves(copied / "metrics.csv") is not None


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"identity": 3}', '{"identity": {"run_id": "other"}}'])
def test_one_damaged_result_costs_one_run(content, copied, tmp_path):
    (copied / "result.json").write_text(content)
    runs = [tiny(), tiny(seed=1)]
    damaged, absent = tidy_rows(runs, tmp_path, {})
    assert (damaged["status"], absent["status"]) == ("error", "unfinished")
    assert "result.json" in damaged["reason"] or "its result" in damaged["reason"]
    assert "move it away" in damaged["reason"]
    assert list(damaged) == list(absent)


def test_a_worker_s_error_does_not_hide_a_finished_result(finished):
    """Another process has finished the run in the meantime."""
    lost = {finished.name: "its worker process died"}
    assert tidy_rows([tiny()], finished.parent, lost)[0]["status"] == "finished"


def test_rows_of_one_declaration_on_different_images_are_noticed():
    rows = [{"dataset": "mnist 3.0.1", "images": digest} for digest in ("a", "a", None)]
    assert mixed_images(rows) == ""
    assert mixed_images([*rows, {"dataset": "cifar10", "images": "b"}]) == ""
    assert "mnist 3.0.1 were made on different images" in mixed_images(
        [*rows, {"dataset": "mnist 3.0.1", "images": "b"}]
    )


def test_an_identity_is_what_tells_runs_apart():
    run = tiny()
    assert identity(run, "d") == {"run_id": run.run_id, "numerics": run.numerics, "images": "d"}
    assert identity(replace(run, {"training.learning_rate": 1e-3}))["run_id"] != run.run_id
