import numpy as np
import pytest
from examples import tiny
from processes import python

from tfcollapse.data import memory_mapped as mapped
from tfcollapse.data.dataset import load
from tfcollapse.records.run_directory import RunDirectory
from tfcollapse.training.batches import batches_for_steps
from tfcollapse.training.trainer import train


@pytest.fixture
def on_disk(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (1_000, 4, 4, 1), dtype=np.uint8)
    np.save(tmp_path / "images.npy", images)
    return images, np.load(tmp_path / "images.npy", mmap_mode="r")


def test_blocks_and_rows_are_the_array_s_whatever_the_budget(on_disk, monkeypatch):
    whole, streamed = on_disk
    monkeypatch.setattr(mapped, "MEMORY_BUDGET", 0)
    assert np.array_equal(np.concatenate(list(mapped.blocks(streamed, 300))), whole)
    assert [len(block) for block in mapped.blocks(streamed[:700], 300)] == [300, 300, 100]
    indices = np.array([[999, 0], [5, 5]])
    assert np.array_equal(mapped.gather(streamed, indices), whole[indices])


def test_a_streamed_run_sees_the_same_images_in_the_same_order_bit_for_bit(on_disk, monkeypatch):
    whole, streamed = on_disk
    run = tiny(batch=24)
    resident = batches_for_steps(run, whole, 30, 50)
    monkeypatch.setattr(mapped, "MEMORY_BUDGET", 0)
    for ours, theirs in zip(batches_for_steps(run, streamed, 30, 50), resident, strict=True):
        assert np.array_equal(ours, theirs)


def test_a_run_trained_from_a_stream_ends_at_the_same_numbers(finished, tmp_path, monkeypatch):
    run = tiny()
    assert not isinstance(load(run.data).train.base, np.memmap)
    resident = RunDirectory(finished, run).result
    monkeypatch.setattr(mapped, "MEMORY_BUDGET", 0)
    assert train(run, tmp_path)["train"] == resident["train"]


def test_memory_stays_flat_over_a_file_larger_than_the_budget(tmp_path):
    """1.5 GB of images in a sparse file, read whole twice: what stays resident is a block."""
    path, shape = tmp_path / "images.npy", (120_000, 64, 64, 3)
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
        file.truncate(file.tell() + int(np.prod(shape)))
    assert path.stat().st_size > mapped.MEMORY_BUDGET
    code = """
import sys, numpy as np, psutil
from tfcollapse.data.memory_mapped import blocks, gather
images = np.load(sys.argv[1], mmap_mode="r")
start, most = psutil.Process().memory_info().rss, 0
for block in blocks(images, 1024):
    most = max(most, psutil.Process().memory_info().rss)
order = np.random.default_rng(0).permutation(len(images)).reshape(-1, 2_000)
for rows in order:
    gather(images, rows)
    most = max(most, psutil.Process().memory_info().rss)
print(most - start)
"""
    answer = python(code, str(path))
    assert answer.returncode == 0, answer.stderr
    assert int(answer.stdout) < 150 << 20
