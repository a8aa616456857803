"""I_q(x; z) against closed forms of Gaussian channels, and against sums written out."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import logsumexp
from scipy.stats import norm

from tfcollapse.metrics.information import AggregatePosterior
from tfcollapse.metrics.posterior import effective_rank, kl_per_dimension


def estimate(mean, log_variance, draws, seed=0, block=1_000):
    random = np.random.default_rng(seed)
    chosen = random.integers(0, len(mean), draws)
    found = AggregatePosterior(mean[chosen], log_variance[chosen], random.standard_normal((draws, mean.shape[1])))
    for start in range(0, len(mean), block):
        found.add(mean[start : start + block], log_variance[start : start + block])
    return found.information()


@pytest.mark.parametrize("sigma", [0.1, 0.5, 0.9])
def test_of_a_gaussian_channel(sigma):
    # mu ~ N(0, 1 - sigma^2), z = mu + sigma eps ~ N(0, 1): I = -log sigma a dimension, and q(z) is the prior.
    random = np.random.default_rng(1)
    mean = random.standard_normal((20_000, 2)) * math.sqrt(1 - sigma**2)
    found = estimate(mean, np.full(mean.shape, 2 * math.log(sigma)), 4_000)
    assert abs(found.nats + 2 * math.log(sigma)) < 4 * found.standard_error + 0.02
    assert abs(found.marginal_kl) < 0.05
    assert found.cap == pytest.approx(math.log(20_000))


def test_points_told_apart_are_at_the_cap_and_a_constant_posterior_at_zero():
    mean = np.arange(50.0)[:, None]
    apart = estimate(mean, np.full(mean.shape, -10.0), 500)
    assert apart.nats == pytest.approx(math.log(50), abs=1e-9)
    same = estimate(np.zeros((50, 3)), np.zeros((50, 3)), 500)
    assert same.nats == pytest.approx(0.0, abs=1e-12)
    assert same.marginal_kl == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("nats", [2.0, 20.0, 40.0, 5_000.0])
def test_posteriors_far_narrower_than_their_means_are_told_apart(nats):
    # Every unit spends so many nats: its variance is exp(-2 nats), and float64 cannot tell z from the mean at 40.
    random = np.random.default_rng(3)
    mean = random.standard_normal((60, 8)).astype(np.float32)
    found = estimate(mean, np.full(mean.shape, -2 * nats, np.float32), 200)
    assert found.nats == pytest.approx(math.log(60), abs=1e-6)
    pairs = estimate(np.repeat(mean, 2, axis=0), np.full((120, 8), -2 * nats, np.float32), 200)
    assert pairs.nats == pytest.approx(math.log(60), abs=1e-6)  # two images share each posterior


def test_a_block_that_gives_a_draw_no_density_is_no_nan():
    mean = 1e4 * np.arange(40, dtype=np.float32)[:, None]
    found = estimate(mean, np.full(mean.shape, -700, np.float32), 40, block=1)
    assert found.nats == pytest.approx(math.log(40))
    assert found.nats <= found.cap


def test_an_image_that_rounding_moved_is_still_one_of_the_images():
    mean, log_variance = np.random.default_rng(4).standard_normal((40, 3)), np.full((40, 3), -50.0)
    found = AggregatePosterior(mean, log_variance, np.ones((40, 3)))
    found.add(mean + 1e-7, log_variance)  # thousands of standard deviations
    assert found.information().nats == pytest.approx(math.log(40))


@given(st.integers(2, 40), st.integers(1, 4), st.integers(0, 10**6), st.integers(1, 50))
def test_agrees_with_the_sum_written_out_whatever_the_blocks(count, latent, seed, block):
    random = np.random.default_rng(seed)
    mean, log_variance = random.standard_normal((count, latent)), random.uniform(-8, 1, (count, latent))
    noise = random.standard_normal((count, latent))
    z = mean + np.exp(log_variance / 2) * noise
    logs = norm.logpdf(z[:, None], mean, np.exp(log_variance / 2)).sum(axis=2)
    aggregate = logsumexp(logs, axis=1) - math.log(count)
    found = AggregatePosterior(mean, log_variance, noise)
    for start in range(0, count, block):
        found.add(mean[start : start + block], log_variance[start : start + block])
    found = found.information()
    assert found.nats == pytest.approx((np.diag(logs) - aggregate).mean(), rel=1e-9, abs=1e-9)
    assert found.marginal_kl == pytest.approx((aggregate - norm.logpdf(z).sum(axis=1)).mean(), rel=1e-9, abs=1e-9)
    assert found.nats <= found.cap + 1e-9


def test_it_and_the_marginal_kl_sum_to_the_kl():
    random = np.random.default_rng(2)
    mean, log_variance = random.normal(0.3, 1.0, (3_000, 2)), random.uniform(-3, 0, (3_000, 2))
    found = estimate(mean, log_variance, 6_000)
    kl = kl_per_dimension(mean, log_variance).sum()
    assert found.nats + found.marginal_kl == pytest.approx(kl, rel=0.03)


def test_effective_rank_of_known_spectra():
    assert effective_rank(np.eye(7)) == pytest.approx(7)
    assert effective_rank(np.diag([3.0, 0, 0])) == pytest.approx(1)
    assert effective_rank(np.zeros((4, 4))) == 0
    # Shares 1/2, 1/4, 1/4: entropy 1.5 log 2.
    assert effective_rank(np.diag([2.0, 1.0, 1.0])) == pytest.approx(2**1.5)
    turn = np.linalg.qr(np.random.default_rng(0).standard_normal((3, 3)))[0]
    assert effective_rank(turn @ np.diag([2.0, 1.0, 1.0]) @ turn.T) == pytest.approx(2**1.5)
