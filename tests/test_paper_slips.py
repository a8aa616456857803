"""Where the paper prints something else than what holds: each form held against the same numbers."""

import math

import numpy as np
import pytest
import scipy.optimize

from tfcollapse.metrics.posterior import kl_per_dimension
from tfcollapse.theory import affine, affine_decoder, affine_energy, local_minimum, shrinkage, thresholding
from tfcollapse.theory.local_minimum import PAPER_DATA, SoftThresholdVAE
from tfcollapse.theory.soft_threshold import expected_error


def of_spectrum(eigenvalues, n=8, shift=0.0) -> np.ndarray:
    random = np.random.default_rng(0)
    draft = random.standard_normal((n, len(eigenvalues)))
    white = np.linalg.qr(draft - draft.mean(axis=0))[0] * math.sqrt(n)
    return white * np.sqrt(eigenvalues) + shift


def kept_by_descent(data, latent, gamma) -> int:
    """Columns that direct minimisation of eq. (4) at this gamma leaves different from zero."""
    start = affine_energy.random_start(np.random.default_rng(1), data, latent)
    _, where = affine_energy.minimise(data, start, gamma)
    return int((np.square(where.weights).sum(axis=0) > 1e-3).sum())


def test_section_4_latents_collapse_for_eigenvalues_below_gamma_not_above():
    """Printed: r~ counts the values SMALLER than gamma, and kappa - r~ latents collapse."""
    values, latent, gamma = np.array([9.0, 4.0, 3.0, 0.5]), 3, 2.0
    data = of_spectrum(values)
    collapsed = latent - kept_by_descent(data, latent, gamma)
    assert latent - int((values < gamma).sum()) == 2 != collapsed
    assert latent - int((values > gamma).sum()) == 0 == collapsed
    assert affine.spectrum(data).active_units(latent, gamma) == 3


def test_section_4_the_spectrum_is_that_of_the_centred_covariance_not_of_x_x_transposed():
    """Data off the origin: X X^T has values above gamma, and yet all latents collapse; the covariance decides."""
    data = of_spectrum([3.0, 1.0, 0.5], shift=10.0)
    printed = np.linalg.eigvalsh(data.T @ data)
    uncentred, unscaled = printed / len(data), np.linalg.eigvalsh(np.cov(data.T, bias=True)) * len(data)
    for gamma, kept in ((3.1, 0), (2.9, 1), (0.9, 2)):
        assert kept_by_descent(data, 2, gamma) == kept == affine.spectrum(data).active_units(2, gamma)
    assert min(printed.max(), uncentred.max(), unscaled.max()) > 3.1  # each alone would keep one there
    assert affine.spectrum(data).eigenvalues == pytest.approx([3.0, 1.0, 0.5])


def test_section_4_with_fewer_directions_than_latents_the_energy_has_no_minimum_over_gamma():
    """Printed: for r < kappa the same conclusions apply. With d - r directions without data it falls like their log."""
    data, full = of_spectrum([3.0, 1.0, 0.0, 0.0]), of_spectrum([3.0, 1.0, 0.4, 0.2])
    gammas = np.geomspace(1e-2, 1e-6, 5)
    energies = [affine.spectrum(data).energy(3, gamma) for gamma in gammas]
    assert np.polyfit(np.log(gammas), energies, 1)[0] == pytest.approx(2.0, abs=1e-6)
    assert np.diff([affine.spectrum(full).energy(3, gamma) for gamma in gammas]).min() > 0  # r >= kappa: it rises there
    start = affine_energy.random_start(np.random.default_rng(1), data, 3)
    reached = [affine_energy.minimise(data, start, gamma)[0] for gamma in (1e-2, 1e-3)]
    assert reached[0] - reached[1] == pytest.approx(2 * math.log(10), rel=1e-3)


def test_b1_the_energy_of_the_collapsed_solution_is_n_times_d_plus_kappa():
    """Printed: nd. The KL part of eq. (6) is n kappa at the prior, for |sigma|^2 - log |sigma^2| is kappa there."""
    n, d, latent = 2, 2, 1
    assert local_minimum.energy(local_minimum.collapsed(PAPER_DATA), PAPER_DATA, 1.0) == n * (d + latent) != n * d
    data = of_spectrum([1.5, 1.0, 0.5], n=5)  # gamma-bar is 1 here too
    assert local_minimum.energy(local_minimum.collapsed(data, 2), data, 1.0) == pytest.approx(5 * (3 + 2), rel=1e-12)


def test_b2_the_bias_block_of_the_hessian_has_a_factor_of_n():
    """Printed: (2 / gamma) I. Against a second difference of the energy, which is quadratic in b."""
    data = of_spectrum([4.0, 2.0], n=5)
    point = local_minimum.collapsed(data)
    moved = SoftThresholdVAE(point.weights, point.bias + [0.1, 0], point.gamma, point.mean, point.sigma)
    rise = local_minimum.energy(moved, data, 1.0) - local_minimum.energy(point, data, 1.0)
    block = local_minimum.hessian(point, data, 1.0)[2:4, 2:4]
    assert block == pytest.approx(2 * 5 / 3.0 * np.eye(2), rel=1e-12)  # gamma = 3
    assert block[0, 0] == pytest.approx(2 * rise / 0.1**2, rel=1e-9)
    assert block[0, 0] == pytest.approx(5 * (2 / 3.0), rel=1e-12)
    paper = local_minimum.hessian(local_minimum.collapsed(PAPER_DATA), PAPER_DATA, 1.0)[2:4, 2:4]
    assert paper.tolist() == [[4.0, 0.0], [0.0, 4.0]]  # n = 2, gamma = 1; printed: 2


def test_b2_the_mixed_derivative_by_gamma_and_bias_is_minus_the_gradient_over_gamma():
    """Printed: (2 / gamma^2) dL/db. The place is not (7), so dL/db is not zero. b is at 2 and 3, gamma at 4."""
    random = np.random.default_rng(0)
    data, gamma = random.standard_normal((4, 2)), 0.6
    vae = SoftThresholdVAE(
        random.standard_normal((2, 1)), np.array([0.3, -0.5]), gamma, random.standard_normal((4, 1)), np.ones((4, 1))
    )
    mixed, slope = local_minimum.hessian(vae, data, 0.4)[4, 2:4], local_minimum.gradient(vae, data, 0.4).bias
    step = 1e-6
    moved = [SoftThresholdVAE(vae.weights, vae.bias, gamma + sign * step, vae.mean, vae.sigma) for sign in (1, -1)]
    up, down = (local_minimum.gradient(place, data, 0.4).bias for place in moved)
    assert mixed == pytest.approx((up - down) / (2 * step), rel=1e-6)
    assert mixed == pytest.approx(-slope / gamma, rel=1e-12)
    assert np.abs(mixed - 2 / gamma**2 * slope).min() > 1


@pytest.mark.parametrize("alpha", [0.1, 1.0])
def test_b1_gamma_on_the_path_is_twice_the_optimal_one_and_the_slope_is_the_same(alpha):
    """Eq. (6) is 4 t / gamma + 4 log gamma + ...: lowest at gamma = t, printed 2 t. The difference is a constant."""

    def at(delta: float, share: float) -> SoftThresholdVAE:
        path = local_minimum.delta_path(delta, alpha)
        return SoftThresholdVAE(path.weights, path.bias, share * path.gamma, path.mean, path.sigma)

    deltas = np.geomspace(1e-3, 1e-6, 7)
    for delta in deltas:
        printed, half = (local_minimum.gradient(at(delta, share), PAPER_DATA, alpha).gamma for share in (1.0, 0.5))
        gamma = at(delta, 0.5).gamma
        assert printed * 2 * gamma == pytest.approx(2.0, rel=1e-9)  # 4 / gamma - 4 t / gamma^2 with gamma = 2 t
        assert abs(half * gamma) < 1e-9
    printed, best = (
        [local_minimum.energy(at(delta, share), PAPER_DATA, alpha) for delta in deltas] for share in (1.0, 0.5)
    )
    assert np.subtract(printed, best) == pytest.approx(np.full(7, 4 * math.log(2) - 2), rel=1e-9)
    for energies in (printed, best):
        assert np.polyfit(np.log(deltas), energies, 1)[0] == pytest.approx(4.0, abs=1e-5)


@pytest.mark.parametrize(("at", "slope", "lipschitz"), [(3.0, 2.0, 2.0), (1.0, 2.0, 1.0)])
def test_eq_24_the_approximation_is_of_the_bound_at_u_v_not_at_the_evaluation_point(at, slope, lipschitz):
    """At (u~, v~), as printed, the right-hand side is one number; what meets the bound at 0 and v~ moves."""
    v = np.linspace(0, 2 * at, 9)
    found, upper = (function(v, at, slope, lipschitz) for function in (thresholding.approximation, thresholding.bound))
    assert found[0] == pytest.approx(upper[0], rel=1e-12)  # eq. (27)
    assert found[0] == found.min() == pytest.approx(upper.min(), rel=1e-12)
    assert found[4] == pytest.approx(upper[4], abs=1e-12)  # eq. (28), v = v~
    assert found[4] == pytest.approx(0.0, abs=1e-12)
    assert np.ptp(found) > 1.0
    assert np.ptp(upper) > 1.0


def test_appendix_c_sums_run_over_n_kappa_entries_not_n_d():
    """h^appr of eq. (29), minimised numerically over m and s at fixed w, against eq. (33) over n kappa terms."""
    random = np.random.default_rng(0)
    (n, d, latent), gamma = (3, 4, 2), 0.7
    data, weights = random.standard_normal((n, d)) * 2, random.standard_normal((d, latent))
    quadratic = affine_decoder.affine_quadratic(weights, np.zeros(d), data, gamma)
    assert quadratic.y.shape == quadratic.c.shape == (n * latent,) != (n * d,)

    def minimum(w: float) -> float:
        def cost(values: np.ndarray) -> float:
            m, log_s = np.split(values, 2)
            s, away = np.exp(log_s), w * m - quadratic.mean
            f = (away * quadratic.mean_slope + quadratic.lipschitz / 2 * away**2).sum()
            f += thresholding.approximation(w * s, quadratic.sigma, quadratic.sigma_slope, quadratic.lipschitz).sum()
            return float(f / gamma + (m**2 + s**2 - 2 * log_s).sum())

        return float(scipy.optimize.minimize(cost, np.zeros(2 * n * latent), options={"gtol": 1e-6}).fun)

    places = np.array([0.0, 0.3, 0.7, 1.0])
    numeric = np.diff([minimum(w) for w in places])
    reduced = np.diff(quadratic.reduced(places, gamma))
    assert numeric == pytest.approx(reduced, rel=1e-6, abs=1e-6)
    # n d terms, the missing ones at the mean of those there are, would move d / kappa times as far.
    assert np.abs(d / latent * reduced - numeric).min() > 0.1


def test_appendix_c_the_gradient_is_not_bounded_by_the_lipschitz_constant():
    """Printed: df/du <= L, which would bound y. For an affine decoder it grows with the data while L stays."""
    random = np.random.default_rng(0)
    data, weights = random.standard_normal((4, 3)), random.standard_normal((3, 2))
    near, far = (affine_decoder.affine_quadratic(weights, np.zeros(3), size * data, 1.0) for size in (0.1, 1000.0))
    assert far.lipschitz == near.lipschitz
    assert np.abs(near.mean_slope).max() < near.lipschitz
    assert np.abs(far.mean_slope).max() > 10 * far.lipschitz
    assert far.mean_slope == pytest.approx(10_000 * near.mean_slope, rel=1e-9)
    assert far.y == pytest.approx(1e8 * near.y, rel=1e-9)  # what is used: bounded for a given data set


@pytest.mark.parametrize("sigma", [0.4, 1.0, 2.5])
def test_eqs_39_to_42_the_slopes_of_the_kl_by_sigma_and_by_the_weights_of_log_sigma_squared(sigma):
    """(40) prints 1 - 1 / sigma for sigma - 1 / sigma, (42) 1 / (2 sigma) for sigma / 2, where log sigma^2 = w h.

    (39) prints sigma^2 = exp(w), under which the slope by w would lack the h that (42) has.
    """

    def kl(log_variance: float) -> float:
        return float(kl_per_dimension(np.array([[0.3]]), np.array([[log_variance]]))[0])

    step, h = 1e-5, 1.7
    w = 2 * math.log(sigma) / h
    by_sigma = (kl(2 * math.log(sigma + step)) - kl(2 * math.log(sigma - step))) / (2 * step)
    by_w = (kl((w + step) * h) - kl((w - step) * h)) / (2 * step)
    assert by_sigma == pytest.approx(sigma - 1 / sigma, abs=1e-8)
    assert by_w == pytest.approx(by_sigma * sigma / 2 * h, abs=1e-8)
    printed = 1 - 1 / sigma, by_sigma / (2 * sigma) * h
    if sigma == 1.0:  # the only place where the paper uses them
        assert (*printed, by_sigma, by_w) == pytest.approx((0, 0, 0, 0), abs=1e-8)
    else:
        assert abs(printed[0] - by_sigma) > 0.1
        assert abs(printed[1] - by_w) > 0.1
        assert abs(by_sigma * sigma / 2 - by_w) > 0.1


def test_section_51_it_is_the_square_of_the_l2_norm_that_never_prunes():
    random = np.random.default_rng(0)
    design, target = random.standard_normal((12, 6)), random.standard_normal(12)
    gamma = shrinkage.pruning_gamma(design, target, "l2")
    assert math.isfinite(gamma)
    assert (shrinkage.solve(design, target, 1.001 * gamma, "l2") == 0).all()  # printed: never at a finite gamma
    assert (shrinkage.solve(design, target, 0.999 * gamma, "l2") != 0).all()
    for share in (1.001, 1e3, 1e6):
        assert (shrinkage.solve(design, target, share * gamma, "l2 squared") != 0).all()
    one = shrinkage.pruning_gamma(design, target, "l1")
    assert (shrinkage.solve(design, target, 1.001 * one, "l1") == 0).all()
    assert 0 < (shrinkage.solve(design, target, 0.5 * one, "l1") != 0).sum() < 6  # some of them: one by one
    assert (shrinkage.solve(design, target, 0.999 * one, "l1") != 0).any()


def test_proposition_2_the_slope_by_sigma_has_no_positive_lower_bound_but_that_by_its_square_has():
    """df/dsigma = 2 sigma df/d(sigma^2): asked to be >= c > 0, it falls like sigma for every decoder."""
    data, weights = of_spectrum([3.0, 1.0, 0.5]), np.array([[0.8], [-1.1], [0.6]])
    sigmas = np.geomspace(1e-1, 1e-4, 7)
    w, mean = weights[:, 0], data @ weights / np.square(weights).sum()

    def affine_f(sigma: float) -> float:
        return float(np.square(data - mean @ weights.T).sum() + len(data) * sigma**2 * np.square(w).sum())

    def threshold_f(sigma: float) -> float:  # every |m| = 0.9 or more, off the kink at alpha = 0.5
        m = np.array([0.9, -1.4, 2.0])
        return float(expected_error(np.array([1.0, 0.2, -1.0]), m, np.square(w * sigma), 0.5).value.sum())

    for function, limit in ((affine_f, len(data) * np.square(w).sum()), (threshold_f, np.square(w).sum())):
        small = sigmas[3:]
        slopes = np.array([(function(1.5 * s) - function(0.5 * s)) / s for s in small])  # exact for a square
        by_square = np.array([(function(1.5 * s) - function(0.5 * s)) / (2 * s**2) for s in small])
        assert np.polyfit(np.log(small), np.log(slopes), 1)[0] == pytest.approx(1.0, abs=1e-3)
        assert slopes.min() < 1e-2 * limit
        assert by_square == pytest.approx(np.full(4, limit), rel=1e-4)
