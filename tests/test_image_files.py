"""Images of a user's own, from .npy and .npz files."""

import io
import os
import zipfile

import numpy as np
import pytest

from tfcollapse.cli.main import main
from tfcollapse.config.declaration import Data, Network, Run, Training
from tfcollapse.data.dataset import expected_shape, load
from tfcollapse.diagnosis.examples import read_examples
from tfcollapse.errors import ConfigError, DataError, RunError
from tfcollapse.training.trainer import train


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TFCOLLAPSE_CACHE", str(tmp_path / "cache"))


def images(count=43, shape=(12, 10, 3), seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, *shape), dtype=np.uint8)


def saved(path, **arrays):
    np.savez(path, **arrays)
    return str(path)


def test_every_tenth_image_of_one_array_is_held_out(tmp_path):
    np.save(tmp_path / "mine.npy", images())
    data = Data(name=str(tmp_path / "mine.npy"))
    dataset = load(data)
    assert np.array_equal(dataset.test, images()[9::10])
    assert np.array_equal(dataset.train, np.delete(images(), np.s_[9::10], axis=0))
    assert isinstance(dataset.train, np.memmap)
    assert expected_shape(data) == dataset.image_shape == (12, 10, 3)
    alone = load(Data(name=saved(tmp_path / "alone.npz", any_name=images())))
    assert np.array_equal(alone.train, dataset.train)


@pytest.mark.parametrize("prefix", ["", "x_"])
def test_two_arrays_are_the_two_splits(tmp_path, prefix):
    arrays = {f"{prefix}train": images(20, (8, 8)), f"{prefix}test": images(3, (8, 8), 1), "y_train": np.arange(20)}
    data = Data(name=saved(tmp_path / "grey.npz", **arrays), train=15)
    dataset = load(data)
    assert dataset.train.shape == (15, 8, 8, 1)
    assert np.array_equal(dataset.test[..., 0], arrays[f"{prefix}test"])
    assert expected_shape(data) == (8, 8, 1)


def test_a_file_that_has_changed_is_read_again_and_named_by_its_content(tmp_path):
    first, second = images(), images(seed=1)
    np.save(tmp_path / "mine.npy", first)
    before = load(Data(name=str(tmp_path / "mine.npy")))
    np.save(tmp_path / "mine.npy", second)
    after = load(Data(name=str(tmp_path / "mine.npy")))
    assert np.array_equal(after.test, second[9::10])
    assert before.source != after.source
    assert before.source.startswith("mine.npy (sha256 ")


def test_crop_and_resize_apply(tmp_path):
    np.save(tmp_path / "mine.npy", images())
    data = Data(name=str(tmp_path / "mine.npy"), crop=(2, 10, 1, 9), resize=(4, 4))
    assert load(data).image_shape == expected_shape(data) == (4, 4, 3)


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (images(43, ()), r"expected \[n, height, width\]"),
        (np.uint8(3), r"expected \[n, height, width\] .* received uint8 of shape \(\)"),
        (images(43, (2, 8, 8, 3)), r"expected \[n, height, width\]"),
        (images(43, (3, 12, 10)), r"received \(3, 12, 10\), whose channels come first: write np.moveaxis\(x, 1, -1\)"),
        (images(43, (43, 3)), r"received \(43, 43, 3\), which looks like one image"),
        (images().astype("M8[s]"), r"expected images of numbers, received datetime64\[s\]"),
        (images().astype(np.complex64), "expected images of numbers, received complex64"),
        (images(9), "expected at least 10 images"),
        (np.zeros((20, 0, 4), np.uint8), r"expected \[n, height, width\]"),
        (np.array([{}] * 20, object), "cannot be read as an array"),
    ],
)
def test_what_holds_no_images_is_one_line(tmp_path, array, said):
    np.save(tmp_path / "bad.npy", array)
    with pytest.raises(DataError, match=f"data.name '.*bad.npy'.*{said}"):
        load(Data(name=str(tmp_path / "bad.npy")))
    assert not list((tmp_path / "cache").glob("*")) if (tmp_path / "cache").exists() else True


BYTES = np.random.default_rng(5).integers(0, 256, (40, 6, 6, 1), dtype=np.uint8)
BITS = BYTES % 2


@pytest.mark.parametrize(
    ("array", "expected", "note"),
    [
        (BYTES, BYTES, ""),
        (BITS, BITS * 255, ", uint8 of 0 and 1"),
        (BITS.astype(bool), BITS * 255, ", bool of 0 and 1"),
        (BITS.astype(np.int64), BITS * 255, ", int64 of 0 and 1"),
        (BYTES.astype(np.int64), BYTES, ", int64 from 0 to 255"),
        (BYTES.astype(">u2") * 257, BYTES, ", uint16 from 0 to 65535, rounded to 8 bits"),
        (
            BYTES.astype(np.uint16) * 16,
            np.rint(BYTES * (16 * 255 / 4095)),
            ", uint16 from 0 to 4095, rounded to 8 bits",
        ),
        (BYTES.astype(np.float32) / 255, BYTES, ", float32 from 0 to 1, rounded to 8 bits"),
        (BYTES.astype(np.float64), BYTES, ", float64 from 0 to 255, rounded to 8 bits"),
        (BITS.astype(np.float16), BITS * 255, ", float16 from 0 to 1, rounded to 8 bits"),
        (BYTES / 255 * np.float32(1.0000001), BYTES, ", float64 from 0 to 1, rounded to 8 bits"),
        (BYTES / np.float64(255) - 1e-8, BYTES, ", float64 from 0 to 1, rounded to 8 bits"),
        (BYTES * np.float64(1.0000005), BYTES, ", float64 from 0 to 255, rounded to 8 bits"),
    ],
)
def test_images_of_every_type_are_taken_by_the_range_of_the_whole_file(tmp_path, array, expected, note):
    np.save(tmp_path / "mine.npy", array)
    dataset = load(Data(name=str(tmp_path / "mine.npy")))
    assert dataset.train.dtype == np.uint8
    assert np.array_equal(dataset.train, np.delete(expected, np.s_[9::10], axis=0))
    assert np.array_equal(dataset.test, expected[9::10])
    assert dataset.source.partition(")")[2] == note


def test_one_bright_pixel_of_the_test_split_sets_the_range_of_both(tmp_path):
    dark, bright = np.full((20, 4, 4), 1, np.uint16), np.full((5, 4, 4), 1, np.uint16)
    bright[-1, 0, 0] = 500
    dataset = load(Data(name=saved(tmp_path / "mine.npz", train=dark, test=bright)))
    assert dataset.test.max() == 250  # 500 of 511: nine bits
    assert set(np.unique(dataset.train)) == {0}


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (
            BYTES.astype(np.float32) - 1,
            "expected floats from 0 to 1, or from 0 to 255, received float32 from -1 to 254",
        ),
        (BYTES.astype(np.float32) * 2, "expected floats .* received float32 from 0 to 510"),
        (BITS.astype(np.float32) * 1.5, "expected floats .* received float32 from 0 to 1.5"),
        (BITS * np.float64(1.00001), "expected floats .* received float64 from 0 to 1.00001: scale"),
        (BYTES / 255 - 1e-5, "expected floats .* received float64 from -1e-05 to 0.99999"),
        (np.where(BITS, np.nan, 0.5), "expected numbers, received float64 with NaN"),
        (np.where(BITS, np.inf, 0.5), "expected floats .* received float64 from 0.5 to inf"),
        (BYTES.astype(np.int8), "expected whole numbers from 0 to 65535, received int8 from -128 to 127"),
        (BYTES.astype(np.int64) << 20, "expected whole numbers from 0 to 65535, received int64 from 0"),
    ],
)
def test_a_range_that_is_none_of_images_is_one_line_and_never_clipped(tmp_path, array, said):
    np.save(tmp_path / "odd.npy", array)
    with pytest.raises(DataError, match=f"odd.npy .*{said}"):
        load(Data(name=str(tmp_path / "odd.npy")))
    assert not list((tmp_path / "cache").glob("*"))


def test_a_resize_keeps_the_range(tmp_path):
    np.savez(tmp_path / "deep.npz", train=np.full((12, 8, 8), 65535, np.uint16), test=np.zeros((3, 8, 8), np.uint16))
    dataset = load(Data(name=str(tmp_path / "deep.npz"), resize=(3, 5)))
    assert (dataset.train.shape, dataset.train.min(), dataset.test.max()) == ((12, 3, 5, 1), 255, 0)


def test_other_arrays_beside_the_images_do_not_matter(tmp_path):
    arrays = {"imgs": BITS, "latents": np.zeros((40, 6)), "metadata": np.array([{"a": 1}], object)}
    np.savez(tmp_path / "sprites.npz", **arrays)
    assert load(Data(name=str(tmp_path / "sprites.npz"))).train.max() == 255
    with pytest.raises(DataError, match="objects, which are never unpickled"):
        load(Data(name=saved(tmp_path / "metadata.npz", metadata=arrays["metadata"])))


@pytest.mark.parametrize(
    "header",
    [
        b"\x93NUMPY\x03\x00\x0a\x00\x00\x00{'descr': ",
        b"\x93NUMPY\x02\x00\xff\xff\xff\x7f" + b" " * 20_000,
        b"\x93NUMPY\x09\x00" + b"x" * 200,
        b"\x93NUMPY\x01\x00\x40\x00" + b"{'descr': '|u1', 'fortran_order': False, 'shape': (True, 6, 6)}\n ",
        b"\x93NUMPY\x01\x00\x40\x00" + b"{'descr': '|u1', 'fortran_order': False, 'shape': (-10, 6, 6)}\n ",
        b"\x93NUMPY\x01\x00\x40\x00" + b"{'descr': '|u1', 'fortran_order': False, 'shape': 360,        }\n ",
    ],
)
def test_a_damaged_header_is_one_line(tmp_path, header):
    (tmp_path / "odd.npy").write_bytes(header + bytes(1_000))
    with zipfile.ZipFile(tmp_path / "odd.npz", "w") as archive:
        archive.writestr("x.npy", header + bytes(1_000))
    for name in ("odd.npy", "odd.npz"):
        with pytest.raises(DataError, match=f"{name}' cannot be read as an array"):
            load(Data(name=str(tmp_path / name)))
        assert expected_shape(Data(name=str(tmp_path / name))) is None


def test_a_symlink_is_followed_and_what_is_no_regular_file_is_refused(tmp_path):
    np.save(tmp_path / "mine.npy", BYTES)
    (tmp_path / "link.npy").symlink_to("mine.npy")
    assert load(Data(name=str(tmp_path / "link.npy"))).digest == load(Data(name=str(tmp_path / "mine.npy"))).digest
    os.mkfifo(tmp_path / "fifo.npy")
    (tmp_path / "null.npz").symlink_to("/dev/zero")
    (tmp_path / "folder.npy").mkdir()
    for name, said in (("fifo.npy", "a FIFO"), ("null.npz", "a device"), ("folder.npy", "a directory")):
        with pytest.raises(DataError, match=f"{name}': expected a regular file, .npy or .npz, received {said}"):
            load(Data(name=str(tmp_path / name)))
        with pytest.raises(ConfigError, match=f"{name}': expected a regular file, .npy or .npz, received {said}"):
            read_examples(str(tmp_path / name))


@pytest.mark.parametrize("suffix", ["npy", "npz"])
def test_a_header_that_claims_more_than_is_there_is_refused_before_it_is_allocated(tmp_path, suffix):
    content = io.BytesIO()
    header = {"descr": "|u1", "fortran_order": False, "shape": (10**9, 28, 28)}
    np.lib.format.write_array_header_1_0(content, header)
    path = tmp_path / f"huge.{suffix}"
    if suffix == "npy":
        path.write_bytes(content.getvalue() + bytes(784))
    else:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("x.npy", content.getvalue() + bytes(784))
    for read, error in ((lambda name: load(Data(name=name)), DataError), (read_examples, ConfigError)):
        with pytest.raises(error, match=r"cannot be read as an array: its header claims \(1000000000, 28, 28\)"):
            read(str(path))


@pytest.mark.parametrize("keep", [0, 5, 60, 127, 300, 1400])
@pytest.mark.parametrize("suffix", ["npy", "npz"])
def test_a_file_that_ends_early_is_one_line(tmp_path, suffix, keep):
    path = tmp_path / f"short.{suffix}"
    np.save(path, BYTES) if suffix == "npy" else np.savez(path, BYTES)
    os.truncate(path, keep)
    with pytest.raises(DataError, match="short.np.' cannot be read as an array"):
        load(Data(name=str(path)))
    with pytest.raises(ConfigError, match="short.np.' cannot be read as an array"):
        read_examples(str(path))


def test_files_that_cannot_be_read_are_one_line(tmp_path):
    with pytest.raises(DataError, match="nowhere.npy': No such file or directory: expected a .npy or .npz file"):
        load(Data(name="nowhere.npy"))
    (tmp_path / "text.npz").write_text("no archive")
    with pytest.raises(DataError, match="text.npz' cannot be read as an array"):
        load(Data(name=str(tmp_path / "text.npz")))
    with pytest.raises(DataError, match="expected arrays train and test, or one array, received a, b"):
        load(Data(name=saved(tmp_path / "two.npz", a=images(), b=images())))
    with pytest.raises(DataError, match="of one size"):
        load(Data(name=saved(tmp_path / "sizes.npz", train=images(), test=images(shape=(4, 4, 3)))))
    np.save(tmp_path / "colour.npy", images())
    with pytest.raises(ConfigError, match="Data.channels: expected 1, received .*, whose images have 3"):
        load(Data(name=str(tmp_path / "colour.npy"), channels=1))


def test_a_run_does_not_go_on_with_other_images(tmp_path):
    file, training = (
        tmp_path / "mine.npy",
        Training(steps=4, batch=8, log_every=1, evaluate_every=1, checkpoint_every=1),
    )
    run = Run(data=Data(name=str(file)), network=Network(width=8, latent_dim=2), training=training)
    np.save(file, images(64, (8, 8)))

    def stop(progress):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(run, tmp_path / "runs", report=stop)
    np.save(file, images(64, (8, 8), seed=1))
    with pytest.raises(RunError, match="expected images with the digest .*, received .*: restore the images"):
        train(run, tmp_path / "runs")
    np.save(file, images(64, (8, 8)))
    assert train(run, tmp_path / "runs")["status"] == "finished"


def test_a_run_on_a_file_trains_and_is_called_by_the_file(tmp_path, capsys):
    np.save(tmp_path / "mine.npy", images(64, (8, 8)))
    settings = [f"data.name={tmp_path / 'mine.npy'}", "network.width=8", "network.latent_dim=2", "training.steps=4"]
    settings += ["training.batch=8"]
    arguments = [part for setting in settings for part in ("--set", setting)]
    assert main(["train", *arguments, "--out", str(tmp_path / "runs")]) == 0
    (folder,) = (tmp_path / "runs").iterdir()
    assert folder.name.startswith("dense-2-vae-mine.npy-s0-")
    assert Run().run_id.startswith("dense-2-vae-fashion_mnist-s0-")
    assert "mine.npy (sha256 " in (folder / "result.json").read_text()
