import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfcollapse.data import random_streams as draws


@pytest.mark.parametrize(("count", "batch"), [(100, 10), (103, 10), (7, 10), (64, 64), (1, 3)])
def test_each_image_is_seen_exactly_once_an_epoch(count, batch):
    steps = -(-3 * count // batch)
    stream = draws.batch_indices(5, 0, steps, batch, count).ravel()
    epochs = stream[: 3 * count].reshape(3, count)
    assert all(sorted(epoch) == list(range(count)) for epoch in epochs)
    if count > 7:
        assert not np.array_equal(epochs[0], epochs[1])


@given(st.integers(0, 50), st.integers(1, 20), st.integers(1, 33), st.integers(1, 40), st.integers(0, 3))
def test_the_stream_is_the_same_from_any_step(first, steps, batch, count, seed):
    whole = draws.batch_indices(seed, 0, first + steps, batch, count)
    assert np.array_equal(draws.batch_indices(seed, first, steps, batch, count), whole[first:])


def test_noise_is_the_same_from_any_step_and_differs_between_steps_and_seeds():
    whole = draws.noise(1, 0, 6, 4, 3)
    assert whole.dtype == np.float32
    assert np.array_equal(draws.noise(1, 4, 2, 4, 3), whole[4:])
    assert len(np.unique(whole)) == whole.size
    assert not np.isin(draws.noise(2, 0, 6, 4, 3), whole).any()
    assert not np.isin(draws.evaluation_noise(1, 0, 3), whole).any()


def test_noise_is_standard_normal():
    sample = draws.noise(0, 0, 100, 64, 64).astype(np.float64)
    # 409,600 draws: the standard errors of mean and variance are 0.0016 and 0.0022; five of each.
    assert abs(sample.mean()) < 5 * 0.0016
    assert abs(sample.var() - 1) < 5 * 0.0022


def test_the_bits_are_those_of_the_committed_results():
    # A NumPy that drew other numbers from the same key would make old and new runs incomparable.
    assert draws.batch_indices(0, 0, 1, 4, 60_000).tolist() == [[49806, 25494, 16864, 40736]]
    assert draws.noise(0, 0, 1, 1, 2).tolist() == [[[-1.4314630031585693, 1.6707168817520142]]]
