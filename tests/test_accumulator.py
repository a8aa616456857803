"""The sums over blocks against NumPy on the whole, whatever the blocks."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfcollapse.metrics import posterior
from tfcollapse.metrics.accumulator import PosteriorAccumulator

DIMENSIONS = 12


def drawn(count, latent=3, seed=0):
    """Means far from 0 beside their spread, log variances on both sides of 0, and errors: float32, as models give."""
    random = np.random.default_rng(seed)
    mean = 50 + random.standard_normal((count, latent)) * np.linspace(0.01, 3, latent)
    log_variance, errors = random.uniform(-6, 1, (count, latent)), random.uniform(0, 9, (2, count))
    return [array.astype(np.float32) for array in (mean, log_variance, *errors)]


def accumulated(arrays, sizes, **options):
    """The accumulator after blocks of these sizes, and one of what is left."""
    accumulator, start = PosteriorAccumulator(DIMENSIONS, **options), 0
    for size in [*sizes, len(arrays[0])]:
        block = [array[start : start + size] for array in arrays]
        if len(block[0]):
            accumulator.add(*block)
        start += size
    return accumulator


@given(
    st.integers(1, 60),
    st.integers(1, 4),
    st.integers(0, 10**6),
    st.lists(st.integers(1, 20), max_size=6),
    st.booleans(),
)
def test_it_agrees_with_numpy_on_the_whole_whatever_the_blocks(count, latent, seed, sizes, covariance):
    arrays = drawn(count, latent, seed)
    sums = accumulated(arrays, sizes, covariance=covariance)
    mean, log_variance, sampled, at_mean = (array.astype(np.float64) for array in arrays)
    sigma = np.exp(log_variance / 2)
    assert sums.count == count
    assert sums.error == pytest.approx(sampled.mean() / DIMENSIONS, rel=1e-12)
    assert sums.error_at_mean == pytest.approx(at_mean.mean() / DIMENSIONS, rel=1e-12)
    assert sums.latent_variance == pytest.approx(mean.var(axis=0), rel=1e-9, abs=1e-12)
    kl = 0.5 * (mean**2 + sigma**2 - log_variance - 1).mean(axis=0)
    assert sums.kl_per_dimension == pytest.approx(kl, rel=1e-12)
    assert sums.sigma == pytest.approx(sigma.mean(axis=0), rel=1e-12)
    bins = np.histogram(np.clip(sigma, 0, 1.2), posterior.SIGMA_BINS)[0] / sigma.size
    assert sums.sigma_histogram == pytest.approx(bins, abs=1e-12)
    assert sums.share_near_prior == pytest.approx((sigma > 0.9).mean())
    if covariance:
        expected = np.cov(mean.T, bias=True).reshape(latent, latent)
        assert sums.covariance == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_the_variance_keeps_its_digits_where_the_mean_is_far_from_zero():
    mean, *others = drawn(1_000)
    far = [mean.astype(np.float64) + 1e6, *others]
    expected = far[0].var(axis=0)
    for covariance in (False, True):
        sums = accumulated(far, [7, 300, 50], covariance=covariance)
        assert sums.latent_variance == pytest.approx(expected, rel=1e-6)


def test_an_ae_has_errors_and_a_variance_of_its_latents():
    mean, _, sampled, at_mean = drawn(10)
    sums = PosteriorAccumulator(DIMENSIONS)
    sums.add(mean[:4], None, sampled[:4], at_mean[:4])
    sums.add(mean[4:], None, sampled[4:], at_mean[4:])
    assert sums.error == pytest.approx(sampled.mean(dtype=float) / DIMENSIONS)
    assert sums.latent_variance == pytest.approx(mean.var(axis=0, dtype=float))


@pytest.mark.parametrize("bad", [np.inf, np.nan])
def test_a_diverged_model_s_numbers_are_not_finite_and_say_so_without_a_warning(bad):
    mean, log_variance, sampled, at_mean = drawn(10)
    mean[3, 0], log_variance[3, 1], sampled[3] = bad, 800.0 if bad == np.inf else bad, bad
    sums = accumulated([mean, log_variance, sampled, at_mean], [4, 4])  # warnings are errors here
    assert not np.isfinite(sums.error)
    assert np.isfinite(sums.error_at_mean)
    assert np.isfinite(sums.latent_variance).tolist() == [False, True, True]
    assert np.isfinite(sums.kl_per_dimension).tolist() == [False, False, True]
    assert sums.count == 10


def test_it_holds_no_more_after_more_images():
    def held(count):
        sums = accumulated(drawn(count), [100] * (count // 100), covariance=True)
        return sum(np.asarray(value).nbytes for value in [*sums._sums.values(), sums._mean, sums._scatter])

    assert held(5_000) == held(200)
