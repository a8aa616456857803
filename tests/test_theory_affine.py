import itertools
import math

import numpy as np
import pytest
import scipy.optimize
from hypothesis import given, settings
from hypothesis import strategies as st

from tfcollapse.theory import affine, affine_energy
from tfcollapse.theory.affine_energy import AffineVAE, energy_and_gradient, minimise, random_start, stationary_point

SEEDS = st.integers(0, 2**32 - 1)
SPECTRA = st.lists(st.floats(0.05, 20.0), min_size=2, max_size=7)


def of_spectrum(eigenvalues, n=12, seed=0) -> np.ndarray:
    """Data off the origin whose centred covariance (1/n) has exactly these eigenvalues."""
    random = np.random.default_rng(seed)
    draft = random.standard_normal((n, len(eigenvalues)))
    white = np.linalg.qr(draft - draft.mean(axis=0))[0] * math.sqrt(n)
    turn = np.linalg.qr(random.standard_normal((len(eigenvalues), len(eigenvalues))))[0]
    return white * np.sqrt(eigenvalues) @ turn + random.uniform(1, 3, len(eigenvalues))


def at(best: affine.Optimum, data: np.ndarray) -> AffineVAE:
    """The optimum as parameters of eq. (4)."""
    mean = (data - best.bias) @ best.encoder.T
    log_variance = np.log(np.broadcast_to(best.latent_variance, mean.shape))
    return AffineVAE(best.weights, best.bias, math.log(best.gamma), mean, log_variance)


def any_vae(random, n, d, latent) -> AffineVAE:
    return random_start(random, np.zeros((n, d)), latent, scale=0.7)


@given(SEEDS, st.integers(2, 9), st.integers(1, 5))
@settings(max_examples=30)
def test_the_spectrum_is_that_of_the_centred_covariance_divided_by_n(seed, n, d):
    data = np.random.default_rng(seed).standard_normal((n, d)) + 5.0
    known = affine.spectrum(data)
    expected = np.sort(np.linalg.eigvalsh(np.atleast_2d(np.cov(data.T, bias=True))))[::-1]
    assert known.eigenvalues == pytest.approx(expected, abs=1e-12 * expected[0] + 1e-15)
    assert known.mean_predictor == pytest.approx(np.square(data - data.mean(axis=0)).mean(), rel=1e-12)
    assert known.dimensions == d


def test_a_spectrum_worked_out_by_hand():
    known = affine.Spectrum.of([1.0, 4.0, 2.0, 1.0])
    assert known.mean_predictor == 2.0
    assert known.pca(2) == 2 / 4
    # The mean of what is discarded is 1; k + rest / gamma + logs + (d - k) log gamma + kappa = 2 + 2 + log 8 + 0 + 2.
    assert known.optimal_gamma(2) == 1.0
    assert known.energy(2) == pytest.approx(6 + math.log(8), rel=1e-14)
    # At gamma = 3 one is kept: 1 + 4 / 3 + log 4 + 3 log 3 + 2, error (4 + 2 + gamma - ...) = (1 + 1) + 3 + 2 over 4.
    assert known.energy(2, 3.0) == pytest.approx(3 + 4 / 3 + math.log(4) + 3 * math.log(3), rel=1e-14)
    assert known.active_units(2, 3.0) == 1
    assert known.error(2, 3.0) == 7 / 4
    assert known.latent_variance(2, 3.0).tolist() == [3 / 4, 1.0]
    assert known.stationary_gamma([]) == 2.0
    assert known.stationary_gamma([1]) == 2.0  # (4 + 1 + 1) / 3
    # Collapsed: (1 / 2) 8 + 4 log 2 + 2.
    assert known.stationary_energy([], 2, 2.0) == pytest.approx(6 + 4 * math.log(2), rel=1e-14)
    # One unit at eigenvalue 2, one collapsed, gamma 1.5: the collapsed one may take 4, the other turn to 4.
    assert known.saddle_directions([1], 2, 1.5) == 2
    assert known.saddle_directions([], 2, 1.5) == 4  # two units, two directions each
    assert known.saddle_directions([0, 1], 2, 1.5) == 0


@given(SPECTRA, st.data())
def test_the_energy_is_that_of_probabilistic_pca(eigenvalues, draw):
    """Eq. (4) is log |C| + tr(S C^-1) + kappa at the optimum, C = W W' + gamma I: its bound on -2 log p(x) is tight."""
    data = of_spectrum(eigenvalues)
    latent, gamma = draw.draw(st.integers(0, len(eigenvalues))), draw.draw(st.floats(0.05, 30))
    best = affine.optimum(data, latent, gamma)
    marginal = best.weights @ best.weights.T + gamma * np.eye(len(eigenvalues))
    covariance = np.cov(data.T, bias=True)
    expected = np.linalg.slogdet(marginal)[1] + np.trace(np.linalg.solve(marginal, covariance)) + latent
    assert best.energy == pytest.approx(expected, rel=1e-9, abs=1e-9)


@given(SPECTRA, st.floats(0.05, 30), st.booleans(), st.data())
def test_the_optimum_has_the_energy_error_and_gamma_it_states(eigenvalues, gamma, learned, draw):
    data = of_spectrum(eigenvalues)
    d = len(eigenvalues)
    latent = draw.draw(st.integers(1, d - 1))
    best = affine.optimum(data, latent, None if learned else gamma)
    energy, slope = energy_and_gradient(at(best, data), data)
    known, vae = affine.spectrum(data), at(best, data)
    residual = data - vae.bias - vae.mean @ vae.weights.T
    error = np.square(residual).mean() + (best.latent_variance @ np.square(best.weights).sum(axis=0)) / d  # eq. (8)
    assert energy == pytest.approx(best.energy, rel=1e-9, abs=1e-9)
    assert np.abs(np.delete(slope.flat(), [] if learned else d * latent + d)).max() < 1e-7
    assert known.error(latent, best.gamma) == pytest.approx(error, rel=1e-9)
    if learned:
        assert best.gamma == pytest.approx(error, rel=1e-9)  # eq. (10)


@given(SPECTRA, st.floats(0.05, 30), st.data())
def test_no_choice_of_served_directions_is_better_than_the_largest(eigenvalues, gamma, draw):
    known, d = affine.Spectrum.of(eigenvalues), len(eigenvalues)
    latent = draw.draw(st.integers(0, d - 1))
    subsets = [kept for size in range(latent + 1) for kept in itertools.combinations(range(d), size)]
    fixed = [kept for kept in subsets if (known.eigenvalues[list(kept)] > gamma).all()]
    lowest = min(known.stationary_energy(kept, latent, gamma) for kept in fixed)
    assert known.energy(latent, gamma) == pytest.approx(lowest, rel=1e-12, abs=1e-12)
    gammas = {kept: known.stationary_gamma(kept) for kept in subsets}
    learned = [kept for kept in subsets if (known.eigenvalues[list(kept)] > gammas[kept]).all()]
    lowest = min(known.stationary_energy(kept, latent, gammas[kept]) for kept in learned)
    assert known.energy(latent) == pytest.approx(lowest, rel=1e-12, abs=1e-12)


@given(SPECTRA, st.data())
def test_no_gamma_is_better_than_the_optimal_one(eigenvalues, draw):
    known = affine.Spectrum.of(eigenvalues)
    latent = draw.draw(st.integers(0, len(eigenvalues) - 1))
    best = known.optimal_gamma(latent)
    grid = best * np.geomspace(0.01, 100, 101)
    assert min(known.energy(latent, gamma) for gamma in grid) >= known.energy(latent) - 1e-12
    found = scipy.optimize.minimize_scalar(
        lambda log: known.energy(latent, math.exp(log)), bounds=(math.log(best) - 0.2, math.log(best) + 0.2)
    )
    assert math.exp(found.x) == pytest.approx(best, rel=1e-4)  # the energy is flat there: half of the 1e-8 digits


@given(SEEDS, st.integers(2, 6), st.integers(1, 4), st.data())
def test_nothing_lies_below_the_global_minimum(seed, n, d, draw):
    latent, random = draw.draw(st.integers(1, d)), np.random.default_rng(seed)
    data = random.standard_normal((n, d))
    vae = any_vae(random, n, d, latent)
    lowest = affine.spectrum(data).energy(latent, math.exp(vae.log_gamma))
    assert energy_and_gradient(vae, data)[0] >= lowest - 1e-9


@given(SEEDS, st.integers(2, 5), st.integers(1, 4), st.data())
@settings(max_examples=40)
def test_the_gradient_is_that_of_the_energy(seed, n, d, draw):
    latent, random = draw.draw(st.integers(1, d)), np.random.default_rng(seed)
    data, vae = random.standard_normal((n, d)), any_vae(random, n, d, latent)
    vector, slope = vae.flat(), energy_and_gradient(vae, data)[1].flat()
    for i in range(len(vector)):
        shift = 1e-5 * np.eye(len(vector))[i]
        up, down = (
            energy_and_gradient(AffineVAE.unflat(vector + sign * shift, n, d, latent), data)[0] for sign in (1, -1)
        )
        assert (up - down) / 2e-5 == pytest.approx(slope[i], rel=1e-6, abs=1e-7 * (1 + np.abs(slope).max()))


def test_the_energy_is_what_sampling_gives():
    random = np.random.default_rng(1)
    data, vae = random.standard_normal((4, 3)), any_vae(random, 4, 3, 2)
    z = vae.mean + np.exp(vae.log_variance / 2) * random.standard_normal((200_000, 4, 2))
    error = np.square(data - vae.bias - z @ vae.weights.T).sum(axis=2).mean(axis=1) / math.exp(vae.log_gamma)
    own = np.square(vae.mean) + np.exp(vae.log_variance) - vae.log_variance
    sampled = error.mean() + 3 * vae.log_gamma + own.sum(axis=1).mean()
    standard_error = error.std(ddof=1) / math.sqrt(len(error))
    assert abs(energy_and_gradient(vae, data)[0] - sampled) < 5 * standard_error


@given(SEEDS, st.booleans())
@settings(max_examples=8)
def test_the_hessian_is_the_second_difference_of_the_energy(seed, fixed):
    random = np.random.default_rng(seed)
    data, vae = random.standard_normal((4, 3)), any_vae(random, 4, 3, 2)
    direction = random.standard_normal(len(vae.flat()))
    if fixed:
        direction[9] = 0.0  # log gamma, after W (6) and b (3)
    direction /= np.linalg.norm(direction)
    up, here, down = (
        energy_and_gradient(AffineVAE.unflat(vae.flat() + step * direction, 4, 3, 2), data)[0]
        for step in (1e-3, 0, -1e-3)
    )
    second = affine_energy.hessian(vae, data, math.exp(vae.log_gamma) if fixed else None)
    along = np.delete(direction, 9) if fixed else direction
    # The truncation is 1e-6 / 12 of the fourth derivative, the round-off 4e-16 of the energy over 1e-6.
    scale = 1 + np.abs(second).max() + abs(here)
    assert along @ second @ along == pytest.approx((up - 2 * here + down) / 1e-6, abs=1e-5 * scale)


@pytest.mark.parametrize("gamma", [None, 0.4, 1.5, 8.0])
def test_every_random_start_descends_to_the_predicted_energy(gamma):
    """No spurious minima: section 4."""
    data = of_spectrum([6.0, 2.5, 1.0, 0.3], n=7)
    predicted = affine.optimum(data, 2, gamma)
    random = np.random.default_rng(5)
    for _ in range(3):
        reached, where = minimise(data, random_start(random, data, 2), gamma)
        assert reached == pytest.approx(predicted.energy, rel=1e-8)
        assert math.exp(where.log_gamma) == pytest.approx(predicted.gamma, rel=1e-5)
        lengths = np.square(where.weights).sum(axis=0)
        expected = np.maximum([6.0 - predicted.gamma, 2.5 - predicted.gamma], 0)
        assert np.sort(lengths)[::-1] == pytest.approx(expected, abs=1e-4)
        served = where.weights[:, lengths > 0.1]
        assert affine.principal_angles(served, data).max(initial=0.0) < 1e-4


@pytest.mark.parametrize(("gamma", "points"), [(None, 5), (0.5, 10), (1.4, 5), (3.0, 2)])
def test_saddle_directions_are_the_negative_eigenvalues_of_the_hessian(gamma, points):
    """At every stationary point: 3 eigenvalues above gamma = 0.5 give 1 + 3 + 6 of them, and so on."""
    data = of_spectrum([4.0, 2.0, 1.0, 0.2], n=6)
    known, counted = affine.spectrum(data), 0
    for active in (kept for size in range(3) for kept in itertools.permutations(range(4), size)):
        value = known.stationary_gamma(active) if gamma is None else gamma
        if (known.eigenvalues[list(active)] <= value).any():
            with pytest.raises(ValueError, match="active"):
                stationary_point(data, active, 2, gamma)
            continue
        vae = stationary_point(data, active, 2, gamma)
        energy, slope = energy_and_gradient(vae, data)
        flat = slope.flat() if gamma is None else np.delete(slope.flat(), 4 * 2 + 4)
        assert np.abs(flat).max() < 1e-12
        assert energy == pytest.approx(known.stationary_energy(active, 2, value), rel=1e-12)
        eigenvalues = np.linalg.eigvalsh(affine_energy.hessian(vae, data, gamma))
        assert int((eigenvalues < -1e-5).sum()) == known.saddle_directions(active, 2, value)
        assert (known.saddle_directions(active, 2, value) == 0) == (energy < known.energy(2, gamma) + 1e-9)
        counted += 1
    assert counted == points


def test_principal_angles_are_exact_however_small():
    data = of_spectrum([9.0, 4.0, 1.0], n=10)
    axes = np.linalg.svd(data - data.mean(axis=0))[2].T
    assert affine.principal_angles(axes[:, :2] @ [[1.0, 5.0], [0.0, 2.0]], data).max() < 1e-14
    for angle in (1e-9, 0.3):
        turned = math.cos(angle) * axes[:, :1] + math.sin(angle) * axes[:, 2:]
        assert affine.principal_angles(turned, data) == pytest.approx([angle], rel=1e-5)
    assert affine.principal_angles(axes[:, 2:], data) == pytest.approx([math.pi / 2])


GOOD = of_spectrum([3.0, 1.0, 0.5])


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("gamma", lambda: affine.optimum(GOOD, 1, 0.0)),
        ("gamma", lambda: affine.optimum(GOOD, 1, -1.0)),
        ("gamma", lambda: affine.spectrum(GOOD).error(1, math.nan)),
        ("gamma", lambda: affine.spectrum(GOOD).latent_variance(1, -1.0)),
        ("gamma", lambda: minimise(GOOD, random_start(np.random.default_rng(0), GOOD, 1), 0.0)),
        ("latent_dim", lambda: affine.optimum(GOOD, 4, 1.0)),
        ("latent_dim", lambda: affine.spectrum(GOOD).pca(-1)),
        ("latent_dim", lambda: affine.Spectrum(np.array([3.0, 1.0]), 4.5, 3).pca(3)),
        ("eigenvalues", lambda: affine.optimum(GOOD, 3)),  # nothing is discarded
        ("eigenvalues.*singular", lambda: affine.optimum(of_spectrum([3.0, 1.0, 0.0]), 2)),
        ("eigenvalues", lambda: affine.Spectrum.of([1.0, -0.1])),
        ("eigenvalues", lambda: affine.Spectrum.of([0.0, 0.0])),
        ("eigenvalues", lambda: affine.Spectrum.of([])),
        ("eigenvalues", lambda: affine.Spectrum.of([1.0, math.inf])),
        ("active", lambda: affine.spectrum(GOOD).stationary_energy([0, 0], 2, 0.1)),
        ("active", lambda: affine.spectrum(GOOD).stationary_energy([0, 1], 1, 0.1)),
        ("active", lambda: affine.spectrum(GOOD).saddle_directions([2], 2, 0.6)),
        ("data.*two", lambda: affine.spectrum(GOOD[:1])),
        ("data.*differ", lambda: affine.optimum(np.ones((5, 3)), 1)),
        ("data.*NaN", lambda: affine.optimum(np.vstack([GOOD, [[math.nan, 0, 0]]]), 1)),
        ("data.*shape", lambda: affine.spectrum(GOOD.ravel())),
        ("data", lambda: stationary_point(GOOD[:1], (), 1)),
        ("weights", lambda: affine.principal_angles(np.ones((2, 1)), GOOD)),
    ],
)
def test_what_cannot_be_used_is_refused_by_name(name, call):
    with pytest.raises(ValueError, match=rf"^{name}"):
        call()
