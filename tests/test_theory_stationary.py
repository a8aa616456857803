import math

import numpy as np
import pytest
from examples import table_row
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm
from scipy.stats import t as student

from tfcollapse.errors import ConfigError
from tfcollapse.records.gaps import Gap, error_gaps, gamma_gaps, pairs, undecided_gammas
from tfcollapse.theory import arguments, checks
from tfcollapse.theory.bootstrap import bootstrap, late_gamma
from tfcollapse.theory.stationary import FLAT, MINIMUM, SADDLE, curvature

SEEDS = st.integers(0, 2**32 - 1)


def symmetric(eigenvalues, seed=0) -> np.ndarray:
    """A symmetric matrix of this spectrum with random eigenvectors."""
    size = len(eigenvalues)
    turn = np.linalg.qr(np.random.default_rng(seed).standard_normal((size, size)))[0]
    found = turn * np.asarray(eigenvalues, float) @ turn.T
    return (found + found.T) / 2


@given(SEEDS, st.lists(st.integers(-50, 50), min_size=1, max_size=12))
def test_both_ends_of_the_spectrum_are_found(seed, eigenvalues):
    matrix = symmetric(eigenvalues, seed)
    found, exact = curvature(matrix.dot, len(matrix), seed=seed % 1000), np.linalg.eigvalsh(matrix)
    scale = 1e-8 * (1 + np.abs(exact).max())
    assert found.lowest == pytest.approx(exact[0], abs=scale)
    assert found.highest == pytest.approx(exact[-1], abs=scale)
    assert found.error <= scale
    assert found.kind == (SADDLE if min(eigenvalues) < 0 else MINIMUM if min(eigenvalues) > 0 else FLAT)


@given(SEEDS, st.integers(1, 25))
def test_an_eigenvalue_lies_within_the_stated_error_of_each_end(seed, steps):
    random = np.random.default_rng(seed)
    eigenvalues = random.standard_normal(40) ** 3
    matrix = symmetric(eigenvalues, seed)
    found = curvature(matrix.dot, 40, steps=steps)
    for end in (found.lowest, found.highest):
        assert np.abs(eigenvalues - end).min() <= found.error * (1 + 1e-9)
        assert eigenvalues.min() - 1e-9 <= end <= eigenvalues.max() + 1e-9
    # The lowest is the curvature along the direction, which is an eigenvector up to the error.
    assert np.linalg.norm(found.direction) == pytest.approx(1.0, rel=1e-9)
    assert found.direction @ matrix @ found.direction == pytest.approx(found.lowest, abs=1e-8)
    residual = matrix @ found.direction - found.lowest * found.direction
    assert np.linalg.norm(residual) <= found.error * (1 + 1e-9) + 1e-12
    if steps == 1:  # the residual of the start vector itself: far from converged, and the bound says so
        assert found.error > 1e-3
    called = []
    curvature(lambda vector: called.append(1) or matrix @ vector, 40, steps=steps)
    assert len(called) == steps


@pytest.mark.parametrize(
    ("low", "kind"), [([-1e-4], SADDLE), ([0.0] * 150, FLAT), ([1e-4], MINIMUM), ([-3.0, -2.0, 0.0, 0.0], SADDLE)]
)
def test_one_direction_among_many_decides_the_kind(low, kind):
    # 60 products of a matrix of 200 or so; what is not at the low end lies between 1 and 2.
    eigenvalues = [*low, *np.linspace(1, 2, 200)]
    matrix = symmetric(eigenvalues, 3)
    found = curvature(matrix.dot, len(matrix))
    assert found.kind == kind
    assert found.lowest == pytest.approx(min(low), abs=1e-8)
    assert found.highest == pytest.approx(2.0, abs=1e-2)


def test_the_kind_does_not_wait_for_the_highest_eigenvalue():
    matrix = symmetric([-1.0, *np.linspace(300, 1000, 300)], 4)
    found = curvature(matrix.dot, len(matrix), steps=15)
    assert found.error > 1.0  # the upper end has not converged
    assert found.kind == SADDLE
    assert found.lowest == pytest.approx(-1.0, abs=0.1)


def test_a_tolerance_saves_products_whatever_the_scale():
    values = np.linspace(-1, 2, 200)

    def products(scale, tolerance):
        seen = []
        curvature(lambda v: seen.append(0) or scale * values * v, 200, steps=200, tolerance=tolerance)
        return len(seen)

    loose, tight = products(1.0, 0.1), products(1.0, 1e-6)
    assert loose < tight < 200
    assert products(1e3, 0.1) == loose
    assert products(1e-3, 1e-6) == tight


def test_a_matrix_of_zeros_is_flat():
    assert curvature(np.zeros_like, 7)[:4] == (0.0, 0.0, 0.0, FLAT)


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("steps", lambda: curvature(np.zeros_like, 3, steps=0)),
        ("product.*3", lambda: curvature(lambda vector: vector[:2], 3)),
        ("product", lambda: curvature(lambda vector: vector * math.nan, 3)),
        ("sample.*two", lambda: bootstrap([1.0])),
        ("sample", lambda: bootstrap([1.0, math.nan])),
        ("sample", lambda: bootstrap(3.0)),
        ("level", lambda: bootstrap([1.0, 2.0], level=1.0)),
        ("level", lambda: bootstrap([1.0, 2.0], level=0.0)),
        ("block", lambda: bootstrap([1.0, 2.0], block=3)),
        ("block", lambda: bootstrap([1.0, 2.0], block=0)),
        ("share", lambda: late_gamma([], share=0.0)),
        ("share", lambda: late_gamma([], share=1.1)),
        ("metrics", lambda: late_gamma([{"gamma": 1, "reconstruction_error": 1}])),
        ("metrics.*NaN", lambda: late_gamma([{"gamma": 1, "reconstruction_error": math.nan}] * 2)),
    ],
)
def test_what_cannot_be_used_is_refused_by_name(name, call):
    with pytest.raises(ValueError, match=rf"^{name}"):
        call()


def test_every_vae_is_held_against_the_ae_of_the_same_training():
    rows = [
        table_row(run_id="ae", train_error=0.02),
        table_row(run_id="ae deep", train_error=0.04, depth=10),
        table_row(run_id="vae", objective="VAE", train_error=0.03),
        table_row(run_id="vae deep", objective="VAE", train_error=0.03, depth=10),
        table_row(run_id="other seed", objective="VAE", train_error=0.03, seed=1),
        table_row(run_id="other rate", objective="VAE", train_error=0.03, learning_rate=1e-3),
        table_row(run_id="unfinished", objective="VAE", train_error=None),
    ]
    found = error_gaps(rows)
    assert found == [Gap("vae", "ae", 0.02, 0.03), Gap("vae deep", "ae deep", 0.04, 0.03)]
    assert [gap.relative for gap in found] == pytest.approx([0.5, -0.25])
    assert pairs(rows) == [(rows[0], rows[2]), (rows[1], rows[3])]
    assert error_gaps(rows[1:3]) == []  # no twin
    assert error_gaps([table_row(train_error=None), rows[2]]) == []


def test_gamma_is_held_against_the_error_where_it_is_learned():
    rows = [
        table_row(run_id="learned", objective="VAE", gamma_mode="learned", gamma=0.033, train_error=0.03),
        table_row(run_id="fixed", objective="VAE", gamma_mode="fixed", gamma=1.0, train_error=0.03),
        table_row(run_id="no gamma yet", objective="VAE", gamma_mode="learned", gamma=None, train_error=0.03),
        table_row(run_id="ae", train_error=0.03),
    ]
    rows[0] |= {"gamma_start": 1.0, "gamma_pace": 0.0}
    found = gamma_gaps(rows)
    assert found == [Gap("learned", None, 0.03, 0.033)]
    assert found[0].relative == pytest.approx(0.1)


LEARNED = {"objective": "VAE", "gamma_mode": "learned", "gamma_start": 0.01, "train_error": 0.02}


@pytest.mark.parametrize(
    ("facts", "late"),
    [
        ({"gamma": 0.018, "gamma_pace": 0.5}, True),  # from below, and on its way
        ({"gamma": 0.022, "gamma_pace": 0.5}, True),  # from above
        ({"gamma": 0.018, "gamma_pace": 0.01}, False),  # it stands still away from the error
        ({"gamma": 0.018, "gamma_pace": -0.9}, False),  # it moves away
        ({"gamma": 0.0191, "gamma_pace": 0.9}, False),  # within 5% it has arrived,
        ({"gamma": 0.0209, "gamma_pace": 0.9}, False),  # on either side,
        ({"gamma": 0.0189, "gamma_pace": 0.9}, True),  # and no further
        ({"gamma": 0.0211, "gamma_pace": 0.9}, True),
        ({"gamma": 0.018}, True),  # a table that does not say
        ({"gamma": 0.018, "warmup": "hold_gamma", "warmup_steps": 500}, True),  # it was never let go
        ({"gamma": 0.018, "gamma_pace": 0.0, "warmup": "hold_gamma", "warmup_steps": 499}, False),
        ({"gamma": None, "gamma_pace": 0.9}, None),  # it has not ended
        ({"train_error": None, "gamma": 0.018, "gamma_pace": 0.9}, None),
    ],
)
def test_a_gamma_that_is_on_its_way_is_held_against_nothing(facts, late):
    rows = [table_row(**{**LEARNED, "steps": 500, **facts})]
    assert list(undecided_gammas(rows).values()) == ([rows] if late else [])
    assert len(gamma_gaps(rows)) == (late is False)


def test_late_gamma_looks_at_the_last_rows_alone():
    random = np.random.default_rng(0)
    errors = random.uniform(0.5, 1.5, 200)
    factors = np.where(np.arange(200) < 180, 3.0, 1.1)
    rows = [
        {"gamma": str(factor * error), "reconstruction_error": str(error)}
        for factor, error in zip(factors, errors, strict=True)
    ]
    found = late_gamma(rows)
    # gamma is 1.1 errors in the last tenth: so are the means of any resample.
    assert (found.value, found.low, found.high) == pytest.approx((0.1, 0.1, 0.1), rel=1e-9)
    expected = (3 * errors[100:180].sum() + 1.1 * errors[180:].sum()) / errors[100:].sum() - 1
    assert late_gamma(rows, 0.5).value == pytest.approx(expected, rel=1e-12)
    assert late_gamma(rows, 0.5, level=0.5).level == 0.5
    # Blocks of 10, for 100 rows, unless told otherwise: the step at row 180 is one piece then.
    assert late_gamma(rows, 0.5) == late_gamma(rows, 0.5, block=10) != late_gamma(rows, 0.5, block=1)


def test_the_bootstrap_interval_of_a_mean_is_the_normal_one():
    sample = np.random.default_rng(0).standard_normal(400) * 3 + 5
    found = bootstrap(sample, level=0.9, resamples=8_000)
    spread = sample.std() / 20  # of the mean of a resample
    assert found.value == sample.mean()
    assert found.level == 0.9
    # A quantile of 8,000 draws errs by sqrt(0.05 0.95 / 8000) / density(1.645) = 0.024 spreads; five of these.
    assert found.low == pytest.approx(sample.mean() - norm.ppf(0.95) * spread, abs=0.12 * spread)
    assert found.high == pytest.approx(sample.mean() + norm.ppf(0.95) * spread, abs=0.12 * spread)


def test_the_bootstrap_covers_as_often_as_normal_theory_says():
    # With the spread of n = 40 in place of the true one: P(|t_39| < 1.96 sqrt(39 / 40)).
    expected = 2 * student.cdf(norm.ppf(0.975) * math.sqrt(39 / 40), 39) - 1
    random = np.random.default_rng(1)
    covered = [
        found.low < 2.0 < found.high
        for found in (bootstrap(random.normal(2.0, 1.0, 40), resamples=300, seed=seed) for seed in range(500))
    ]
    assert abs(np.mean(covered) - expected) < 5 * math.sqrt(expected * (1 - expected) / 500)


def test_blocks_widen_the_interval_where_neighbours_are_alike_and_only_there():
    random = np.random.default_rng(2)
    noise = random.standard_normal(3_000)
    alike = noise.copy()
    for i in range(1, len(alike)):
        alike[i] += 0.9 * alike[i - 1]

    def width(sample: np.ndarray, block: int) -> float:
        found = bootstrap(sample, resamples=1_000, block=block)
        return found.high - found.low

    # The mean of an autoregression of 0.9 spreads sqrt((1 + 0.9) / (1 - 0.9)) = 4.4 times as far as that of as many
    # independent values; blocks of 100 miss a tenth of the variance.
    assert 3 < width(alike, 100) / width(alike, 1) < 5.5
    assert 0.75 < width(noise, 100) / width(noise, 1) < 1.25


@given(SEEDS, st.integers(2, 30))
@settings(max_examples=20)
def test_resamples_are_runs_of_neighbours_as_long_as_the_sample(seed, n):
    block = 1 + seed % n
    seen = []
    bootstrap(np.arange(n), lambda values: seen.append(values.astype(int)) or 0.0, resamples=10, block=block, seed=seed)
    assert len(seen) == 11
    for resample in seen[:10]:
        assert len(resample) == n
        assert resample.min() >= 0
        assert resample.max() < n
        jumps = np.diff(resample) != 1
        assert not np.delete(jumps, np.arange(block - 1, n - 1, block)).any()


def test_a_bootstrap_of_rows_keeps_them_together():
    pairs = np.column_stack([np.arange(20.0), 2 * np.arange(20.0)])
    found = bootstrap(pairs, lambda sample: float((2 * sample[:, 0] - sample[:, 1]).sum()), resamples=50)
    assert (found.value, found.low, found.high) == (0.0, 0.0, 0.0)


def test_a_check_holds_up_to_its_tolerance_and_not_beyond():
    verdicts = [checks.equal("", 2.0, measured, relative=0.1, absolute=0.05).verdict for measured in (2.19, 1.81, 2.21)]
    assert verdicts == [checks.HOLDS, checks.HOLDS, checks.FAILS]
    assert checks.equal("", -2.0, -2.1, relative=0.1).verdict == checks.HOLDS
    assert checks.equal("", 0.0, 0.04, relative=0.1, absolute=0.05).verdict == checks.HOLDS
    assert checks.equal("", 1.0, 1.0).verdict == checks.HOLDS
    assert checks.equal("", 1.0, math.nan, relative=10.0).verdict == checks.FAILS
    assert checks.equal("", 2.0, 2.0, relative=0.1, absolute=0.05).tolerance == "0.1 relative"
    assert checks.equal("", 0.1, 0.1, relative=0.1, absolute=0.05).tolerance == "0.05"


def test_bounds_hold_with_equality_and_fail_for_what_is_not_a_number():
    for check, beyond in ((checks.at_most, 1.5), (checks.at_least, 0.5)):
        assert check("", 1.0, 1.0).verdict == checks.HOLDS
        assert check("", 1.0, 2 - beyond).verdict == checks.HOLDS
        assert check("", 1.0, beyond).verdict == checks.FAILS
        assert check("", 1.0, math.nan).verdict == checks.FAILS
    assert checks.at_most("", 0.25, 0).predicted == "<= 0.25"
    assert checks.at_least("", 0.25, 0).predicted == ">= 0.25"


def test_a_check_is_a_row_of_plain_values():
    row = checks.equal("a claim", np.float32(2), np.int64(2), absolute=1.0).as_row()
    assert row == {"claim": "a claim", "predicted": 2.0, "measured": 2, "tolerance": "1", "verdict": "holds"}
    assert (type(row["predicted"]), type(row["measured"])) == (float, int)
    assert checks.true("", "yes", "no", False).verdict == checks.FAILS
    assert checks.true("", "yes", "yes", True).verdict == checks.HOLDS
    assert checks.true("", "yes", "perhaps", None).verdict == checks.UNDECIDED
    assert [checks.measured("", "a number", "3", known).verdict for known in (True, False)] == [
        checks.MEASURED,
        checks.UNDECIDED,
    ]
    assert checks.not_applicable("", "convex", "not").verdict == "does not apply"


@pytest.mark.parametrize(
    ("function", "good", "bad"),
    [
        (arguments.positive, [1e-300, 2], [0.0, -1.0, math.nan, math.inf]),
        (arguments.non_negative, [0.0, 2], [-1e-300, math.nan, math.inf]),
        (lambda name, value: arguments.whole(name, value, 1, 3, "of them"), [1, 3, 2.0], [0, 4, 1.5]),
        (lambda name, value: arguments.finite(name, value, 2, None), [[[1], [2]]], [[1, 2], [[1]], [[1], [math.inf]]]),
        (arguments.points, [[[1, 2], [1, 3]]], [[[1, 2]], [[1, 2]] * 3, [[1, 2], [1, math.nan]], [1, 2]]),
    ],
)
def test_arguments_are_taken_or_refused_by_name(function, good, bad):
    for value in good:
        assert np.array_equal(function("that", value), value)
    for value in bad:
        with pytest.raises(ConfigError, match=r"^that: expected .* received "):
            function("that", value)
