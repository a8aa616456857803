"""The rules of the verdicts, each tried on a table that tempts it."""

import itertools

import numpy as np
import pytest
from examples import table_row
from scipy import stats

from tfcollapse.claims import depth_claims, gamma_claims, initialisation_claims, residual_claims
from tfcollapse.claims.capacity import stuck
from tfcollapse.claims.claim import NOT_REPRODUCED, NOT_RUN, NOT_TRAINED, REPRODUCED, TOO_CLOSE, Claim, verdict_of
from tfcollapse.claims.judging import falls_then_rises, judge_order, judge_trend
from tfcollapse.claims.trend import rank_test
from tfcollapse.errors import ConfigError
from tfcollapse.records.comparison import compare, compare_units
from tfcollapse.records.seed_noise import SEEDS, SPREAD

V = "falls, then rises"
PCA = 0.0103


def aes(errors, seed=0, **more):
    """The AEs of one seed: {depth: error}."""
    return [
        table_row(run_id=f"ae-{d}-{seed}", depth=d, seed=seed, train_error=e, test_error=e, **more)
        for d, e in errors.items()
    ]


def vaes(errors, seed=0, **more):
    facts = {"objective": "VAE", "gamma_mode": "learned", "gamma_start": 1.0, "active_units": 5, "sigma_above_0.9": 0.5}
    return [
        row | {"run_id": f"vae-{row['depth']}-{seed}", "gamma": row["train_error"]}
        for row in aes(errors, seed, **(facts | more))
    ]


def test_a_verdict_is_one_of_the_words():
    with pytest.raises(ConfigError):
        Claim("the error rises", "supported", "")
    assert [verdict_of(signs) for signs in ([1, 1], [1, 0], [0, -1], [])] == [
        REPRODUCED,
        TOO_CLOSE,
        NOT_REPRODUCED,
        NOT_RUN,
    ]


SHALLOW, DEEP = SPREAD[2], SPREAD[10]


def test_single_runs_differ_from_what_two_seeds_do_on():
    assert [compare([1.0 + by], [1.0], SHALLOW).sign for by in (0.005, 0.02, -0.005, -0.02)] == [0, 1, 0, -1]
    assert str(compare([1.02], [1.0], SHALLOW)) == "+2.0%"
    assert [compare([1.05], [1.0], spread).sign for spread in (SHALLOW, DEEP)] == [1, 0]
    assert compare([1.11], [1.0], DEEP).sign == 1


def test_a_constant_has_no_noise_so_less_beyond_it_counts_than_beyond_another_run():
    assert [compare([1.08], reference, DEEP).sign for reference in ([1.0], 1.0)] == [0, 1]
    assert [compare([1.0], reference, DEEP).sign for reference in (0.935, 0.925)] == [
        0,
        1,
    ]  # 7.0% of the run's


def test_the_order_of_two_runs_does_not_decide():
    for low in np.linspace(0.85, 0.95, 41):
        assert compare([low], [1.0], DEEP).sign == -compare([1.0], [low], DEEP).sign


@pytest.mark.parametrize("reference", [1.0, None])
def test_two_equal_networks_differ_in_one_case_in_twenty(reference):
    random = np.random.default_rng(0)
    spreads = 0.03 * np.sqrt(random.chisquare(SEEDS - 1, 20_000) / (SEEDS - 1))  # as estimated from so many seeds
    draws = random.normal(1.0, 0.03, (20_000, 2))
    signs = [compare([a], reference or [b], spread).sign for (a, b), spread in zip(draws, spreads, strict=True)]
    assert np.mean(np.abs(signs)) == pytest.approx(0.05, abs=0.006)


@pytest.mark.parametrize(("few", "many"), [([3], [4]), ([3, 3], [4, 4]), ([58], [64]), ([3, 3, 4], [5, 5, 5])])
def test_counts_of_units_that_differ_by_less_than_a_tenth_of_the_latents_are_equal(few, many):
    assert compare_units(many, few, 64) == compare_units(few, many, 64) == 0
    assert compare_units([units + 10 for units in many], few, 64) == 1
    assert compare_units([0, 64], [20, 64], 64) == 0  # far apart, and inside the noise


def test_several_seeds_differ_beyond_their_own_noise():
    noisy, quiet = [0.8, 1.0, 1.2], [0.999, 1.0, 1.001]
    assert compare(noisy, [0.9, 1.1, 1.3], SHALLOW).sign == 0
    assert (
        compare(quiet, [value + 0.005 for value in quiet], SHALLOW).sign == -1
    )  # half a percent, and five times the noise
    assert compare(quiet, 1.005, SHALLOW).sign == -1
    assert compare(noisy, 1.005, SHALLOW).sign == 0
    assert compare([0, 0, 0], [64, 64, 64], SHALLOW).sign == -1
    found = compare(noisy, quiet, SHALLOW)
    assert found.low < 0 < found.high
    assert found.high - found.low == pytest.approx(2 * 0.4969, rel=1e-3)  # 4.302 sd / sqrt(3)


def test_a_single_run_beside_several_seeds_has_their_noise():
    """Student's 97.5% quantile at 2 degrees of freedom is 4.303; a prediction of one value has sd * sqrt(1 + 1 / 3)."""
    seeds = [0.006, 0.010, 0.014]
    half = 4.3027 * 0.004 * (4 / 3) ** 0.5
    found = compare([0.0102], seeds, SHALLOW)
    assert (found.sign, found.high - found.low) == (0, pytest.approx(2 * half / 0.010, rel=1e-4))
    assert [compare([0.010 + by * half], seeds, SHALLOW).sign for by in (1.01, 0.99, -1.01)] == [1, 0, -1]
    assert compare(seeds, [0.0102], SHALLOW).sign == 0


@pytest.mark.parametrize(("count", "passing"), [(3, 0), (4, 0), (5, 0), (6, 30)])
def test_random_orders_of_one_seed_pass_for_a_fall_then_a_rise_at_most_one_time_in_twenty(count, passing):
    """The 30 of 720 are the orders that fall to an inner minimum and rise from there."""
    orders = list(itertools.permutations(range(count)))
    if count == 6:  # those that the test may take for a fall then a rise, and as many others
        orders = [order for order in orders if _is_v(order)] + orders[::20]
        orders = list(dict.fromkeys(orders))
    passed = [order for order in orders if rank_test(np.array([order], float), V).sign == 1]
    assert len(passed) == passing
    assert all(_is_v(order) for order in passed)
    assert passing / len(list(itertools.permutations(range(count)))) <= 0.05


def _is_v(order):
    turn = order.index(0)
    steps = np.diff(order)
    return 0 < turn < len(order) - 1 and (steps[:turn] < 0).all() and (steps[turn:] > 0).all()


def test_one_of_the_24_orders_of_four_values_is_a_rise_and_one_a_fall():
    signs = [rank_test(np.array([order], float), "rises").sign for order in itertools.permutations(range(4))]
    assert sorted(signs) == [-1, *[0] * 22, 1]


def test_the_test_of_a_rise_is_pages():
    values = np.random.default_rng(0).normal(size=(3, 4)) + 0.4 * np.arange(4)
    expected = stats.page_trend_test(values, method="exact").pvalue
    assert rank_test(values, "rises").p == pytest.approx(expected, abs=0.01)
    exact = values[:2]
    assert rank_test(exact, "rises").p == pytest.approx(stats.page_trend_test(exact, method="exact").pvalue, rel=1e-9)


def test_tied_counts_are_no_order():
    assert rank_test(np.array([[0.0, 0.0, 0.0, 0.0]] * 3), "falls").sign == 0
    assert rank_test(np.array([[64.0, 9.0, 0.0, 0.0, 0.0]] * 2), "falls").sign == 1
    assert rank_test(np.array([[64.0, 0.0, 0.0, 0.0, 0.0]]), "falls").p == pytest.approx(0.2)  # 24 of 120 orders


def test_a_monotone_error_is_no_fall_then_rise():
    falling = dict(zip((1, 2, 4, 6, 8, 10), (6.0, 5.0, 4.0, 3.0, 2.0, 1.0), strict=True))
    assert falls_then_rises(aes({d: e / 1000 for d, e in falling.items()})).verdict == NOT_REPRODUCED
    assert falls_then_rises(aes({11 - d: e / 1000 for d, e in falling.items()})).verdict == NOT_REPRODUCED


def test_a_rise_alone_is_no_fall_then_rise_though_its_rank_test_is_significant():
    """The first two depths differ by less than the noise, so that the turning point is an inner one by chance."""
    errors = {1: 9.05, 2: 9.0, 4: 12.0, 6: 13.0, 8: 14.0, 10: 15.0}
    rows = [row for s in range(3) for row in aes({d: (e + 0.2 * s * (d == 2)) / 1000 for d, e in errors.items()}, s)]
    values = np.array([[row["train_error"] for row in rows if row["seed"] == s] for s in (0, 0, 1)])
    assert rank_test(values, V).sign == 1
    assert falls_then_rises([row for row in rows if row["seed"] == 0]).verdict == TOO_CLOSE
    assert falls_then_rises(rows).verdict != REPRODUCED


def test_the_turning_point_of_the_rank_test_is_not_called_the_lowest():
    errors = dict(zip((1, 2, 4, 6, 8, 10), (0.001, 0.005, 0.004, 0.003, 0.002, 0.006), strict=True))
    claim = falls_then_rises(aes(errors))
    assert "turning point at depth 8; depth 1 against it -50.0%; depth 10 against it +200.0%" in claim.evidence


def test_half_a_percent_of_one_seed_is_too_close_to_call():
    depths = (1, 2, 4, 6, 8, 10)
    shape = aes({d: 0.008 * (1 + 0.001 * abs(d - 4)) for d in depths})
    rise = aes({d: 0.008 * (1 + 0.0005 * d) for d in depths})
    assert falls_then_rises(shape).verdict == TOO_CLOSE
    assert judge_trend("it rises", rise, "depth", "train_error", "rises").verdict == TOO_CLOSE
    above = vaes({row["depth"]: row["train_error"] * 1.005 for row in shape})
    claims = {claim.text: claim.verdict for claim in depth_claims([*shape, *above])}
    assert claims["the VAE's error is above the AE's at every depth"] == TOO_CLOSE
    assert claims["eq. (8): each AE's error is at most that of its VAE"] == TOO_CLOSE


@pytest.mark.parametrize("seeds", [1, 2, 4])
@pytest.mark.parametrize(("counts", "verdict"), [((62, 63, 64, 64), TOO_CLOSE), ((40, 50, 60, 64), REPRODUCED)])
def test_counts_within_a_tenth_of_the_latents_are_no_trend_over_any_number_of_seeds(seeds, counts, verdict):
    rows = [
        table_row(objective="VAE", depth=depth, seed=seed, train_error=0.01, active_units=count, latent_dim=64)
        for seed in range(seeds)
        for depth, count in enumerate(counts, 1)
    ]
    claim = judge_trend("units rise", rows, "depth", "active_units", "rises")
    assert claim.verdict == verdict
    assert f"by depth 1: {counts[0]}" in claim.evidence


def test_two_pairs_have_no_interval():
    two, five = (
        next(claim for claim in depth_claims([*aes(errors), *vaes(errors)]) if "eq. (8)" in claim.text)
        for errors in ({1: 0.01, 2: 0.02}, {depth: 0.01 * depth for depth in range(1, 6)})
    )
    assert "mean" in two.evidence
    assert "over these pairs" not in two.evidence
    assert "over these pairs" in five.evidence


def test_the_words_for_what_is_missing():
    ae, vae = aes({1: 0.010, 2: 0.008}), vaes({1: 0.012, 2: 0.010})
    order = judge_order("above", {"AE": ae, "VAE": []})
    assert (order.verdict, order.evidence) == (NOT_RUN, "no depth has all runs of AE, VAE")
    order = judge_order("above", {"AE": ae, "VAE": vae})
    assert order.verdict == REPRODUCED
    assert "depth 1: AE 0.01000, VAE 0.01200 (+20.0%)" in order.evidence
    assert judge_order("above", {"AE": ae, "VAE": vae[:1]}).verdict == NOT_RUN  # depth 2 has no VAE
    vae[1] |= {"status": "unfinished", "train_error": None}
    order = judge_order("above", {"AE": ae, "VAE": vae})
    assert (order.verdict, order.evidence.split(" (")[0]) == (NOT_RUN, "so far holds at 1 of 2 values of depth")
    assert order.evidence.endswith("not run: VAE depth 2; 3 of 4 runs are there")
    vae[0] |= {"train_error": 0.009}
    assert judge_order("above", {"AE": ae, "VAE": vae}).verdict == NOT_REPRODUCED
    vae[1] |= {"status": "failed"}
    assert "failed: VAE depth 2" in judge_order("above", {"AE": ae, "VAE": vae}).evidence


def test_a_mean_over_seeds_that_are_not_all_there_contradicts_nothing():
    rows = [
        row for seed in range(3) for row in (*aes({2: 0.0100, 4: 0.0100}, seed), *vaes({2: 0.012, 4: 0.0098}, seed))
    ]
    text = "eq. (8): each AE's error is at most that of its VAE"

    def verdict():
        (claim,) = [claim for claim in depth_claims(rows) if claim.text == text]
        return claim.verdict

    assert verdict() == NOT_REPRODUCED
    for row in rows:
        if row["depth"] == 2 and row["seed"]:  # the contradiction at depth 4 stands
            row |= {"status": "unfinished", "train_error": None, "gamma": None}
    assert verdict() == NOT_REPRODUCED
    for row in rows:
        if row["objective"] == "VAE" and row["seed"]:
            row |= {"status": "unfinished", "train_error": None, "gamma": None}
    assert verdict() == NOT_RUN
    pairs = [
        row | {"depth": b, "block_depth": 2, "dataset": dataset, "train_error": error if row["seed"] == 0 else None}
        for dataset in ("svhn 3.1.0", "cifar10 3.0.2")
        for b, error in ((1, 0.0100), (4, 0.0098))
        for row in aes({2: error}) + aes({2: error}, 1)
    ]
    for row in pairs:
        row |= {"status": "finished" if row["train_error"] else "unfinished"}
    assert {claim.verdict for claim in residual_claims(pairs)} == {NOT_RUN}


LEVEL = {"late_fall": 0.001, "late_fall_error": 0.001}
PLAIN = aes({1: 0.008, 2: 0.007, 10: 0.015}, epsilon=1e-8, **LEVEL)
HE = {"initializer": "he_normal", "epsilon": 1e-8, **LEVEL}
EPSILON = {"epsilon": 1e-12, **LEVEL}
LONG = {"epsilon": 1e-8, "steps": 500_000, **LEVEL}


def deep(error, arm):
    return aes({10: error}, **arm)


STAYS = [*deep(0.014, HE), *deep(0.0145, EPSILON), *deep(0.015, LONG)]


@pytest.mark.parametrize(
    ("rows", "verdict", "words"),
    [
        ([*PLAIN, *STAYS], REPRODUCED, "no longer falling"),
        (PLAIN, NOT_RUN, "a He start: not run; a smaller epsilon: not run; twice the budget: not run"),
        ([*PLAIN, *STAYS[:2]], NOT_RUN, "twice the budget: not run"),
        (
            [*PLAIN, *deep(0.009, HE)],
            NOT_REPRODUCED,
            "a He start leaves -12.6%, less than half, so the cause is the start",
        ),
        ([*PLAIN, *STAYS[:1], *deep(0.009, EPSILON)], NOT_REPRODUCED, "so the cause is the optimiser"),
        ([*PLAIN, *deep(0.009, LONG)], NOT_REPRODUCED, "so the cause is slow training"),
        ([*PLAIN, *STAYS[:2], *deep(0.015, LONG | {"late_fall": 0.05})], NOT_RUN, "still falling (+5.00%"),
        ([*PLAIN, *STAYS[:2], *deep(0.015, LONG | {"late_fall_error": 0.05})], TOO_CLOSE, "perhaps still falling"),
        ([*PLAIN, *STAYS[:2], *deep(0.015, LONG | {"late_fall": None})], NOT_RUN, "was not recorded"),
        ([*PLAIN, *STAYS, *deep(0.009, LONG | {"steps": 10**6})], NOT_REPRODUCED, "so the cause is slow training"),
        ([*PLAIN, *STAYS[1:], *deep(0.0127, HE)], TOO_CLOSE, "a He start leaves +23.3%;"),
        ([*PLAIN, *STAYS[1:], *deep(0.0112, HE)], NOT_REPRODUCED, "a He start leaves +8.7%, less than half"),
        ([*PLAIN[:2], *deep(0.0103, LEVEL)], TOO_CLOSE, "depth 10 against PCA +0.0%"),
        ([*PLAIN[:2], *deep(0.009, LEVEL)], NOT_REPRODUCED, "depth 10 against PCA -12.6%"),
    ],
)
def test_stuck_is_told_from_slow_and_from_a_bad_start_by_what_was_run(rows, verdict, words):
    claim = stuck(rows)
    assert (claim.verdict, words in claim.evidence) == (verdict, True), claim.evidence


def of_seeds(errors, **arm):
    return [row for seed, error in enumerate(errors) for row in aes({10: error}, seed, **({"epsilon": 1e-8} | arm))]


def test_half_of_a_noisy_excess_is_noisy():
    rows = of_seeds((0.016, 0.018, 0.014), **LEVEL, pca_error=0.010)
    he = of_seeds((0.0125, 0.0126, 0.0124), **HE)
    others = [*of_seeds((0.016, 0.0161, 0.0159), **EPSILON), *of_seeds((0.016, 0.0161, 0.0159), **LONG)]
    assert stuck([*rows, *he, *others]).verdict == TOO_CLOSE
    quiet = of_seeds((0.016, 0.0161, 0.0159), **LEVEL, pca_error=0.010)
    assert "so the cause is the start" in stuck([*quiet, *he, *others]).evidence


def test_one_seed_that_still_falls_is_not_made_level_by_the_others():
    rows = [*of_seeds((0.015, 0.015, 0.015), **LEVEL), *of_seeds((0.014, 0.014, 0.014), **HE)]
    rows += of_seeds((0.014, 0.014, 0.014), **EPSILON)
    long = of_seeds((0.015, 0.015, 0.015), **LONG)
    assert stuck([*rows, *long]).verdict == REPRODUCED
    falls = [row | {"late_fall": fall} for row, fall in zip(long, (0.03, -0.02, 0.0), strict=True)]
    claim = stuck([*rows, *falls])
    assert (claim.verdict, "; still falling (+3.00% +- 0.20%" in claim.evidence) == (NOT_RUN, True)


def test_two_he_starts_are_not_seeds_of_one():
    uniform = aes({10: 0.009}, **HE | {"initializer": "he_uniform"})
    claim = stuck([*PLAIN, *STAYS, *uniform])
    assert claim.verdict == NOT_REPRODUCED
    assert (
        "a He start (he_normal) leaves +35.9%; a He start (he_uniform) leaves -12.6%, less than half" in claim.evidence
    )


def test_stuck_is_asked_where_most_of_the_arms_were_run():
    deeper = [*aes({20: 0.03}, epsilon=1e-8, **LEVEL), *aes({20: 0.005}, **HE)]
    claim = stuck([*PLAIN, *STAYS, *deeper])
    assert (claim.verdict, "; depth 10 against PCA" in claim.evidence) == (REPRODUCED, True)
    assert stuck([*PLAIN, *deeper]).verdict == NOT_REPRODUCED


def test_depths_with_small_gammas_alone_are_no_gaps_of_the_gamma_study():
    whole = [
        row | {"gamma_mode": "fixed", "gamma_start": gamma, "active_units": units, "affine_active_units": units}
        for gamma, units, error in ((0.01, 60, 0.01), (1.0, 20, 0.02), (10.0, 0, 0.08))
        for row in vaes({2: error, 4: error})
    ]
    small = [row | {"depth": 10, "active_units": 0} for row in whole if row["gamma_start"] == 0.01]
    assert gamma_claims([*whole, *small])[:5] == gamma_claims(whole)[:5]
    assert [claim.verdict for claim in gamma_claims(whole)][:4] == [REPRODUCED] * 4


def test_without_the_affine_count_of_one_gamma_the_counts_are_not_compared():
    cells = ((0.01, 60), (1.0, 20), (10.0, 0))
    rows = [
        vaes({2: 0.01}, gamma_mode="fixed", gamma_start=gamma, active_units=n, affine_active_units=n)[0]
        for gamma, n in cells
    ]
    verdicts = []
    for chosen in (rows, [*rows[:2], rows[2] | {"affine_active_units": None}]):
        (claim,) = [claim for claim in gamma_claims(chosen) if "affine VAE keeps" in claim.text]
        verdicts.append(claim.verdict)
    assert verdicts == [REPRODUCED, NOT_RUN]


def test_the_signal_of_a_start_is_the_mean_over_its_seeds():
    rows = [row | {"decoder_signal": [0.5, s]} for seed, s in enumerate((0.1, 0.3)) for row in aes({2: 0.01}, seed)]
    twice = [rows[0] | {"steps": 500_000}, rows[0] | {"objective": "VAE", "decoder_signal": [0.5, 9.0]}]
    *_, claim = initialisation_claims([*rows, *twice])
    assert claim.evidence == "glorot_uniform by depth 2: 0.2 +- 0.14"


def test_a_start_from_which_the_deep_network_was_not_trained_shows_no_cause():
    claims = initialisation_claims([*PLAIN, *deep(0.087, HE), *STAYS[1:]])
    (claim,) = [claim for claim in claims if "stuck" in claim.text]
    assert claim.verdict == NOT_TRAINED
    assert "a He start: not trained" in claim.evidence
    assert "no longer falling" in claim.evidence
    claims = initialisation_claims([*PLAIN, *STAYS[:2], *deep(0.087, LONG)])
    (claim,) = [claim for claim in claims if "stuck" in claim.text]
    assert (claim.verdict, "falling" in claim.evidence) == (NOT_TRAINED, False)
