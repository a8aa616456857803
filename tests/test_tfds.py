"""Data sets of every kind that TFDS has, prepared by TFDS itself from a small builder."""

import json
import logging
import os
import shutil

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds
from processes import command

from tfcollapse.config.declaration import Data
from tfcollapse.data.dataset import expected_shape, load
from tfcollapse.data.image_cache import cache_directory
from tfcollapse.data.tfds import prepared_names
from tfcollapse.errors import ConfigError, DataError

GREY = (6, 6, 1)
BYTES = np.random.default_rng(0).integers(0, 256, (40, *GREY), dtype=np.uint8)
BITS = BYTES % 2
TWO = {"train": 30, "test": 10}
IMAGE = tfds.features.Image
KINDS = {
    "alone": (BYTES, {"image": IMAGE(shape=GREY)}, {"train": 40}),
    "sprites": (BITS, {"image": IMAGE(shape=GREY)}, {"train": 40}),
    "binarised": (BITS, {"image": IMAGE(shape=GREY)}, {"train": 30, "validation": 4, "test": 6}),
    "depth": (BYTES.astype(np.uint16) * 257, {"image": IMAGE(shape=GREY, dtype=np.uint16)}, TWO),
    "float": (BYTES / np.float32(255), {"image": IMAGE(shape=GREY, dtype=np.float32)}, TWO),
    "signed": (BYTES - np.float32(1), {"image": IMAGE(shape=GREY, dtype=np.float32)}, TWO),
    "tensor": (
        BITS.astype(bool),
        {"image": tfds.features.Tensor(shape=GREY, dtype=np.bool_)},
        TWO,
    ),
    "left": (BYTES, {"left_image": IMAGE(shape=GREY)}, TWO),
    "pair": (BYTES, {"left": IMAGE(shape=GREY), "right": IMAGE(shape=GREY)}, TWO),
    "video": (np.stack([BYTES] * 2, 1), {"video": tfds.features.Video(shape=(2, *GREY))}, TWO),
    "clean": (BYTES, {"image": IMAGE(shape=GREY)}, {"train_clean": 30, "test": 10}),
    "validated": (BYTES, {"image": IMAGE(shape=GREY)}, {"train": 30, "validation": 10}),
}
"""The images, features and splits of a data set by its name."""


def builder(kind, **attributes):
    """Return a class of TFDS that makes the data set `kind`."""
    images, features, sizes = KINDS[kind]

    class Kind(tfds.core.GeneratorBasedBuilder, skip_registration=True):
        VERSION = tfds.core.Version("1.0.0")

        def _info(self):
            return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

        def _split_generators(self, manager):
            ends = dict(zip(sizes, np.cumsum([*sizes.values()]), strict=True))
            return {name: self._generate_examples(ends[name] - sizes[name], sizes[name]) for name in sizes}

        def _generate_examples(self, start, count):
            for number, image in enumerate(images[start : start + count]):
                yield number, dict.fromkeys(features, image)

    Kind.name = kind
    for name, value in attributes.items():
        setattr(Kind, name, value)
    return Kind


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """A directory of TFDS with every kind."""
    folder = tmp_path_factory.mktemp("tfds")
    for kind in KINDS:
        builder(kind)(data_dir=folder).download_and_prepare()
    return folder


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TFCOLLAPSE_CACHE", str(tmp_path / "cache"))


def raw(made, kind, split):
    """Return the images of a split as TFDS gives them, in its order."""
    with_feature = next(iter(KINDS[kind][1]))
    examples = tfds.builder_from_directory(made / kind / "1.0.0").as_dataset(split=split)
    return np.array([example[with_feature] for example in tfds.as_numpy(examples)])


@pytest.mark.parametrize(
    ("kind", "pixels", "said"),
    [
        ("binarised", lambda x: 255 * x, ", uint8 of 0 and 1"),
        ("depth", lambda x: x // 257, ", uint16 from 0 to 65535, rounded to 8 bits"),
        ("float", lambda x: np.rint(x * 255), ", float32 from 0 to 1, rounded to 8 bits"),
        ("tensor", lambda x: 255 * x, ", bool of 0 and 1"),
        ("left", lambda x: x, ", feature 'left_image'"),
    ],
)
def test_images_of_every_type_are_taken_by_their_own_range(made, kind, pixels, said):
    dataset = load(Data(name=kind), data_dir=made)
    for split in ("train", "test"):
        assert np.array_equal(getattr(dataset, split), pixels(raw(made, kind, split).astype(np.float64)))
    assert dataset.train.dtype == np.uint8
    assert dataset.source == f"{kind} 1.0.0{said}"


@pytest.mark.parametrize("kind", ["alone", "sprites"])
def test_every_tenth_image_of_a_dataset_with_train_alone_is_its_test_split(made, kind):
    dataset, images = load(Data(name=kind), data_dir=made), raw(made, kind, "train")
    images = images * 255 if kind == "sprites" else images
    assert np.array_equal(dataset.test, images[9::10])
    assert np.array_equal(dataset.train, np.delete(images, np.s_[9::10], axis=0))
    assert dataset.source.startswith(f"{kind} 1.0.0 (its only split is train: every 10th image is the test split)")


def test_a_validation_split_stands_in_for_test(made):
    assert np.array_equal(load(Data(name="validated"), data_dir=made).test, raw(made, "validated", "validation"))


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("signed", "expected floats from 0 to 1, or from 0 to 255, received float32 from -1 to 25"),
        ("pair", "expected a feature 'image', or one feature that is an image, it has left, right: write"),
        ("video", "expected a feature 'image', or one .*, it has video, and none is an image: write"),
        ("clean", "expected a split 'train', it has train_clean, test: write the images"),
    ],
)
def test_what_cannot_be_taken_is_one_line(made, kind, said):
    with pytest.raises(DataError, match=said):
        load(Data(name=kind), data_dir=made)
    assert not list(cache_directory().glob("*"))


def test_a_size_that_finds_no_room_is_refused_before_it_is_allocated():
    said = r"7000 images of \(16384, 16384, 1\) need [\d,]+ bytes of memory, .*: set a smaller data.resize"
    with pytest.raises(DataError, match=said):
        load(Data(name="fashion_mnist_mini", resize=(16384, 16384)))


def test_a_crop_outside_the_images_is_refused_before_they_are_read(made):
    data = Data(name="alone", crop=(0, 7, 0, 6))
    for read in (load, expected_shape):
        with pytest.raises(ConfigError, match=r"Data.crop: expected .* inside \(6, 6\), received \(0, 7, 0, 6\)"):
            read(data, data_dir=made)


@pytest.fixture
def mine(made, tmp_path):
    """A directory of TFDS with a copy of one data set, to be changed."""
    shutil.copytree(made / "validated", tmp_path / "tfds" / "validated")
    return tmp_path / "tfds"


def test_the_same_version_with_other_pixels_is_not_served_from_the_old_cache(mine):
    before = load(Data(name="validated"), data_dir=mine)
    pixels = np.array(before.train)
    (shard,) = (mine / "validated" / "1.0.0").glob("*train.tfrecord*")
    size = shard.stat().st_size
    records = list(tf.data.TFRecordDataset(str(shard)).as_numpy_iterator())
    with tf.io.TFRecordWriter(str(shard)) as writer:
        for record in reversed(records):
            writer.write(record)
    assert shard.stat().st_size == size
    after = load(Data(name="validated"), data_dir=mine)
    assert np.array_equal(after.train, pixels[::-1])
    assert before.source == after.source
    assert before.digest != after.digest
    assert len(list(cache_directory().iterdir())) == 1  # nobody needs the old one


@pytest.mark.parametrize("name", ["features.json", "dataset_info.json", "validated-train.tfrecord-00000-of-00001"])
def test_a_fifo_in_a_prepared_dataset_is_refused_and_not_waited_for(mine, name):
    (mine / "validated" / "1.0.0" / name).unlink()
    os.mkfifo(mine / "validated" / "1.0.0" / name)
    with pytest.raises(DataError, match=f"cannot be read .*{name} is no regular file"):
        load(Data(name="validated"), data_dir=mine)


@pytest.mark.parametrize("count", [-5, 99_999_999_999_999])
def test_a_dataset_that_claims_images_that_cannot_be_is_said_to_be_damaged(mine, count):
    path = mine / "validated" / "1.0.0" / "dataset_info.json"
    info = json.loads(path.read_text())
    for split in info["splits"]:
        split["shardLengths"] = [str(count)]
    path.write_text(json.dumps(info))
    with pytest.raises(DataError, match=rf"cannot be read \(ValueError: split .* claims {count} images in \d+ bytes\)"):
        load(Data(name="validated"), data_dir=mine)


def test_a_dataset_of_the_same_name_elsewhere_has_a_cache_of_its_own_and_a_copy_needs_none(made, mine, monkeypatch):
    first = load(Data(name="validated"), data_dir=made)
    assert load(Data(name="validated"), data_dir=mine).digest == first.digest
    assert len(list(cache_directory().iterdir())) == 1
    monkeypatch.setitem(KINDS, "validated", (BYTES[::-1], *KINDS["validated"][1:]))
    builder("validated")(data_dir=mine / "other").download_and_prepare()
    assert load(Data(name="validated"), data_dir=mine / "other").digest != first.digest
    assert load(Data(name="validated"), data_dir=mine).digest == first.digest
    assert len(list(cache_directory().iterdir())) == 2


def test_what_a_killed_writer_left_is_swept_and_a_writer_at_work_is_left_alone(made):
    import fcntl

    cache_directory().mkdir()
    names = (".writing-dead", ".alone-1.0.0-0123456789ab-abcd_123", ".writing-young", ".writing-busy")
    dead, earlier, young, busy = folders = [cache_directory() / name for name in names]
    for folder in folders:
        folder.mkdir()
        (folder / "train.npy").write_bytes(b"half")
        if folder != young:
            os.utime(folder / "train.npy", (0, 0))
            os.utime(folder, (0, 0))
    descriptor = os.open(busy, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    load(Data(name="alone"), data_dir=made)
    os.close(descriptor)
    assert [folder.exists() for folder in (dead, earlier, young, busy)] == [False, False, True, True]


def test_a_name_without_a_config_is_taken_where_one_is_prepared(made, tmp_path):
    shutil.copytree(made / "alone", tmp_path / "tfds" / "many" / "small")
    first = load(Data(name="many"), data_dir=tmp_path / "tfds")
    assert first.source.startswith("many/small 1.0.0")
    assert prepared_names(tmp_path / "tfds")[1:] == ["many/small"]
    shutil.copytree(made / "sprites", tmp_path / "tfds" / "many" / "large")
    with pytest.raises(DataError, match="expected one of its prepared configs, many/large, many/small"):
        load(Data(name="many"), data_dir=tmp_path / "tfds")
    assert load(Data(name="many/small"), data_dir=tmp_path / "tfds").digest == first.digest


def test_a_dataset_with_archives_of_its_own_says_which_and_where(tmp_path, monkeypatch):
    how = "manual_dir should contain\n    pictures.zip, from https://example.org after a registration."
    needy = builder("alone", MANUAL_DOWNLOAD_INSTRUCTIONS=how)
    generators = needy._split_generators

    def split_generators(self, manager):
        if not (manager.manual_dir / "pictures.zip").exists():
            raise AssertionError(f"{manager.manual_dir} has no pictures.zip")
        return generators(self, manager)

    needy._split_generators = split_generators
    monkeypatch.setattr(tfds, "builder", lambda name, data_dir, try_gcs: needy(data_dir=data_dir))
    said = (
        f"put its archives into '{tmp_path}/downloads/manual' .*should contain pictures.zip, from https://example.org"
    )
    with pytest.raises(DataError, match=f"TFDS may not download it.*{said}"):
        load(Data(name="alone"), data_dir=tmp_path)
    (tmp_path / "downloads" / "manual").mkdir(parents=True)
    (tmp_path / "downloads" / "manual" / "other.zip").touch()
    with pytest.raises(DataError, match=f"has no pictures.zip.*{said}"):
        load(Data(name="alone"), data_dir=tmp_path)
    (tmp_path / "downloads" / "manual" / "pictures.zip").touch()
    assert len(load(Data(name="alone"), data_dir=tmp_path).train) == 36


@pytest.mark.slow
def test_warnings_of_absl_and_tfds_are_kept_out(made, tmp_path):
    answer = command("data", "prepare", "sprites", "--data-dir", str(made), TFCOLLAPSE_CACHE=str(tmp_path / "cache"))
    assert answer.stderr == ""
    assert answer.stdout.startswith(
        "sprites 1.0.0 (its only split is train: every 10th image is the test split), uint8"
    )
    assert answer.stdout.endswith(": 36 train and 4 test images of (6, 6, 1)\n")


def test_the_logger_of_absl_is_left_as_it_was(made):
    level = logging.getLogger("absl").level
    load(Data(name="alone"), data_dir=made)
    assert logging.getLogger("absl").level == level
