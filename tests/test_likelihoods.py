"""Likelihoods: variance and derivative against distributions of SciPy and finite differences."""

import numpy as np
import pytest
from scipy import stats

from tfcollapse.diagnosis.likelihoods import BERNOULLI, GAUSSIAN, LINKS, POISSON, named, negative_binomial
from tfcollapse.errors import ConfigError

THETA = 3.0
KNOWN = [
    (GAUSSIAN, [-2.0, 0.3, 5.0], lambda mean: stats.norm(mean, 1.0)),
    (BERNOULLI, [0.1, 0.5, 0.97], stats.bernoulli),
    (POISSON, [0.2, 1.0, 30.0], stats.poisson),
    # SciPy's p is the probability of success: theta / (theta + mean).
    (negative_binomial(THETA), [0.2, 1.0, 30.0], lambda mean: stats.nbinom(THETA, THETA / (THETA + mean))),
]
NAMES = [likelihood.name for likelihood, _, _ in KNOWN]


@pytest.mark.parametrize(("likelihood", "means", "distribution"), KNOWN, ids=NAMES)
def test_the_variance_is_the_distribution_s(likelihood, means, distribution):
    expected = [distribution(mean).var() for mean in means]
    assert likelihood.variance(np.array(means)) == pytest.approx(expected)


@pytest.mark.parametrize(("likelihood", "means", "distribution"), KNOWN, ids=NAMES)
def test_the_negative_log_likelihood_differs_from_the_distribution_s_by_what_does_not_depend_on_the_mean(
    likelihood, means, distribution
):
    for x in (0.0, 1.0):
        logs = [getattr(distribution(m), "logpdf" if likelihood is GAUSSIAN else "logpmf")(x) for m in means]
        ours = likelihood.negative_log_likelihood(np.full(len(means), x), np.array(means))
        assert np.ptp(ours + logs) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("likelihood", [entry[0] for entry in KNOWN], ids=NAMES)
def test_the_derivative_is_the_residual_over_the_variance(likelihood):
    x, mean, step = np.array([0.0, 1.0, 0.4]), np.array([0.3, 0.6, 0.8]), 1e-6
    above, below = (likelihood.negative_log_likelihood(x, mean + shift) for shift in (step, -step))
    assert (above - below) / (2 * step) == pytest.approx(-(x - mean) / likelihood.variance(mean), rel=1e-5)


@pytest.mark.parametrize("name", LINKS)
def test_the_slope_is_the_derivative_of_the_mean(name):
    link, raw, step = LINKS[name], np.array([-2.0, 0.1, 1.5]), 1e-6
    expected = (link.mean(raw + step) - link.mean(raw - step)) / (2 * step)
    assert link.slope(link.mean(raw)) == pytest.approx(expected, rel=1e-5)


def test_ends_of_the_range_give_finite_numbers():
    x, ends = np.array([0.0, 1.0, 1.0]), np.array([0.0, 1.0, 0.0])
    for likelihood in (BERNOULLI, POISSON, negative_binomial(THETA)):
        assert np.isfinite(likelihood.negative_log_likelihood(x, ends)).all()
        assert (likelihood.variance(ends) > 0).all()


@pytest.mark.parametrize("wrong", ["normal", "negative_binomial", "BERNOULLI"])
def test_a_name_that_says_too_little_is_refused_in_one_line(wrong):
    with pytest.raises(ConfigError, match="likelihood: expected"):
        named(wrong)
    with pytest.raises(ConfigError, match="theta: expected numbers > 0"):
        negative_binomial(0.0)


@pytest.mark.parametrize("theta", [np.array("x"), np.array([object()]), np.array([1j]), np.array([]), np.array([True])])
def test_a_theta_of_another_kind_is_refused_in_one_line(theta):
    with pytest.raises(ConfigError, match="^theta: expected numbers > 0, received array"):
        negative_binomial(theta)
