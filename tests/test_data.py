import multiprocessing
import os
import pathlib
import re
import shutil

import numpy as np
import pytest
import tensorflow_datasets as tfds
from processes import python
from real_data import TFDS, real_data

from tfcollapse.config.declaration import Data
from tfcollapse.data import dataset as data
from tfcollapse.data import tfds as prepared
from tfcollapse.data.image_cache import cache_directory
from tfcollapse.errors import ConfigError, DataError


class Squares(tfds.core.GeneratorBasedBuilder):
    """A real TFDS dataset of a few images: size and count are the test's."""

    VERSION = tfds.core.Version("1.2.3")
    sizes = ((10, 8),) * 30
    feature = "image"

    def _info(self):
        image = tfds.features.Image(shape=(None, None, 3), encoding_format="png")
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict({self.feature: image}))

    def _split_generators(self, manager):
        return {"train": self._generate_examples(0), "test": self._generate_examples(1)}

    def _generate_examples(self, split):
        random = np.random.default_rng(split)
        for number, size in enumerate(self.sizes if split == 0 else self.sizes[:7]):
            yield number, {self.feature: random.integers(0, 256, (*size, 3), dtype=np.uint8)}


@pytest.fixture
def squares(tmp_path, monkeypatch):
    monkeypatch.setenv("TFCOLLAPSE_CACHE", str(tmp_path / "cache"))
    Squares(data_dir=tmp_path / "tfds").download_and_prepare()
    return tmp_path / "tfds"


def test_a_prepared_dataset_is_decoded_whole_and_in_tfds_order(squares):
    images = data.load(Data(name="squares"), data_dir=squares)
    expected = [e["image"] for e in tfds.as_numpy(Squares(data_dir=squares).as_dataset(split="train"))]
    assert images.train.dtype == np.uint8
    assert np.array_equal(images.train, expected)
    assert images.test.shape == (7, 10, 8, 3)
    assert images.source == "squares 1.2.3"
    assert isinstance(images.train, np.memmap)
    assert not images.train.flags.writeable


def test_the_second_start_reads_the_cache_and_needs_no_tfds(squares):
    first = data.load(Data(name="squares"), data_dir=squares)
    code = """
import sys; sys.modules["tensorflow_datasets"] = None; sys.modules["tensorflow"] = None
from tfcollapse.data.dataset import load; from tfcollapse.config.declaration import Data
print(load(Data(name="squares"), data_dir=sys.argv[1]).train.sum())
"""
    answer = python(code, str(squares))
    assert answer.stdout.strip() == str(first.train.sum()), answer.stderr


def test_crop_and_resize_have_caches_of_their_own(squares):
    plain = data.load(Data(name="squares"), data_dir=squares).train
    cropped = data.load(Data(name="squares", crop=(1, 9, 2, 6)), data_dir=squares).train
    assert np.array_equal(cropped, plain[:, 1:9, 2:6])
    resized = data.load(Data(name="squares", crop=(0, 8, 0, 8), resize=(4, 4)), data_dir=squares).train
    assert resized.shape == (30, 4, 4, 3)
    # Antialiased: a constant stays itself, and the mean is kept to rounding.
    assert abs(resized.mean() - plain[:, :8].mean()) < 2
    with pytest.raises(ConfigError, match="Data.crop: expected .* inside"):
        data.load(Data(name="squares", crop=(0, 11, 0, 8)), data_dir=squares)


def test_the_first_images_make_a_subset_and_too_many_are_refused(squares):
    images = data.load(Data(name="squares", train=5, test=2), data_dir=squares)
    assert (len(images.train), len(images.test)) == (5, 2)
    with pytest.raises(ConfigError, match="Data.train: expected at most the 30 images there are, received 31"):
        data.load(Data(name="squares", train=31), data_dir=squares)


def test_the_digest_is_of_the_pixels_in_use(squares, tmp_path):
    whole = data.load(Data(name="squares"), data_dir=squares)
    assert re.fullmatch("[0-9a-f]{16}", whole.digest)
    assert data.load(Data(name="squares", train=30, test=7), data_dir=squares).digest == whole.digest
    others = [Data(name="squares", train=29), Data(name="squares", test=6), Data(name="squares", crop=(0, 8, 0, 8))]
    digests = {data.load(other, data_dir=squares).digest for other in others} | {whole.digest}
    assert len(digests) == 4
    np.savez(tmp_path / "same.npz", train=whole.train, test=whole.test)  # the same pixels in another place
    assert data.load(Data(name=str(tmp_path / "same.npz"))).digest == whole.digest
    assert data.load(Data(name=data.MINI, train=5)).digest != data.load(Data(name=data.MINI)).digest


DAMAGES = [
    *("flip", "truncate", "remove", "header", "|i1", "True, ", "file"),
    *("meta", "nested", "meta.json", "train.npy", "link"),
]


def _damage(folder, how):
    if how == "flip":
        content = bytearray((folder / "train.npy").read_bytes())
        content[-1] ^= 1
        (folder / "train.npy").write_bytes(content)
    elif how == "truncate":
        os.truncate(folder / "test.npy", 100)
    elif how == "remove":
        (folder / "test.npy").unlink()
    elif how == "meta":
        (folder / "meta.json").write_text("[]")
    elif how == "nested":
        (folder / "meta.json").write_text("[" * 100_000)
    elif how in ("train.npy", "meta.json"):
        (folder / how).unlink()
        os.mkfifo(folder / how)
    elif how == "link":
        (folder / "train.npy").rename(folder.parent.parent / "elsewhere.npy")
        (folder / "train.npy").symlink_to(folder.parent.parent / "elsewhere.npy")
    elif how in ("|i1", "True, "):
        content = (folder / "train.npy").read_bytes()
        (folder / "train.npy").write_bytes(content.replace({"|i1": b"|u1", "True, ": b"False,"}[how], how.encode(), 1))
    elif how == "header":  # the same pixels as images of another shape
        np.save(folder / "train.npy", np.load(folder / "train.npy").reshape(30, 8, 10, 3))
    elif how == "file":
        shutil.rmtree(folder)
        folder.write_text("no directory")


@pytest.mark.parametrize("how", DAMAGES)
def test_a_damaged_cache_is_made_anew(squares, how):
    first = data.load(Data(name="squares"), data_dir=squares)
    (folder,) = cache_directory().iterdir()
    pixels = np.array(first.train)
    _damage(folder, how)
    again = data.load(Data(name="squares"), data_dir=squares)
    assert np.array_equal(again.train, pixels)
    assert again.digest == first.digest
    assert list(cache_directory().iterdir()) == [folder]


def _harm(folder, how):
    (shard,) = folder.glob("*train.tfrecord*")
    if how == "truncated shard":
        os.truncate(shard, shard.stat().st_size // 2)
    elif how == "missing shard":
        shard.unlink()
    else:
        (folder / "features.json").unlink()


@pytest.mark.parametrize("how", ["truncated shard", "missing shard", "missing features"])
def test_a_damaged_prepared_dataset_is_refused_and_leaves_no_cache(squares, how):
    _harm(squares / "squares" / "1.2.3", how)
    with pytest.raises(DataError, match="prepared dataset '.*1.2.3' cannot be read .*: move it away"):
        data.load(Data(name="squares"), data_dir=squares)
    assert not any(path.name.endswith(".npy") for path in cache_directory().rglob("*"))


def test_a_full_disk_stops_the_preparation_with_one_line(squares, small_disk, monkeypatch):
    monkeypatch.setenv("TFCOLLAPSE_CACHE", str(small_disk / "cache"))
    (small_disk / "filler").write_bytes(b"x" * 4_190_000)
    with pytest.raises(DataError, match=r"37 images of \(10, 8, 3\) need 8,880 bytes of space in .*free space, or set"):
        data.load(Data(name="squares"), data_dir=squares)
    (small_disk / "filler").unlink()
    assert len(data.load(Data(name="squares"), data_dir=squares).train) == 30


def _load(data_dir, cache, barrier, results):
    os.environ["TFCOLLAPSE_CACHE"] = cache
    barrier.wait()
    results.put(int(data.load(Data(name="squares"), data_dir=data_dir).train.sum()))


@pytest.mark.slow
def test_two_processes_may_prepare_at_once(squares, tmp_path):
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(2), context.Queue()
    arguments = (squares, str(tmp_path / "both"), barrier, results)
    both = [context.Process(target=_load, args=arguments) for _ in range(2)]
    for process in both:
        process.start()
    sums = {results.get(timeout=120) for _ in both}
    for process in both:
        process.join()
    assert sums == {int(data.load(Data(name="squares"), data_dir=squares).train.sum())}
    (folder,) = (tmp_path / "both").iterdir()  # and no half-written one beside it
    assert sorted(path.name for path in folder.iterdir()) == ["meta.json", "test.npy", "train.npy"]


def test_a_failed_preparation_leaves_nothing_behind(tmp_path, monkeypatch):
    monkeypatch.setenv("TFCOLLAPSE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(Squares, "sizes", ((10, 8), (10, 8), (9, 8)))
    Squares(data_dir=tmp_path / "tfds").download_and_prepare()
    with pytest.raises(DataError, match="images of one size, received .*: set data.crop or data.resize"):
        data.load(Data(name="squares"), data_dir=tmp_path / "tfds")
    assert list((tmp_path / "cache").iterdir()) == []
    assert data.load(Data(name="squares", resize=(6, 6)), data_dir=tmp_path / "tfds").image_shape == (6, 6, 3)


def test_a_new_version_is_not_served_from_the_old_one_s_cache(squares, monkeypatch):
    old = data.load(Data(name="squares"), data_dir=squares)
    monkeypatch.setattr(Squares, "VERSION", tfds.core.Version("1.10.0"))
    monkeypatch.setattr(Squares, "sizes", ((10, 8),) * 20)
    Squares(data_dir=squares).download_and_prepare()
    new = data.load(Data(name="squares"), data_dir=squares)
    assert (len(old.train), len(new.train), new.source) == (30, 20, "squares 1.10.0")


def test_the_packaged_images_need_nothing(monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", "/nowhere")
    images = data.load(Data(name=data.MINI))
    assert (images.train.shape, images.test.shape) == ((6000, 28, 28, 1), (1000, 28, 28, 1))
    assert not images.train.flags.writeable
    assert data.load(Data(name=data.MINI, resize=(8, 8), train=4, test=3)).test.shape == (3, 8, 8, 1)
    packaged = pathlib.Path(data.__file__).parent
    assert sum(path.stat().st_size for path in packaged.iterdir() if path.is_file()) < 5_000_000
    assert "Zalando" in (packaged / "FASHION_MNIST_LICENSE").read_text()


@pytest.mark.slow
@real_data
def test_the_packaged_images_are_the_first_of_fashion_mnist():
    whole, mini = data.load(Data(name="fashion_mnist")), data.load(Data(name=data.MINI))
    assert (whole.train.shape, whole.test.shape) == ((60000, 28, 28, 1), (10000, 28, 28, 1))
    assert np.array_equal(whole.train[:6000], mini.train)
    assert np.array_equal(whole.test[:1000], mini.test)


@pytest.mark.slow
@real_data
@pytest.mark.parametrize(
    ("name", "shape", "train", "test"),
    [
        ("cifar10", (32, 32, 3), 5000, 500),
        ("svhn_cropped", (32, 32, 3), 4000, 500),
        ("celeb_a", (64, 64, 3), 3600, 300),
        ("tiny_imagenet", (64, 64, 3), 2200, 200),
    ],
)
def test_real_datasets_load(name, shape, train, test):
    images = data.load(Data(name=name))
    assert (images.image_shape, len(images.train), len(images.test)) == (shape, train, test)
    assert 60 < images.train[:200].mean() < 160


@pytest.mark.slow
@real_data
def test_celeb_a_is_cropped_to_the_face_before_it_is_resized():
    import tensorflow as tf

    builder = tfds.builder("celeb_a", data_dir=TFDS)
    examples = builder.as_dataset(split="train", decoders=tfds.decode.PartialDecoding({"image": True}))
    face = next(iter(tfds.as_numpy(examples)))["image"][45:173, 25:153].astype(np.float32)
    expected = tf.image.resize(face, (64, 64), antialias=True).numpy()
    assert np.abs(data.load(Data(name="celeb_a")).train[0] - expected).max() <= 0.5 + 1e-3


@real_data
def test_names_at_hand_are_listed():
    names = prepared.prepared_names(TFDS)
    assert names[0] == data.MINI
    assert {"fashion_mnist", "cifar100", "tiny_imagenet"} <= set(names)


def test_missing_things_say_what_to_do(tmp_path):
    with pytest.raises(DataError, match="data directory '/nowhere': expected a readable directory"):
        data.load(Data(name="fashion_mnist"), data_dir="/nowhere")
    with pytest.raises(DataError, match="unknown dataset 'fashion_mnits': .*did you mean 'fashion_mnist"):
        data.load(Data(name="fashion_mnits"), data_dir=tmp_path)
    for name in (
        "",
        ".",
        "..",
        "mnist/.",
        "../../etc",
        "a/b/c",
        "-x",
        "mnist/3.0.1",
        "a b",
        "fashion*",
        "/etc",
        "x" * 5_000,
    ):
        for look_up in (data.load, data.expected_shape):
            with pytest.raises(
                DataError, match=r"^dataset name '.*': expected one such as cifar10 or imagenet_resized/64"
            ):
                look_up(Data(name=name), data_dir=tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("place", ["x" * 5_000, "x/" * 3_000, "a\0b", "~nobody-of-this-name", "/dev/null"])
def test_a_place_that_cannot_be_is_one_line(place, monkeypatch):
    with pytest.raises(DataError, match="^data directory '.*': expected a readable directory") as failed:
        data.load(Data(name="mnist"), data_dir=place)
    assert len(str(failed.value)) < 2_100
    with pytest.raises(DataError, match="expected a .npy or .npz file"):
        data.load(Data(name=f"{place}.npy"))


def test_without_a_network_it_says_how_to_get_the_data(tmp_path, monkeypatch):
    # Every connection goes to a port on which nothing listens, as on a machine without a network.
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with pytest.raises(DataError, match="could not be fetched .*tfcollapse data prepare fashion_mnist"):
        data.load(Data(name="fashion_mnist"), data_dir=tmp_path)
    assert list(tmp_path.iterdir()) == []
