import math

import numpy as np
import pytest
import scipy.optimize
from hypothesis import given, settings
from hypothesis import strategies as st

from tfcollapse.theory import affine, affine_energy, shrinkage, thresholding
from tfcollapse.theory.affine_decoder import affine_posterior, affine_quadratic, affine_response
from tfcollapse.theory.thresholding import (
    Quadratic,
    Response,
    approximation,
    bound,
    coefficient,
    direct_gamma,
    point_gamma,
)

SEEDS = st.integers(0, 2**32 - 1)
# n, d, kappa.
SIZES = st.tuples(st.integers(2, 6), st.integers(1, 4), st.integers(1, 3)).filter(lambda size: size[2] <= size[1])
POSITIVE = st.floats(0.05, 5)


def problem(seed, size):
    """Centred data and a fixed affine decoder."""
    random = np.random.default_rng(seed)
    n, d, latent = size
    data = random.standard_normal((n, d)) * random.uniform(0.5, 3)
    return data - data.mean(axis=0), random.standard_normal((d, latent)), np.zeros(d)


def cost(weights, bias, data, gamma, mean, sigma) -> float:
    """f / gamma + 2 KL of any posterior, summed over data points, written out."""
    residual = data - bias - mean @ weights.T
    f = np.square(residual).sum() + (np.square(sigma) @ np.square(weights).sum(axis=0)).sum()
    return float(f / gamma + (np.square(mean) + np.square(sigma) - 2 * np.log(sigma) - 1).sum())


@given(SEEDS, SIZES, POSITIVE)
def test_the_affine_response_is_the_data_term_and_kl_of_the_best_posterior(seed, size, gamma):
    data, weights, bias = problem(seed, size)
    found = affine_response(weights, bias, data, gamma)
    mean, variance = affine_posterior(weights, bias, data, gamma)
    sigma = np.broadcast_to(np.sqrt(variance), mean.shape)
    best = cost(weights, bias, data, gamma, mean, sigma)
    assert found.f / gamma + 2 * found.kl == pytest.approx(best, rel=1e-10)
    random = np.random.default_rng(seed)
    for step in (1e-3, 0.1, 1.0):
        moved = mean + step * random.standard_normal(mean.shape), sigma * np.exp(step * random.standard_normal())
        assert cost(weights, bias, data, gamma, *moved) >= best - 1e-10 * (1 + best)
    # In eq. (4) it is f / gamma + d log gamma + 2 KL + kappa for each point.
    vae = affine_energy.AffineVAE(weights, bias, math.log(gamma), mean, 2 * np.log(sigma))
    expected = (found.f / gamma + 2 * found.kl) / size[0] + size[1] * math.log(gamma) + size[2]
    assert affine_energy.energy_and_gradient(vae, data)[0] == pytest.approx(expected, rel=1e-9, abs=1e-9)


def crossing(seed, size, share=1e-3) -> tuple[thresholding.Crossing, float, float, object]:
    """gamma' of a decoder that is not the best one, from a start below it."""
    data, weights, bias = problem(seed, size)
    weights = 0.5 * affine.optimum(data, size[2], 1e-3).weights + 0.05 * weights

    def respond(gamma: float) -> Response:
        return affine_response(weights, bias, data, gamma)

    ceiling = float(np.square(data).sum())
    top = float(np.linalg.eigvalsh(data.T @ data / len(data))[-1])
    return direct_gamma(respond, ceiling, share * top), ceiling, top, respond


@given(SEEDS, SIZES, st.floats(1e-4, 1e-2))
def test_gamma_prime_is_where_the_two_costs_cross(seed, size, share):
    found, ceiling, top, respond = crossing(seed, size, share)

    def difference(gamma: float) -> float:
        response = respond(gamma)
        return (response.f - ceiling) / gamma + 2 * response.kl

    assert difference(0.999 * found.gamma) < 0 < difference(1.001 * found.gamma)
    brute = scipy.optimize.brentq(difference, 1e-3 * found.gamma, 1e3 * found.gamma, rtol=1e-13)
    assert found.gamma == pytest.approx(brute, rel=1e-7)
    assert found.gamma <= top * (1 + 1e-9)  # above it the best of all decoders is the collapsed one
    assert (np.diff(found.history) > -1e-12 * top).all()  # it climbs, to round-off
    assert found.gamma == pytest.approx(found.history[-1], rel=1e-12)


def test_one_latent_and_one_direction_cross_where_the_formula_says():
    # W = w e_1, variance lambda: f falls by n (2 s w lambda - s^2 w^2 lambda - w^2 v), s = w / (w^2 + gamma), and
    # 2 KL = n (s^2 lambda + v - log v - 1), v = gamma / (w^2 + gamma).
    w, data = 0.8, np.array([[2.0, 0.3], [-2.0, -0.3], [1.0, -0.6], [-1.0, 0.6]])
    variance = 2.5

    def difference(gamma: float) -> float:
        s, v = w / (w**2 + gamma), gamma / (w**2 + gamma)
        gain = 2 * s * w * variance - s**2 * w**2 * variance - w**2 * v
        return s**2 * variance + v - math.log(v) - 1 - gain / gamma

    expected = scipy.optimize.brentq(difference, 0.1, 10, rtol=1e-14)
    found = direct_gamma(
        lambda gamma: affine_response(np.array([[w], [0.0]]), np.zeros(2), data, gamma), np.square(data).sum(), 0.1
    )
    assert found.gamma == pytest.approx(expected, rel=1e-8)


@given(SEEDS, SIZES, POSITIVE)
def test_a_posterior_that_is_not_the_best_gives_a_lower_bound(seed, size, gamma):
    found, ceiling, _, respond = crossing(seed, size)
    response = respond(gamma)
    point = point_gamma(response, ceiling)
    assert 0 <= point <= found.gamma * (1 + 1e-9)
    if point > 0:  # at that gamma this posterior costs what the collapsed solution does
        assert response.f / point + 2 * response.kl == pytest.approx(ceiling / point, rel=1e-9)
    worse = direct_gamma(lambda gamma: Response(1.01 * respond(gamma).f, respond(gamma).kl), ceiling, found.history[0])
    assert worse.gamma <= found.gamma * (1 + 1e-9)


def test_where_nothing_is_gained_gamma_prime_is_zero():
    assert direct_gamma(lambda gamma: Response(12.0, 1.0), 10.0, 1.0).gamma == 0.0
    assert direct_gamma(lambda gamma: Response(5.0, 0.0), 10.0, 1.0).gamma == 0.0
    assert direct_gamma(lambda gamma: Response(4.0, 1.5), 10.0, 1.0).gamma == 2.0  # (10 - 4) / (2 * 1.5)
    assert point_gamma(Response(4.0, 1.5), 10.0) == 2.0
    assert point_gamma(Response(12.0, 1.5), 10.0) == 0.0


@given(SEEDS, SIZES, POSITIVE)
@settings(max_examples=40)
def test_the_quadratic_is_that_of_f_at_its_best_posterior(seed, size, gamma):
    data, weights, bias = problem(seed, size)
    found = affine_quadratic(weights, bias, data, gamma)
    shape = (size[0], size[2])
    u, v = found.mean.reshape(shape), found.sigma.reshape(shape)

    def f(u: np.ndarray, v: np.ndarray) -> float:
        return float(np.square(data - u @ weights.T).sum() + (np.square(v) @ np.square(weights).sum(axis=0)).sum())

    for i, shift in enumerate(1e-4 * np.eye(u.size)):
        moved = shift.reshape(shape)
        scale = 1e-9 * (1 + f(u, v)) / 1e-4
        assert found.mean_slope[i] == pytest.approx((f(u + moved, v) - f(u - moved, v)) / 2e-4, rel=1e-7, abs=scale)
        assert found.sigma_slope[i] == pytest.approx((f(u, v + moved) - f(u, v - moved)) / 2e-4, rel=1e-7, abs=scale)
    assert found.mean_slope == pytest.approx(
        -2 * gamma * found.mean, rel=1e-9, abs=1e-9
    )  # where f + 2 gamma KL is flat
    # L bounds f's curvature, and is not larger than it has to be.
    top = np.linalg.svd(weights)[2][0]
    other = u + np.outer(np.ones(size[0]), top)
    rise = f(other, v) - f(u, v) - ((other - u).ravel() @ found.mean_slope)
    assert rise == pytest.approx(found.lipschitz / 2 * size[0], rel=1e-8)
    random = np.random.default_rng(seed)
    other_u, other_v = u + random.standard_normal(shape), np.abs(v + random.standard_normal(shape))
    above = f(u, v) + (other_u - u).ravel() @ found.mean_slope + found.lipschitz / 2 * np.square(other_u - u).sum()
    above += bound(other_v.ravel(), found.sigma, found.sigma_slope, found.lipschitz).sum()
    assert f(other_u, other_v) <= above + 1e-9 * (1 + above)  # eq. (20)


def test_units_that_send_nothing_are_left_out_of_the_quadratic():
    data = np.array([[1.0, 0.0], [-1.0, 2.0], [0.0, -2.0]])
    found = affine_quadratic(np.array([[0.0, 1.0], [0.0, 0.5]]), np.zeros(2), data, 0.3)
    alone = affine_quadratic(np.array([[1.0], [0.5]]), np.zeros(2), data, 0.3)
    assert found.mean.tolist() == alone.mean.tolist()
    assert found.sufficient_gamma() == alone.sufficient_gamma() > 0


def test_the_bound_and_its_approximation_worked_out_by_hand():
    # L = 2, v~ = 3, slope 2: turning at 2, floor -4 / 4.
    assert bound([0, 1, 2, 3, 5, -1], 3.0, 2.0, 2.0).tolist() == [-1, -1, -1, 0, 8, math.inf]
    assert approximation([0, 3, 6, -1], 3.0, 2.0, 2.0).tolist() == [-1, 0, 3, math.inf]  # -1 + v^2 / 9
    # L = 1, v~ = 1, slope 2: no turning above 0; g(0) = 1 / 2 - 2, the coefficient 2 - 1 / 2.
    assert bound([0, 1, 2], 1.0, 2.0, 1.0).tolist() == [-1.5, 0, 2.5]
    assert approximation([0, 1, 2], 1.0, 2.0, 1.0).tolist() == [-1.5, 0, 4.5]
    assert bound(1.0, 1.0, -0.1, 1.0) == math.inf
    assert approximation(1.0, 1.0, -0.1, 1.0) == math.inf


@given(POSITIVE, st.floats(0, 5), POSITIVE)
def test_the_coefficient_is_that_of_a_parabola_through_the_bound_at_both_ends(at, slope, lipschitz):
    """Eqs. (27) and (28) leave one value: (g(v~) - g(0)) / v~^2."""
    expected = -float(bound(0.0, at, slope, lipschitz)) / at**2
    assert float(coefficient(at, slope, lipschitz)) == pytest.approx(expected, rel=1e-9, abs=1e-12)
    v = np.linspace(0, 2 * at, 41)
    assert bound(v, at, slope, lipschitz).min() == pytest.approx(-expected * at**2, rel=1e-9, abs=1e-9)


QUADRATICS = st.builds(
    lambda parts, lipschitz: Quadratic(lipschitz, *np.array(parts).T),
    st.lists(st.tuples(st.floats(-3, 3), POSITIVE, st.floats(-3, 3), POSITIVE), min_size=1, max_size=5),
    POSITIVE,
)


@given(QUADRATICS, st.floats(0.05, 5), st.floats(0.1, 1))
def test_the_reduced_slope_is_the_derivative_by_w_squared(quadratic, gamma, w):
    y = (quadratic.lipschitz * quadratic.mean - quadratic.mean_slope) ** 2 / (2 * quadratic.lipschitz)
    assert quadratic.y == pytest.approx(y, rel=1e-9, abs=1e-12)
    up, down = (float(quadratic.reduced(math.sqrt(w**2 + shift), gamma)) for shift in (1e-6, -1e-6))
    slope = float(quadratic.reduced_slope(w, gamma))
    scale = 1 + abs(up) + (quadratic.lipschitz / gamma) ** 2 * y.sum() + (quadratic.c / gamma).sum()
    assert slope == pytest.approx((up - down) / 2e-6, rel=1e-5, abs=1e-7 * scale)
    assert quadratic.reduced([0.0, w], gamma)[0] == pytest.approx(
        y.sum() / gamma + len(y) * math.log(gamma), rel=1e-9, abs=1e-9
    )


@given(QUADRATICS, st.floats(1, 10))
def test_from_the_sufficient_gamma_on_the_slope_is_nowhere_negative(quadratic, factor):
    gamma = factor * quadratic.sufficient_gamma()
    if gamma > 1e-6:
        slopes = quadratic.reduced_slope(np.linspace(0, 3, 61), gamma)
        assert (slopes >= -1e-9 * (quadratic.c / gamma).sum()).all()


def test_the_sufficient_gamma_is_the_least_for_a_single_latent():
    # y = 2 (1 - (-3) / 4)^2 = 6.125, beta = 2. With slope 2, v~ = 1: c = 4 / 8, beta y / c = 24.5.
    wide = Quadratic(4.0, np.array([1.0]), np.array([1.0]), np.array([-3.0]), np.array([2.0]))
    assert wide.y.tolist() == [6.125]
    assert wide.sufficient_gamma() == 24.5
    assert wide.reduced_slope(0.0, 24.4) < 0 < wide.reduced_slope(0.0, 24.6)
    # With slope 12: c = 12 - 2 = 10, beta y / c = 1.225, below y / 2 = 3.0625, and not enough away from w = 0.
    steep = Quadratic(4.0, np.array([1.0]), np.array([1.0]), np.array([-3.0]), np.array([12.0]))
    assert steep.sufficient_gamma() == 3.0625
    assert steep.reduced_slope(0.3, 1.2251) < 0 < steep.reduced_slope(0.0, 1.2251)


@given(SEEDS, SIZES, POSITIVE)
def test_at_the_sufficient_gamma_the_collapsed_solution_costs_less_than_that_posterior(seed, size, gamma):
    data, weights, bias = problem(seed, size)
    sufficient = affine_quadratic(weights, bias, data, gamma).sufficient_gamma()
    assert point_gamma(affine_response(weights, bias, data, gamma), float(np.square(data).sum())) <= sufficient


@given(SEEDS, st.integers(2, 6), st.integers(1, 4), st.floats(0.01, 1.2))
@settings(max_examples=40)
def test_each_penalty_is_minimised(seed, d, k, share):
    """By the conditions of optimality: the slope of |x - A u|^2 balances that of gamma times the penalty."""
    random = np.random.default_rng(seed)
    design, target = random.standard_normal((d, min(d, k))), random.standard_normal(d)
    gamma = share * shrinkage.pruning_gamma(design, target, "l1")
    for penalty in ("l1", "l2", "l2 squared"):
        u = shrinkage.solve(design, target, gamma, penalty)
        slope, tolerance = 2 * design.T @ (target - design @ u), 1e-5 * (1 + gamma)
        if penalty == "l2 squared":
            assert slope == pytest.approx(2 * gamma * u, abs=1e-9 * (1 + gamma))
        elif penalty == "l1":
            assert (np.abs(slope) <= gamma + tolerance).all()
            assert slope[u != 0] == pytest.approx(gamma * np.sign(u[u != 0]), abs=tolerance)
        elif (u == 0).all():
            assert np.linalg.norm(slope) <= gamma + tolerance
        else:
            assert slope == pytest.approx(gamma * u / np.linalg.norm(u), abs=tolerance)


def test_with_an_orthonormal_design_every_penalty_has_its_formula():
    target = np.array([3.0, -1.0, 0.4, 0.0])
    expected = {
        "l1": np.sign(target) * np.maximum(np.abs(target) - 0.5, 0),
        "l2": target * (1 - 0.5 / np.linalg.norm(target)),
        "l2 squared": target / 2,
    }
    for penalty, solution in expected.items():
        assert shrinkage.solve(np.eye(4), target, 1.0, penalty) == pytest.approx(solution, abs=1e-12)
    assert shrinkage.pruning_gamma(np.eye(4), target, "l1") == 6.0
    assert shrinkage.pruning_gamma(np.eye(4), target, "l2") == pytest.approx(2 * math.sqrt(10.16))
    assert shrinkage.pruning_gamma(np.eye(4), target, "l2 squared") == math.inf


DATA = np.array([[1.0, 0.0], [-1.0, 2.0], [0.0, -2.0]])
W, B = np.ones((2, 1)), np.zeros(2)


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("start", lambda: direct_gamma(lambda gamma: Response(1.0, 1.0), 2.0, 0.0)),
        ("ceiling", lambda: direct_gamma(lambda gamma: Response(1.0, 1.0), -2.0, 1.0)),
        ("gamma", lambda: affine_response(W, B, DATA, 0.0)),
        ("gamma", lambda: affine_quadratic(W, B, DATA, -1.0)),
        ("data.*two", lambda: affine_response(W, B, DATA[:1], 1.0)),
        ("data.*NaN", lambda: affine_posterior(W, B, DATA * math.nan, 1.0)),
        ("data.*differ", lambda: affine_posterior(W, B, np.ones((3, 2)), 1.0)),
        ("weights", lambda: affine_posterior(np.ones((3, 1)), B, DATA, 1.0)),
        ("lipschitz", lambda: coefficient(1.0, 1.0, 0.0)),
        ("lipschitz", lambda: coefficient(1.0, 1.0, math.nan)),
        ("sigma_slope", lambda: Quadratic(1.0, *np.ones((3, 2)), np.array([1.0, 0.0])).sufficient_gamma()),
        ("gamma", lambda: shrinkage.solve(np.eye(2), np.ones(2), -1.0, "l1")),
        ("design", lambda: shrinkage.solve(np.full((2, 2), math.nan), np.ones(2), 1.0, "l1")),
        ("target", lambda: shrinkage.solve(np.eye(2), np.ones(3), 1.0, "l2")),
    ],
)
def test_what_cannot_be_used_is_refused_by_name(name, call):
    with pytest.raises(ValueError, match=rf"^{name}"):
        call()
