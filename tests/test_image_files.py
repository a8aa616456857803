"""Images of a user's own, from .npy and .npz files."""

import numpy as np
import pytest

from tfcollapse.cli.main import main
from tfcollapse.config.declaration import Data, Network, Run, Training
from tfcollapse.data.dataset import expected_shape, load
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
        (images().astype(np.float32) / 255, "expected uint8 images, 0 to 255, received float32"),
        (images().astype(np.int64), "expected uint8 images, 0 to 255, received int64"),
        (images(43, ()), r"expected \[n, height, width\]"),
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
    with pytest.raises(RunError, match=r"expected the images that the run began on, mine.npy \(sha256 .*received mine"):
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
