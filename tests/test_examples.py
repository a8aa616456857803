"""What `diagnose` takes as data: every range, file and iterable, in the units that a model sees."""

import re

import numpy as np
import pytest
import tensorflow as tf

from tfcollapse.diagnosis.examples import read_examples
from tfcollapse.errors import ConfigError

ROWS = np.random.default_rng(0).normal(-40, 20, (12, 5)).astype(np.float32)
"""As decibels are."""


def batches(count=3, size=4):
    yield from ROWS.reshape(count, size, 5)


@pytest.mark.parametrize(
    ("data", "seen"),
    [
        (ROWS, ROWS),
        (ROWS.astype(np.float64), ROWS),
        (ROWS.astype(np.int64), ROWS.astype(np.int64)),
        (np.array([[0, 255], [51, 0]], np.uint8), [[0, 1], [0.2, 0]]),
        (np.array([[0, 1], [1, 0]], np.uint8), [[0, 1], [1, 0]]),
        (np.array([[0, 1], [1, 0]], bool), [[0, 1], [1, 0]]),
        (np.array([[0, 300], [2, 0]], np.uint16), [[0, 300], [2, 0]]),
        ([[0.5, -3], [1, 2]], [[0.5, -3], [1, 2]]),
        (tf.constant(ROWS), ROWS),
        ((ROWS, np.arange(12)), ROWS),
        ({"image": ROWS, "label": np.arange(12)}, ROWS),
        ({"x": ROWS}, ROWS),
        (({"image": ROWS}, np.arange(12)), ROWS),
    ],
)
def test_the_units_are_the_model_s(data, seen):
    examples = read_examples(data)
    found = examples.as_float(examples.array)
    assert found.dtype == np.float32
    assert found == pytest.approx(np.asarray(seen, np.float32), rel=1e-6)
    assert len(examples) == len(seen)


def test_uint8_is_judged_by_the_whole_array_not_by_its_first_rows():
    late = np.zeros((9_000, 600), np.uint8)
    late[5, 0] = late[-1, 0] = 1
    assert read_examples(late).scale == 1
    late[-1, 0] = 2
    assert read_examples(late).scale == 255


@pytest.mark.parametrize(
    ("data", "first", "count", "said"),
    [
        (ROWS, None, 12, "12 examples"),
        (batches(), None, 12, "all 12 examples of a generator"),
        (batches(), 6, 6, "the first 6 examples of a generator"),
        ((row for row in ROWS), None, 12, "all 12 examples of a generator"),
        (((part, 0) for part in batches()), None, 12, "all 12 examples of a generator, the first array of 2"),
        (({"image": part, "id": 0} for part in batches()), 4, 4, "the first 4 .*, 'image' of a dictionary"),
        (tf.data.Dataset.from_tensor_slices(ROWS).batch(5), None, 12, "all 12 examples of a BatchDataset"),
        (tf.data.Dataset.from_tensor_slices(ROWS).repeat().batch(5), 9, 9, "the first 9 examples of a BatchDataset"),
        (tf.data.Dataset.from_tensor_slices((ROWS, np.arange(12))).batch(5), None, 12, "first array of 2"),
    ],
)
def test_iterables_give_their_first_examples_and_it_is_said(data, first, count, said):
    examples = read_examples(data, first)
    assert examples.array == pytest.approx(ROWS[:count])
    assert re.search(said, examples.description)


def test_some_of_an_array_are_evenly_spread_for_it_may_be_sorted():
    examples = read_examples(ROWS, 4)
    assert examples.array == pytest.approx(ROWS[[0, 3, 7, 11]])
    assert examples.description == "4 of 12 examples, evenly spread"


def test_an_endless_generator_gives_10_000():
    def endless():
        while True:
            yield ROWS

    assert len(read_examples(endless())) == 10_000


def test_torch_tensors_loaders_and_data_sets():
    torch = pytest.importorskip("torch")
    rows = torch.tensor(ROWS)
    pairs = torch.utils.data.TensorDataset(rows, torch.arange(12))
    loader = torch.utils.data.DataLoader(pairs, batch_size=5)
    for data in (rows.requires_grad_(), rows.detach().double(), pairs, loader):
        assert read_examples(data).array == pytest.approx(ROWS)
    assert read_examples(rows.detach().bfloat16()).array == pytest.approx(ROWS, rel=1e-2)
    images = torch.utils.data.TensorDataset(torch.rand(3, 1, 4, 4))  # of single images, not of batches of one image
    assert read_examples(images).array.shape == (3, 1, 4, 4)


def test_jax_arrays_and_sparse_matrices():
    import jax.numpy as jnp
    import scipy.sparse

    assert read_examples(jnp.asarray(ROWS)).array == pytest.approx(ROWS)
    assert read_examples(jnp.asarray(ROWS, jnp.bfloat16)).array == pytest.approx(ROWS, rel=1e-2)
    assert read_examples(scipy.sparse.csr_matrix(ROWS)).array == pytest.approx(ROWS)


def test_files(tmp_path):
    np.save(tmp_path / "x.npy", ROWS)
    np.savez(tmp_path / "x.npz", some=ROWS)
    mapped = read_examples(tmp_path / "x.npy").array
    assert isinstance(mapped.base, np.memmap)
    assert mapped == pytest.approx(ROWS)
    assert read_examples(str(tmp_path / "x.npz")).array == pytest.approx(ROWS)
    np.savez(tmp_path / "train.npz", x_test=ROWS[:3], x_train=ROWS)
    assert read_examples(tmp_path / "train.npz").array == pytest.approx(ROWS)
    np.savez(tmp_path / "several.npz", images=ROWS, labels=ROWS)
    with pytest.raises(ConfigError, match="expected one array .* received images, labels"):
        read_examples(tmp_path / "several.npz")
    (tmp_path / "damaged.npz").write_bytes(b"nothing")
    with pytest.raises(ConfigError, match="cannot be read as an array"):
        read_examples(tmp_path / "damaged.npz")


def failing():
    yield ROWS
    raise KeyError("no such column")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (np.zeros((0, 4)), "expected an array .n >= 2"),
        (ROWS[:1], r"received float32 of shape \(1, 5\)"),
        (ROWS[0], r"a column of numbers is x\[:, None\]"),
        (np.array([["a"], ["b"]]), "received <U1"),
        ([[0.1], [0.2, 0.3]], "rows of unequal length"),
        (np.full((9, 4), 3.0), "all the same"),
        (np.full((9, 4), 3, np.uint8), "all the same"),
        (np.where(ROWS > -30, np.nan, ROWS), "expected finite numbers, received NaN or infinity in"),
        (np.where(ROWS > -30, 1e300, np.float64(0)), "NaN or infinity"),
        ({"x": ROWS, "y": ROWS}, "received the names x, y"),
        (3, r"received int64 of shape \(\)"),
        (object(), "received object"),
        (iter([]), "gives none"),
        (failing(), "received KeyError at number 1: 'no such column'"),
        (iter([ROWS, ROWS[:, :3]]), r"examples of one shape, received \(5,\) and then \(3,\)"),
        ("mnist", "received 'mnist': a data set is loaded by tfcollapse.load"),
    ],
)
def test_what_cannot_be_right_is_refused_in_one_line(data, message):
    with pytest.raises(ConfigError, match=message) as raised:
        read_examples(data)
    assert str(raised.value).startswith("data: ")
    assert "\n" not in str(raised.value)


def test_nan_is_found_wherever_it_is():
    late = np.zeros((9_000, 600), np.float32)
    late[5], late[-1, -1] = 1, np.nan
    with pytest.raises(ConfigError, match="finite"):
        read_examples(late)
