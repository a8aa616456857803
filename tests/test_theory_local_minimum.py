import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from tfcollapse.theory import affine_energy, local_minimum
from tfcollapse.theory.local_minimum import (
    PAPER_DATA,
    SoftThresholdVAE,
    collapsed,
    delta_path,
    energy,
    gradient,
    hessian,
    sampled_energy,
)
from tfcollapse.theory.soft_threshold import expected_error, soft_threshold

SEEDS = st.integers(0, 2**32 - 1)
ALPHAS = st.one_of(st.just(0.0), st.floats(0.05, 2.0))
# n, d, kappa.
SIZES = st.tuples(st.integers(2, 4), st.integers(1, 3), st.integers(1, 2)).filter(lambda size: size[2] <= size[1])
HERMITE = (
    lambda e: 1.0,
    lambda e: e,
    lambda e: e**2 - 1,
    lambda e: e**3 - 3 * e,
    lambda e: e**4 - 6 * e**2 + 3,
)
LEGENDRE = np.polynomial.legendre.leggauss(200)


def any_vae(random, n, d, latent) -> SoftThresholdVAE:
    """Parameters at which eq. (6) varies on a scale of 0.2 or more, so that differences of 1e-5 resolve it."""
    weights = random.choice([-1, 1], (d, latent)) * random.uniform(0.5, 1.5, (d, latent))
    mean, sigma = random.standard_normal((n, latent)), random.uniform(0.5, 1.5, (n, latent))
    return SoftThresholdVAE(weights, random.standard_normal(d), random.uniform(0.3, 2), mean, sigma)


def differences(function, vae: SoftThresholdVAE, n, d, latent, step=1e-5) -> np.ndarray:
    """Central differences by every parameter in turn: one row for each."""
    vector = vae.flat()
    rows = []
    for shift in step * np.eye(len(vector)):
        up, down = (function(SoftThresholdVAE.unflat(vector + sign * shift, n, d, latent)) for sign in (1, -1))
        rows.append((up - down) / (2 * step))
    return np.array(rows)


def expectation(function, order: int, m: float, v: float, alpha: float) -> float:
    """The derivative of this order in m of E[function(u)], u ~ N(m, v): E[function(u) He(eps)] / s^order."""
    s = math.sqrt(v)
    kinks = [(edge - m) / s for edge in (-alpha, alpha)]
    ends = [-12.0, *sorted(kink for kink in kinks if -12 < kink < 12), 12.0]
    x, weights = LEGENDRE
    parts = []
    for a, b in zip(ends, ends[1:], strict=False):
        e = (a + b) / 2 + (b - a) / 2 * x
        parts.append((b - a) / 2 * weights @ (function(m + s * e) * HERMITE[order](e) * norm.pdf(e)))
    return sum(parts) / s**order


def test_the_soft_threshold_moves_everything_towards_zero_by_alpha():
    assert soft_threshold(np.array([-3.0, -1.0, -0.2, 0.0, 0.7, 2.5]), 1.0).tolist() == [-2.0, 0, 0, 0, 0, 1.5]
    assert soft_threshold(np.array([-3.0, 0.5]), 0.0).tolist() == [-3.0, 0.5]


@given(st.floats(-2, 2), st.floats(-2, 2), st.floats(0.04, 4), st.floats(0, 2))
@settings(max_examples=15)
def test_the_expected_error_and_its_derivatives_agree_with_quadrature(c, m, v, alpha):
    found = expected_error(c, m, v, alpha)

    def squared(u):
        return (c - soft_threshold(u, alpha)) ** 2

    for order, value in enumerate((found.value, found.m1, found.m2, found.m3, found.m4)):
        assert value == pytest.approx(expectation(squared, order, m, v, alpha), rel=1e-8, abs=1e-9 * v ** (-order / 2))
    for order, value in enumerate((found.output, found.passes, found.output_m2)):
        expected = expectation(lambda u: soft_threshold(u, alpha), order, m, v, alpha)
        assert value == pytest.approx(expected, rel=1e-8, abs=1e-9 * v ** (-order / 2))


@given(st.floats(-2, 2), st.floats(-3, 3), st.floats(0, 2))
def test_without_variance_the_error_is_that_of_the_mean(c, m, alpha):
    found, output = expected_error(c, m, 0.0, alpha), float(soft_threshold(np.array(m), alpha))
    assert found.value == pytest.approx((c - output) ** 2, abs=1e-12)
    assert found.output == pytest.approx(output, abs=1e-12)
    if abs(abs(m) - alpha) > 1e-6:
        assert found.passes == (abs(m) > alpha)


def test_a_tail_of_ten_to_the_minus_23_has_its_digits():
    # u ~ N(0, 0.01), alpha = 1: passes = 2 Q(10), and the error falls in m at the rate 2 c times that.
    found = expected_error(1.0, 0.0, 0.01, 1.0)
    assert found.passes == pytest.approx(2 * norm.sf(10.0), rel=1e-12)
    assert found.m1 == pytest.approx(-4 * norm.sf(10.0), rel=1e-12)
    assert 1e-24 < found.passes < 1e-22
    # With c = 0 it rises as E[pi(u)^2] does: m times the second derivative, which is 2 passes.
    assert expected_error(0.0, 1e-9, 0.01, 1.0).m1 == pytest.approx(2e-9 * 2 * norm.sf(10.0), rel=1e-6)


@given(SEEDS, SIZES, st.floats(0.05, 2))
def test_the_collapsed_solution_is_stationary_and_has_the_energy_of_seven(seed, size, alpha):
    """Eq. (6) at (7): n d gamma-bar / gamma-bar + n d log gamma-bar + n kappa."""
    n, d, latent = size
    data = np.random.default_rng(seed).standard_normal((n, d)) + 3.0
    point = collapsed(data, latent)
    gamma = np.square(data - data.mean(axis=0)).mean()
    assert point.gamma == pytest.approx(gamma, rel=1e-12)
    expected = n * d * (1 + math.log(gamma)) + n * latent
    assert energy(point, data, alpha) == pytest.approx(expected, rel=1e-12, abs=1e-9)
    assert np.abs(gradient(point, data, alpha).flat()).max() < 1e-10 * max(1, 1 / gamma**2)


@pytest.mark.parametrize("seed", range(6))
def test_the_closed_form_is_what_sampling_gives(seed):
    random = np.random.default_rng(seed)
    n, d, latent = 2 + seed % 3, 2 + seed % 2, 1 + seed % 2
    data, vae, alpha = random.standard_normal((n, d)), any_vae(random, n, d, latent), 0.3 * seed
    sampled, standard_error = sampled_energy(vae, data, alpha, 60_000, seed)
    assert abs(energy(vae, data, alpha) - sampled) < 5 * standard_error
    # The standard error is what the means of independent samples scatter by: 20 of them, chi-squared to 5 sigma.
    means = [sampled_energy(vae, data, alpha, 1_000, 100 + number)[0] for number in range(20)]
    ratio = np.std(means, ddof=1) / (standard_error * math.sqrt(60))
    assert 0.3 < ratio < 1.9


@given(SEEDS, SIZES, ALPHAS)
@settings(max_examples=30)
def test_the_gradient_is_that_of_the_energy(seed, size, alpha):
    random = np.random.default_rng(seed)
    data, vae = random.standard_normal(size[:2]), any_vae(random, *size)
    expected = differences(lambda moved: energy(moved, data, alpha), vae, *size)
    slope = gradient(vae, data, alpha).flat()
    assert slope == pytest.approx(expected, rel=1e-6, abs=1e-8 * (1 + np.abs(slope).max() + abs(energy(vae, data, 0))))


@given(SEEDS, SIZES, ALPHAS)
@settings(max_examples=30)
def test_the_hessian_is_that_of_the_gradient(seed, size, alpha):
    random = np.random.default_rng(seed)
    data, vae = random.standard_normal(size[:2]), any_vae(random, *size)
    expected = differences(lambda moved: gradient(moved, data, alpha).flat(), vae, *size)
    second = hessian(vae, data, alpha)
    assert second == pytest.approx(expected, rel=1e-5, abs=1e-7 * (1 + np.abs(second).max()))


@given(SEEDS, SIZES)
def test_without_a_threshold_it_is_the_affine_energy_summed_over_points(seed, size):
    random = np.random.default_rng(seed)
    data, vae = random.standard_normal(size[:2]), any_vae(random, *size)
    same = affine_energy.AffineVAE(vae.weights, vae.bias, math.log(vae.gamma), vae.mean, 2 * np.log(vae.sigma))
    mean_energy, slope = affine_energy.energy_and_gradient(same, data)
    found = gradient(vae, data, 0.0)
    assert energy(vae, data, 0.0) == pytest.approx(size[0] * mean_energy, rel=1e-10, abs=1e-9)
    assert found.weights == pytest.approx(size[0] * slope.weights, rel=1e-9, abs=1e-9)
    assert found.gamma * vae.gamma == pytest.approx(size[0] * slope.log_gamma, rel=1e-9, abs=1e-9)


@given(SEEDS, SIZES, st.floats(0.05, 2))
def test_the_hessian_of_the_collapsed_solution_is_block_diagonal(seed, size, alpha):
    """B.2, corrected: 0 for W, (2 n / gamma) I for b, n d / gamma^2, then 2 for the means and 4 for the sigmas."""
    n, d, latent = size
    data = np.random.default_rng(seed).standard_normal((n, d))
    point = collapsed(data, latent)
    diagonal = np.concatenate(
        [
            np.zeros(d * latent),
            np.full(d, 2 * n / point.gamma),
            [n * d / point.gamma**2],
            np.full(n * latent, 2.0),
            np.full(n * latent, 4.0),
        ]
    )
    assert hessian(point, data, alpha) == pytest.approx(np.diag(diagonal), rel=1e-10, abs=1e-10 / point.gamma**2)


@given(SEEDS, SIZES)
def test_without_a_threshold_the_collapsed_solution_is_a_saddle(seed, size):
    """The W-mu block is [[2 n / gamma, -2 C' / gamma], [., 2]]: along a direction of variance lambda, C'C = n lambda.

    Its lowest eigenvalue is negative where n lambda / gamma > n: always, for gamma is the mean of the lambdas (but for
    equality). On the paper's data, lambda = n = 2 and gamma = 1: 3 - sqrt(1 + 16).
    """
    n, d, latent = size
    data = np.random.default_rng(seed).standard_normal((n, d))
    point = collapsed(data, latent)
    top = float(np.linalg.eigvalsh(np.atleast_2d(np.cov(data.T, bias=True)))[-1])
    a, b, c = 2 * n / point.gamma, 2.0, 2 * math.sqrt(n * top) / point.gamma
    expected = (a + b) / 2 - math.hypot((a - b) / 2, c)
    lowest = np.linalg.eigvalsh(hessian(point, data, 0.0))[0]
    assert lowest == pytest.approx(expected, rel=1e-8, abs=1e-9 * a * max(1, 1 / point.gamma))
    if d > 1:
        assert lowest < 0
    assert np.linalg.eigvalsh(hessian(collapsed(PAPER_DATA), PAPER_DATA, 0.0))[0] == pytest.approx(3 - math.sqrt(17))


@given(SEEDS, SIZES, st.floats(0.01, 2), st.floats(0.01, 3))
def test_moving_the_weights_alone_never_lowers_the_energy(seed, size, alpha, width):
    """The last step of B.2: the gradient points back to (7), strictly where any signal passes."""
    n, d, latent = size
    random = np.random.default_rng(seed)
    data, direction = random.standard_normal((n, d)), random.standard_normal((d, latent))
    direction *= width / np.linalg.norm(direction)
    point = collapsed(data, latent)
    moved = SoftThresholdVAE(direction, point.bias, point.gamma, point.mean, point.sigma)
    slope = float((gradient(moved, data, alpha).weights * direction).sum())
    tail = norm.sf(alpha / np.linalg.norm(direction, axis=1).max())
    assert slope >= 0
    assert slope > 0 or tail < 1e-300
    assert energy(moved, data, alpha) >= energy(point, data, alpha) - 1e-10


@pytest.mark.parametrize("alpha", [0.0, 0.1, 1.0, 2.0])
def test_the_energy_on_the_path_of_appendix_b_falls_as_four_log_delta(alpha):
    """Every cell errs by t = ((alpha + 1) delta)^2, gamma is 2 t as printed, four cells:

    2 + 4 log(2 t) + 2 (delta^2 + 1 - 2 log delta) = 4 + 4 log 2 + 8 log(alpha + 1) + 4 log delta + 2 delta^2.
    """
    deltas = np.geomspace(1e-2, 1e-8, 13)
    energies = [energy(delta_path(delta, alpha), PAPER_DATA, alpha) for delta in deltas]
    expected = 4 + 4 * math.log(2) + 8 * math.log(alpha + 1) + 4 * np.log(deltas) + 2 * deltas**2
    assert energies == pytest.approx(expected.tolist(), abs=1e-7)
    assert np.polyfit(np.log(deltas), energies, 1)[0] == pytest.approx(4.0, abs=1e-4)
    assert min(energies) < energy(collapsed(PAPER_DATA), PAPER_DATA, alpha) - 40


def replaced(**changes) -> SoftThresholdVAE:
    point = collapsed(PAPER_DATA)
    parts = {name: getattr(point, name) for name in ("weights", "bias", "gamma", "mean", "sigma")}
    return SoftThresholdVAE(**parts | changes)


@pytest.mark.parametrize("function", [energy, gradient, hessian, lambda *a: sampled_energy(*a, 10)])
@pytest.mark.parametrize(
    ("name", "vae", "data", "alpha"),
    [
        ("gamma", replaced(gamma=0.0), PAPER_DATA, 1.0),
        ("gamma", replaced(gamma=-1.0), PAPER_DATA, 1.0),
        ("sigma", replaced(sigma=np.array([[1.0], [0.0]])), PAPER_DATA, 1.0),
        ("alpha", replaced(), PAPER_DATA, -0.1),
        ("alpha", replaced(), PAPER_DATA, math.nan),
        ("data", replaced(), np.ones((2, 3)) * [[1], [2]], 1.0),
        ("data", replaced(), np.arange(6.0).reshape(3, 2), 1.0),
        ("data.*two", replaced(), PAPER_DATA[:1], 1.0),
        ("data.*NaN", replaced(), PAPER_DATA * math.nan, 1.0),
    ],
)
def test_what_eq_6_cannot_take_is_refused_by_name(function, name, vae, data, alpha):
    with pytest.raises(ValueError, match=rf"^{name}"):
        function(vae, data, alpha)


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("latent_dim", lambda: collapsed(PAPER_DATA, 3)),
        ("latent_dim", lambda: collapsed(PAPER_DATA, 0)),
        ("data.*differ", lambda: collapsed(np.ones((4, 2)))),
        ("data.*two", lambda: collapsed(np.ones((1, 2)))),
        ("delta", lambda: delta_path(0.0, 1.0)),
        ("alpha", lambda: delta_path(0.1, -1.0)),
        ("alpha", lambda: soft_threshold(np.zeros(2), -1.0)),
        ("alpha", lambda: local_minimum.expected_error(0.0, 0.0, 1.0, math.inf)),
    ],
)
def test_what_the_paper_does_not_define_is_refused_by_name(name, call):
    with pytest.raises(ValueError, match=rf"^{name}"):
        call()
