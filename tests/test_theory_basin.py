import math
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import norm

from tfcollapse.theory import basin, gradient_flow
from tfcollapse.theory.basin import (
    barrier_bound,
    completed,
    escape_radius,
    mountain_pass,
    partial_minima,
    relative_energy,
)
from tfcollapse.theory.certified_radius import _log_excess, certified_radius
from tfcollapse.theory.gradient_flow import COLLAPSED, PARTIAL, RECONSTRUCTED, basin_map
from tfcollapse.theory.local_minimum import PAPER_DATA, SoftThresholdVAE, collapsed, energy, gradient, hessian

SEEDS = st.integers(0, 2**32 - 1)
SIZES = st.tuples(st.integers(2, 5), st.integers(1, 4), st.integers(1, 2)).filter(lambda size: size[2] <= size[1])


def symmetric(w: float, mu: float, sigma: float, gamma: float = 1.0) -> SoftThresholdVAE:
    return SoftThresholdVAE(
        np.full((2, 1), w), np.zeros(2), gamma, np.array([[mu], [-mu]]), np.full((2, 1), float(sigma))
    )


def at_pass(found: basin.Pass, alpha: float) -> SoftThresholdVAE:
    """A pass as parameters of eq. (6): b = 0 by symmetry, gamma the mean error."""
    draft = symmetric(found.weight, found.mean, found.sigma)
    gamma = float(draft.errors(PAPER_DATA, alpha).value.mean())
    return symmetric(found.weight, found.mean, found.sigma, gamma)


@given(SEEDS, SIZES, st.floats(0, 1.5))
@settings(max_examples=40)
def test_the_bias_and_gamma_of_the_relative_energy_are_optimal(seed, size, alpha):
    n, d, latent = size
    random = np.random.default_rng(seed)
    data, weights = random.standard_normal((n, d)) + 2.0, random.standard_normal((d, latent))
    mean, sigma = random.standard_normal((n, latent)), random.uniform(0.5, 1.5, (n, latent))
    vae = completed(weights, mean, sigma, data, alpha)
    slope = gradient(vae, data, alpha)
    assert np.abs(slope.bias).max() < 1e-10 * max(1, 1 / vae.gamma)
    assert abs(slope.gamma) < 1e-10 * max(1, 1 / vae.gamma)
    vector = np.concatenate([weights.ravel(), mean.ravel(), np.log(sigma).ravel()])
    value = relative_energy(vector, data, alpha, latent)[0]
    base = energy(collapsed(data, latent), data, alpha)
    assert value == pytest.approx(energy(vae, data, alpha) - base, abs=1e-9)
    moved = SoftThresholdVAE(weights, vae.bias + 0.1 * random.standard_normal(d), vae.gamma * 1.2, mean, sigma)
    assert energy(moved, data, alpha) - base > value


@given(SEEDS, SIZES, st.floats(0, 1.5))
@settings(max_examples=40)
def test_the_slope_of_the_relative_energy_is_its_derivative(seed, size, alpha):
    n, d, latent = size
    random = np.random.default_rng(seed)
    data = random.standard_normal((n, d))
    weights = random.choice([-1, 1], d * latent) * random.uniform(0.5, 1.5, d * latent)
    vector = np.concatenate([weights, random.standard_normal(n * latent), random.uniform(-0.6, 0.4, n * latent)])
    value, slope = relative_energy(vector, data, alpha, latent)
    for i, shift in enumerate(1e-5 * np.eye(len(vector))):
        up, down = (relative_energy(vector + sign * shift, data, alpha, latent)[0] for sign in (1, -1))
        scale = 1 + abs(value) + np.abs(slope).max()
        assert slope[i] == pytest.approx((up - down) / 2e-5, rel=1e-5, abs=1e-7 * scale)


def test_a_decoder_that_sends_no_signal_costs_what_its_kl_does():
    vector = np.array([1e-3, -1e-3, 0.3, -0.2, 0.1, -0.4])  # W, mu, log sigma; the tail at alpha = 1 is 0
    kl = 0.3**2 + 0.2**2 + sum(math.exp(2 * log) - 2 * log - 1 for log in (0.1, -0.4))
    assert relative_energy(vector, PAPER_DATA, 1.0)[0] == pytest.approx(kl, rel=1e-12)


@given(SEEDS, SIZES, st.floats(0.02, 3))
@settings(max_examples=60)
def test_no_point_within_the_certified_radius_is_lower_whatever_the_data(seed, size, alpha):
    n, d, latent = size
    random = np.random.default_rng(seed)
    data = random.standard_normal((n, d)) * random.uniform(0.1, 5) + random.uniform(-3, 3)
    radius = certified_radius(alpha, data)
    assert radius > 0
    base = energy(collapsed(data, latent), data, alpha)
    for share in (1.0, 1.0, 0.999, random.uniform(0.3, 1)):
        weights, mean = random.standard_normal((d, latent)), random.standard_normal((n, latent))
        if share == 1.0:  # a signal that fits the data: the posterior that an affine decoder asks for
            mean = (data - data.mean(axis=0)) @ weights
        weights *= radius * share / np.linalg.norm(weights, axis=1, keepdims=True)
        mean *= radius * random.uniform(0, 1) / np.maximum(np.linalg.norm(mean, axis=1, keepdims=True), 1e-9)
        sigma = 1 + radius * random.uniform(-1, 1, (n, latent))
        vae = completed(weights, mean, sigma, data, alpha)
        assert energy(vae, data, alpha) >= base - 1e-10
        other = SoftThresholdVAE(weights, vae.bias + 0.01 * random.standard_normal(d), 0.99 * vae.gamma, mean, sigma)
        assert energy(other, data, alpha) >= base - 1e-10


SHARES = [(w, s) for w in (0.05, 0.3, 0.6, 0.8, 0.9, 1.0) for s in (-1.0, -0.5, 0.0, 0.5, 1.0)]


def inequality(radius: float, alpha: float, data: np.ndarray, places=SHARES) -> float:
    """The least of log(2 gamma-bar (1 - eta) sigma^2 G / (d x^2 T^2)) over |W| and sigma, with G by quadrature."""
    centred = np.abs(data - data.mean(axis=0))
    gamma_bar, least = np.square(centred).mean(), math.inf
    eta = 2 * centred.mean() * radius**2 / gamma_bar
    eta *= 2 * norm.cdf(-(alpha - radius**2) / (radius * (1 + radius)))
    for width, sigma in radius * np.array(places) + [0, 1]:
        h = alpha / (width * sigma)
        scaled = quad(lambda t, h=h: t**2 * math.exp(-h * t - t * t / 2), 0, np.inf, epsabs=0)[0]
        log_excess = math.log(scaled) + norm.logpdf(h)  # E[((eps - h)_+)^2]
        log_passes = math.log(2) + norm.logcdf(-(alpha - width * radius) / (width * sigma))
        gain = math.log(data.shape[1] * centred.max() ** 2) + 2 * log_passes
        least = min(least, math.log(2 * gamma_bar * (1 - eta) * sigma**2) + log_excess - gain)
    return least


@pytest.mark.parametrize("alpha", [0.01, 0.1, 0.5, 1.0])
def test_the_certified_radius_is_where_its_inequality_ends(alpha):
    for data in (PAPER_DATA, np.random.default_rng(2).standard_normal((5, 3)) * [3.0, 1.0, 0.5]):
        radius = certified_radius(alpha, data)
        assert inequality(radius, alpha, data) > -1e-6
        assert inequality(1.001 * radius, alpha, data) < 0


@given(SEEDS, st.floats(0.005, 4))
@settings(max_examples=20)
def test_the_inequality_holds_between_the_ends_of_the_cells_too(seed, alpha):
    random = np.random.default_rng(seed)
    data = random.standard_normal((4, random.integers(1, 4))) * random.uniform(0.2, 3)
    places = np.column_stack([random.uniform(0.02, 1, 20), random.uniform(-1, 1, 20)])
    assert inequality(certified_radius(alpha, data), alpha, data, places) > 0


def test_fewer_cells_prove_a_smaller_radius_never_a_larger(monkeypatch):
    """Each cell is bounded by its worse end. A bound taken at the other end would gain with the width of the cells."""
    proved = []
    for cells in (4, 40, 400):
        monkeypatch.setattr(sys.modules["tfcollapse.theory.certified_radius"], "_CELLS", cells)
        proved.append([certified_radius(alpha) for alpha in (0.02, 0.3, 2.0)])
    assert (np.diff(proved, axis=0) > 0).all()
    assert np.min(proved) > 0


@pytest.mark.parametrize("h", [0.01, 0.5, 3.0, 10.0, 14.99, 15.01, 300.0])
def test_the_excess_over_a_threshold_is_bounded_closely_from_below(h):
    scaled = quad(lambda t: t**2 * math.exp(-h * t - t * t / 2), 0, 60 / max(h, 1), epsabs=0)[0]
    exact = math.log(scaled) + norm.logpdf(h)
    assert exact - 2e-8 < float(_log_excess(np.array(h))) < exact + 1e-10


SKEWED = np.array([[0.4, 2.0], [-1.0, -0.5], [0.3, 0.1]])


@pytest.mark.parametrize(
    ("alpha", "data"),
    [
        (0.02, PAPER_DATA),
        (0.3, PAPER_DATA),
        pytest.param(1.5, PAPER_DATA, marks=pytest.mark.slow),
        pytest.param(0.5, SKEWED, marks=pytest.mark.slow),
    ],
)
def test_the_certified_radius_is_below_every_escape(alpha, data):
    proved, found = certified_radius(alpha, data), escape_radius(alpha, data, starts=1)
    assert 0 < proved <= found
    # A lower point does lie within the one, and others look in vain a little below it.
    assert basin._lowest(found, alpha, data, 1, 0) < -1e-10
    assert basin._lowest(0.99 * found, alpha, data, 1, 1) > -1e-10


def test_without_a_threshold_there_is_no_radius_and_with_a_small_one_a_small():
    assert certified_radius(0.0) == 0.0
    assert escape_radius(0.0) < 1e-4  # a saddle: lower points lie at any distance that round-off lets us see
    alphas = np.array([1e-6, 1e-3, 0.03, 0.3, 1.0])
    radii = [certified_radius(alpha) for alpha in alphas]
    assert (np.diff(radii) > 0).all()
    assert (np.diff(radii / alphas) < 0).all()  # less than in proportion


@pytest.mark.parametrize("alpha", [0.01, 0.1, 0.5, 1.0, 1.15])
def test_the_pass_is_stationary_with_one_way_down(alpha):
    found = mountain_pass(alpha)
    vae = at_pass(found, alpha)
    eigenvalues = np.linalg.eigvalsh(hessian(vae, PAPER_DATA, alpha))
    assert np.abs(gradient(vae, PAPER_DATA, alpha).flat()).max() < 1e-12
    assert found.slope < 1e-12
    assert int((eigenvalues < -1e-10).sum()) == found.negative == 1
    assert found.height == pytest.approx(energy(vae, PAPER_DATA, alpha) - 6.0, abs=1e-13)
    assert found.height > 0
    assert found.weight > 0.3 * alpha
    assert found.mean > 0.1 * alpha


def test_height_goes_as_alpha_squared_and_width_as_alpha():
    """As alpha -> 0 with the constants of the limiting equations; corrections are of relative size alpha^2."""
    alphas = np.geomspace(1e-3, 1e-2, 5)
    found = [mountain_pass(alpha) for alpha in alphas]
    logs = np.log([[each.height, each.weight, each.mean, 1 - each.sigma] for each in found])
    assert np.polyfit(np.log(alphas), logs, 1)[0] == pytest.approx([2, 1, 1, 2], abs=1e-4)
    first = found[0]
    scaled = [first.height / 1e-6, first.weight / 1e-3, first.mean / 1e-3, math.log(first.sigma) / 1e-6]
    assert scaled == pytest.approx([0.018012, 0.6501, 0.1612, -0.0130], rel=1e-3)


@pytest.mark.parametrize("alpha", [0.1, pytest.param(1.0, marks=pytest.mark.slow)])
def test_the_pass_is_the_lowest_way_out_but_for_a_twentieth(alpha):
    height = mountain_pass(alpha).height
    assert 0.95 * height <= barrier_bound(alpha, starts=1) <= height


@pytest.mark.parametrize(("alpha", "behind"), [(0.3, RECONSTRUCTED), (1.0, PARTIAL)])
def test_the_flow_from_either_side_of_the_pass_ends_in_different_minima(alpha, behind):
    found = mountain_pass(alpha)
    ends = [basin_map([share * found.weight], [share * found.mean], alpha, found.sigma)[0, 0] for share in (0.95, 1.05)]
    assert ends == [COLLAPSED, behind]


def test_the_second_minimum_is_a_minimum_that_sends_a_weak_signal():
    minima = partial_minima()
    found = minima[1.0]
    vae = at_pass(found, 1.0)
    assert np.linalg.eigvalsh(hessian(vae, PAPER_DATA, 1.0))[0] > 1e-3
    assert np.abs(gradient(vae, PAPER_DATA, 1.0).flat()).max() < 1e-12
    assert (found.negative, found.slope < 1e-12) == (0, True)
    assert found.height == pytest.approx(energy(vae, PAPER_DATA, 1.0) - 6.0, abs=1e-13)
    assert found.height == pytest.approx(-0.012563, abs=1e-6)
    output = vae.errors(PAPER_DATA, 1.0).output
    assert np.sign(output).tolist() == PAPER_DATA.tolist()
    assert np.abs(output) == pytest.approx(np.full((2, 2), 0.1852), abs=1e-4)  # of 1, the data
    assert vae.gamma == pytest.approx(0.8605, abs=1e-4)  # of gamma-bar 1
    assert (min(minima), max(minima)) == (0.66, 1.16)
    assert minima[1.03].height < 0 < minima[1.04].height  # above (7)'s from there on
    # At the fold the pass and the minimum are about to merge.
    pair = mountain_pass(1.16), minima[1.16]
    assert pair[0].weight < pair[1].weight < pair[0].weight + 0.1
    assert 0 < pair[0].height - pair[1].height < 1e-3


def test_the_ends_of_known_starts():
    starts, means = np.array([0.05, 0.5, 2.0]), np.array([0.02, 1.0])
    # Without a threshold all leave the saddle, but for one that symmetry holds on it.
    assert (basin_map(starts, means, 0.0) == RECONSTRUCTED).all()
    assert basin_map([0.0, 0.5], [0.0], 0.0).tolist() == [[COLLAPSED], [RECONSTRUCTED]]
    small = basin_map(starts, means, 0.3)
    assert small.tolist() == [[COLLAPSED] * 2, [RECONSTRUCTED] * 2, [RECONSTRUCTED] * 2]
    large = basin_map(starts, means, 1.0)
    assert large.tolist() == [[COLLAPSED] * 2, [COLLAPSED, PARTIAL], [PARTIAL] * 2]
    assert (basin_map(-starts, -means, 0.3) == small).all()  # the same decoder
    # A narrow posterior and a small gamma fall past the second minimum.
    assert basin_map([2.0], [1.0], 1.0, sigma=0.05, gamma=0.01).tolist() == [[RECONSTRUCTED]]


@given(st.floats(-2, 2), st.floats(-2, 2), st.floats(0.3, 1.5), st.floats(0.2, 2), st.floats(0, 1.5))
def test_the_flow_is_down_the_gradient_of_eq_6(w, mu, sigma, gamma, alpha):
    """By symmetry the derivatives by (W_1, mu_1, log sigma_1, log gamma) are all there is."""
    vae = symmetric(w, mu, sigma, gamma)
    slope, value = gradient_flow._slope(np.array([[w], [mu], [math.log(sigma)], [math.log(gamma)]]), alpha)
    full = gradient(vae, PAPER_DATA, alpha)
    assert value[0] == pytest.approx(energy(vae, PAPER_DATA, alpha), rel=1e-12, abs=1e-12)
    expected = [full.weights[0, 0], full.mean[0, 0], full.sigma[0, 0] * sigma, full.gamma * gamma]
    assert slope[:, 0] == pytest.approx(expected, rel=1e-10, abs=1e-10 * max(1, 1 / gamma))
    assert full.weights[1, 0] == pytest.approx(full.weights[0, 0], rel=1e-10, abs=1e-10)
    assert full.mean[1, 0] == pytest.approx(-full.mean[0, 0], rel=1e-10, abs=1e-10)


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("alpha", lambda: certified_radius(-0.1)),
        ("alpha", lambda: escape_radius(math.nan)),
        ("alpha", lambda: barrier_bound(0.0)),
        ("alpha", lambda: mountain_pass(0.0)),
        ("alpha.*1.16", lambda: mountain_pass(1.17)),
        ("step", lambda: partial_minima(0.0)),
        ("alpha", lambda: basin_map([1.0], [1.0], -1.0)),
        ("sigma", lambda: basin_map([1.0], [1.0], 1.0, sigma=0.0)),
        ("gamma", lambda: basin_map([1.0], [1.0], 1.0, gamma=-1.0)),
        ("data.*two", lambda: certified_radius(0.1, PAPER_DATA[:1])),
        ("data.*differ", lambda: escape_radius(0.1, np.ones((3, 2)))),
        ("data.*NaN", lambda: barrier_bound(0.1, np.full((2, 2), math.nan))),
    ],
)
def test_what_cannot_be_used_is_refused_by_name(name, call):
    with pytest.raises(ValueError, match=rf"^{name}"):
        call()
