import hashlib
import os
import shutil

import numpy as np
import pytest
from examples import tiny

from tfcollapse.errors import RunError
from tfcollapse.records.run_directory import RunDirectory
from tfcollapse.training import checkpoint
from tfcollapse.training.trainer import train

STATE = {"weights": np.arange(5000, dtype=np.float32), "step": np.int64(3)}


def _newest(folder):
    said = []
    return checkpoint.newest(folder, said.append), said


def test_what_is_saved_comes_back(tmp_path):
    checkpoint.save(tmp_path, 3, STATE)
    state, said = _newest(tmp_path)
    assert set(state) == set(STATE)
    assert all(np.array_equal(state[name], STATE[name]) and state[name].dtype == STATE[name].dtype for name in STATE)
    assert not said


def test_the_newest_two_are_kept(tmp_path):
    for step in (1, 2, 3, 4):
        checkpoint.save(tmp_path, step, STATE | {"step": np.int64(step)})
    assert checkpoint.steps(tmp_path) == [3, 4]
    assert int(_newest(tmp_path)[0]["step"]) == 4


@pytest.mark.parametrize("value", range(8))  # each has another digest, before or after the first one's
def test_a_step_saved_again_takes_the_place_of_the_first(value, tmp_path):
    for step, content in ((3, -1), (4, -1), (4, value)):
        checkpoint.save(tmp_path, step, STATE | {"content": np.int64(content)})
    assert checkpoint.steps(tmp_path) == [3, 4]
    assert int(_newest(tmp_path)[0]["content"]) == value


def _truncate(path):
    os.truncate(path, path.stat().st_size // 2)


def _flip(path, place=0.5):
    content = bytearray(path.read_bytes())
    content[int(place * (len(content) - 1))] ^= 0x10
    path.write_bytes(content)


def _flip_head(path):
    _flip(path, 0.0)


def _flip_directory(path):
    _flip(path, 0.999)  # the archive's list of its members, at the end of the file


def _flip_end(path):
    _flip(path, 1.0)


def _empty(path):
    path.write_bytes(b"")


@pytest.mark.parametrize("damage", [_truncate, _flip, _flip_head, _flip_directory, _flip_end, _empty])
def test_a_damaged_checkpoint_falls_back_and_says_so(damage, tmp_path):
    for step in (1, 2):
        checkpoint.save(tmp_path, step, STATE | {"step": np.int64(step)})
    damage(next(tmp_path.glob("step-000000002-*.npz")))
    state, said = _newest(tmp_path)
    assert int(state["step"]) == 1
    assert len(said) == 1
    assert "step-000000002-" in said[0]
    assert "falling back" in said[0]
    assert checkpoint.steps(tmp_path) == [1]
    assert len(list(tmp_path.glob("*.damaged"))) == 1


def test_a_checkpoint_with_pickles_is_not_executed(tmp_path):
    class Trap:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path}/executed",)

    np.savez(tmp_path / "trap.npz", trap=np.array([Trap()], dtype=object))
    digest = hashlib.sha256((tmp_path / "trap.npz").read_bytes()).hexdigest()[:12]
    (tmp_path / "trap.npz").rename(tmp_path / f"step-000000001-{digest}.npz")
    state, said = _newest(tmp_path)
    assert state is None
    assert said
    assert not (tmp_path / "executed").exists()


def test_a_run_goes_on_from_the_checkpoint_before_a_damaged_one(finished, tmp_path):
    run, folder = tiny(), tmp_path / finished.name
    shutil.copytree(finished, folder)
    (folder / "result.json").unlink()
    assert checkpoint.steps(folder / "checkpoints") == [20, 40]
    _flip(next((folder / "checkpoints").glob("step-000000040-*.npz")))
    with pytest.warns(UserWarning, match="falling back"):
        again = train(run, tmp_path)
    assert again["train"] == RunDirectory(finished, run).result["train"]


def test_a_full_disk_leaves_the_checkpoints_before_it_intact(small_disk):
    half = {"weights": np.zeros(400_000, np.float32), "step": np.int64(1)}
    checkpoint.save(small_disk, 1, half)
    checkpoint.save(small_disk, 2, half)
    with pytest.raises(RunError, match="No space left on device.*checkpoint of step 2 is intact"):
        checkpoint.save(small_disk, 3, half)
    assert checkpoint.steps(small_disk) == [1, 2]
    assert len(list(small_disk.iterdir())) == 2
    assert np.array_equal(_newest(small_disk)[0]["weights"], half["weights"])


def test_a_run_on_a_full_disk_stops_with_one_line_and_goes_on_later(finished, small_disk):
    run = tiny()
    filler = small_disk / "filler"
    filler.write_bytes(b"x" * 3_900_000)
    with pytest.raises(RunError, match="No space left on device"):
        train(run, small_disk)
    filler.unlink()
    assert train(run, small_disk)["train"] == RunDirectory(finished, run).result["train"]
    for name in ("metrics.csv", "diagnostics.csv"):  # the header too
        columns = [(folder / name).read_text().splitlines() for folder in (small_disk / run.run_id, finished)]
        assert columns[0][0] == columns[1][0]
        assert len(columns[0]) == len(columns[1])


def test_a_checkpoint_that_cannot_be_read_is_not_taken_for_damaged(tmp_path):
    path = checkpoint.save(tmp_path, 1, STATE)
    path.unlink()
    path.mkdir()  # reading it is an OSError, for root too
    with pytest.raises(RunError, match="received a directory"):
        _newest(tmp_path)
    assert path.exists()
