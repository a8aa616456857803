"""What two seeds differ by decides of single runs: each claim is tried on chance, and on a gap that depth 10 hides."""

import numpy as np
import pytest
from examples import table_row
from processes import ROOT
from scipy import stats
from test_claims import PCA, aes, vaes

from tfcollapse.claims import (
    countermeasures_claims,
    depth_claims,
    gamma_claims,
    initialisation_claims,
    residual_claims,
    sigma_claims,
    warmup_claims,
)
from tfcollapse.claims.claim import NOT_REPRODUCED, NOT_RUN, REPRODUCED, TOO_CLOSE
from tfcollapse.claims.judging import falls_then_rises, judge_trend
from tfcollapse.claims.remedy import Remedy, judge_no_remedy
from tfcollapse.diagnosis.countermeasures import helpful
from tfcollapse.lab.equations import equations_section
from tfcollapse.records.comparison import compare
from tfcollapse.records.gaps import twin_cells
from tfcollapse.records.seed_noise import SEEDS, SPREAD, noise_of, spread_of
from tfcollapse.records.statistics import by
from tfcollapse.records.table import read_table, write_table
from tfcollapse.theory.checks import FAILS, HOLDS, UNDECIDED


def noise(random, seeds):
    """Tables of four depths, gammas, or cells whose values know nothing of them, by the function that judges each.

    The errors scatter by a spread of which the one that is taken is an estimate.
    """
    of_estimate = np.sqrt((SEEDS - 1) / random.chisquare(SEEDS - 1))

    def errors(*networks):
        spreads = [of_estimate * spread_of([table_row(**network)]) for network in networks]
        return dict(zip((1, 2, 4, 6), 0.011 * random.lognormal(0, spreads), strict=True))

    def dense():
        return errors(*({"depth": depth} for depth in (1, 2, 4, 6)))

    def vae(seed, errors):
        rows = vaes(errors, seed)
        return [row | {"sigma_above_0.9": random.uniform(), "active_units": int(random.integers(0, 4))} for row in rows]

    both = [row for seed in range(seeds) for row in (*aes(dense(), seed), *vae(seed, dense()))]
    gammas = [
        row | {"gamma_mode": "fixed", "gamma_start": 10.0 ** row["depth"], "depth": 2, "affine_active_units": 2}
        for seed in range(seeds)
        for row in vae(seed, errors(*[{"depth": 2}] * 4))
    ]
    facts = {"architecture": "residual"}
    residual = [
        row | {"depth": b, "block_depth": row["depth"], "dataset": dataset}
        for dataset in ("a", "b")
        for b in (1, 2)
        for seed in range(seeds)
        for row in aes(errors(*[facts] * 4), seed, **facts)
        if row["depth"] > 1
    ]
    return [
        (depth_claims, both),
        (sigma_claims, both),
        (gamma_claims, gammas),
        (residual_claims, residual),
        (residual_claims, [row for row in residual if row["dataset"] == "a"]),
    ]


def of(text, claims):
    """Whether the one claim that says `text` has a verdict on a gap."""
    (claim,) = [claim for claim in claims if text in claim.text]
    assert claim.verdict in (REPRODUCED, NOT_REPRODUCED, TOO_CLOSE), claim
    return claim.verdict != TOO_CLOSE


def pair(depth, gap):
    return [*aes({depth: 0.01}), *vaes({depth: 0.01 * (1 + gap)})]


def five_gammas(depth, errors):
    facts = {"gamma_mode": "fixed", "affine_active_units": 2}
    return [vaes({depth: e}, **facts)[0] | {"gamma_start": 10.0**n, "run_id": str(n)} for n, e in enumerate(errors)]


def above_pca(rows):
    (claim,) = [claim for claim in depth_claims(rows) if "stuck" in claim.text]
    return claim.verdict == NOT_RUN  # it waits for the arms that show why


def half_is_left(depth, gap):
    rows = [*aes({depth: 2 * PCA}, pca_error=PCA), *aes({depth: 1.5 * PCA / (1 + gap)}, initializer="he_normal")]
    (claim,) = [claim for claim in depth_claims(rows) if "stuck" in claim.text]
    return claim.verdict == NOT_REPRODUCED  # the start is the cause


def starts(depth, gap):
    he = {"initializer": "he_normal"}
    rows = [*pair(depth, 1), *aes({depth: 0.01 / (1 + gap)}, **he), *vaes({depth: 0.02}, active_units=50, **he)]
    (claim,) = [claim for claim in initialisation_claims(rows) if "keeps more" in claim.text]
    return "no start lowers" not in claim.evidence


def advice(depth, gap):
    better = vaes({depth: 0.02 / (1 + gap)}, active_units=60, norm="layer")
    return bool(helpful([*vaes({1: 0.01}, active_units=64), *vaes({depth: 0.02}), *better]))


def residual(depth, gap):
    """Of one data set, with another one that lacks the shallow end and has errors of another size."""
    dense = (
        {} if depth == 2 else {"architecture": "residual"}
    )  # a dense network of two layers in a residual one's place
    rows = [*aes({1: 0.01}, block_depth=2, **dense), *aes({2: 0.01 * (1 + gap)}, block_depth=2, **dense)]
    rows += [row | {"dataset": "other", "train_error": 0.05} for row in aes({2: 0.05}, block_depth=2, **dense)]
    return of("once the network is deep enough", residual_claims(rows))


TOLD = {
    "an order": lambda depth, gap: of("at every depth", depth_claims(pair(depth, gap))),
    "eq. (8)": lambda depth, gap: of("eq. (8)", depth_claims(pair(depth, gap))),
    "eq. (8), below": lambda depth, gap: of("eq. (8)", depth_claims(pair(depth, 1 / (1 + gap) - 1))),
    "a rise": lambda depth, gap: of(
        "worse reconstructions", gamma_claims(five_gammas(depth, 0.01 * np.linspace(1, 1 + gap, 5)))
    ),
    "a fall, then a rise": lambda depth, gap: of(
        "turns",
        [
            judge_trend(
                "turns",
                five_gammas(depth, 0.01 * (1 + gap * np.array([1.0, 0.2, 0.0, 0.5, 0.9, 1.0]))),
                "gamma_start",
                "train_error",
                "falls, then rises",
            )
        ],
    ),
    "above PCA": lambda depth, gap: above_pca(aes({depth: PCA * (1 + gap)}, pca_error=PCA)),
    "half of an excess": half_is_left,
    "a better start": starts,
    "an objective": lambda depth, gap: of(
        "every change of the objective",
        countermeasures_claims([*aes({depth: 0.01}), *vaes({depth: 0.01 * (1 + gap)}, objective="VAE + KL floor")]),
    ),
    "a warm-up": lambda depth, gap: of(
        "warm-up of gamma",
        warmup_claims(
            [row | {"objective": row["objective"].replace("VAE", "VAE + gamma warm-up")} for row in pair(depth, gap)]
        ),
    ),
    "a remedy": lambda depth, gap: of(
        "no remedy",
        [
            judge_no_remedy(
                "no remedy",
                aes({depth: 0.02}),
                {"one": Remedy(aes({depth: 0.015 * (1 + gap)}), aes({1: 0.01}))},
                "train_error",
            )
        ],
    ),
    "advice": advice,
    "residual networks": residual,
}


@pytest.mark.parametrize("name", TOLD)
@pytest.mark.parametrize(("depth", "gap", "told"), [(2, 0.06, True), (10, 0.06, False), (10, 0.2, True)])
def test_a_gap_that_two_shallow_seeds_do_not_have_is_chance_between_deep_ones(name, depth, gap, told):
    assert TOLD[name](depth, gap) == told


def test_a_gap_of_residual_networks_counts_as_that_of_two_runs_and_not_of_one_beside_a_constant():
    assert not residual(10, 0.08)


def test_of_an_end_of_a_shape_and_its_turning_point_the_deeper_one_decides():
    errors = {depth: 0.01 * (1 + gap) for depth, gap in zip(range(1, 11), (0.06, *[0.0] * 8, 0.06), strict=True)}
    errors = {depth: error + 1e-6 * abs(depth - 4) for depth, error in errors.items()}
    claim = falls_then_rises(aes(errors))
    assert "turning point at depth 4" in claim.evidence
    assert claim.verdict == TOO_CLOSE  # depth 10 against depth 4


def test_seeds_of_one_data_set_are_the_blocks_of_its_trend():
    def cell(c, seed):
        error = 0.01 * (1 + 0.01 * c + 1e-4 * seed)
        return aes({1: error}, seed, architecture="residual", block_depth=c)[0] | {"run_id": f"{c}-{seed}"}

    rows = [cell(c, seed) for c in range(2, 8) for seed in range(5)]
    claims = residual_claims(rows)
    assert (claims[0].verdict, "rank test" in claims[0].evidence) == (REPRODUCED, True)
    assert "over 5 seeds of 1 data set" in claims[2].evidence
    fewer = [row for row in rows if row["block_depth"] > 2 or row["seed"] < 2]
    assert "over 5 seeds against 2 of 1 data set" in residual_claims(fewer)[2].evidence


def other_arms(depth, gap):
    """Of two starts, two data sets and two widths: three cells more, and no further seeds of the first."""
    changes = ({}, {"initializer": "he_normal"}, {"dataset": "another 1.0"}, {"width": 7})
    pairs = [[row | change for row in pair(depth, gap)] for change in changes]
    scaled = [
        row | {"train_error": row["train_error"] * 1.5**n, "run_id": f"{row['run_id']}-{n}"}
        for n, rows in enumerate(pairs)
        for row in rows
    ]
    return [dict.fromkeys(scaled[-1]) | row for row in scaled]


@pytest.mark.parametrize(("gap", "verdict"), [(0.2, HOLDS), (-0.2, FAILS)])
def test_arms_and_data_sets_are_no_seeds_of_eq_8(gap, verdict, tmp_path):
    rows = other_arms(2, gap)
    write_table(tmp_path / "fig1_left.csv", rows)
    assert equations_section(str(tmp_path / "fig1_left.csv")).checks[0].verdict == verdict
    (claim,) = [claim for claim in depth_claims(rows) if "eq. (8)" in claim.text]
    assert claim.verdict == {HOLDS: REPRODUCED, FAILS: NOT_REPRODUCED}[verdict]
    assert list(twin_cells(rows)) == [
        "VAE depth 2, data fashion_mnist",
        "VAE depth 2, data another",
        "VAE depth 2, width 7, data fashion_mnist",
        "VAE (he_normal start) depth 2",
    ]


def test_the_seeds_of_the_aes_alone_show_their_noise():
    rows = [*(row for seed in range(3) for row in aes({2: 0.01 * (1 + seed)}, seed)), *vaes({2: 0.011})]
    (claim,) = [claim for claim in depth_claims(rows) if "eq. (8)" in claim.text]
    assert claim.verdict == TOO_CLOSE


def test_an_architecture_that_is_not_known_has_the_largest_spread():
    assert spread_of([{"depth": 1}]) == spread_of([{"depth": 1, "architecture": "new"}]) == SPREAD[10]


@pytest.mark.parametrize(("depth", "gap", "verdict"), [(2, -0.08, FAILS), (10, -0.08, UNDECIDED), (10, 0.2, HOLDS)])
def test_eq_8_fails_only_beyond_chance_and_does_not_hold_within_it(depth, gap, verdict, tmp_path):
    rows = pair(depth, gap)
    write_table(tmp_path / "fig1_left.csv", [dict.fromkeys(rows[-1]) | row for row in rows])
    check = equations_section(str(tmp_path / "fig1_left.csv")).checks[0]
    assert check.verdict == verdict
    assert (f"VAE depth {depth}: {gap:+.1%}" in check.measured) == (verdict != HOLDS)


def test_a_share_of_sigma_near_1_must_move_by_a_tenth():
    def judged(by):
        rows = [
            *(
                vaes({d: 0.01 * d}, **{"sigma_above_0.9": s})[0]
                for d, s in zip((1, 2, 3, 4, 5), 0.5 + by * np.arange(5), strict=True)
            )
        ]
        return of("sigma_z near 1", sigma_claims(rows))

    assert (judged(0.02), judged(0.03)) == (False, True)


THRESHOLDS = ("eq. (10)", "(ours)", "(Proposition 2)")
"""Claims that compare with a bound that is no noise."""


@pytest.mark.slow
@pytest.mark.parametrize(("seeds", "tables"), [(2, 120), (1, 120)])
def test_pure_noise_reproduces_no_claim_more_often_than_one_time_in_twenty(seeds, tables):
    random = np.random.default_rng(0)
    passed: dict[str, list[bool]] = {}
    for _ in range(tables):
        for judge, rows in noise(random, seeds):
            for claim in judge(rows):
                passed.setdefault(f"{judge.__name__} on {len(rows)}: {claim.text}", []).append(
                    claim.verdict in (REPRODUCED, NOT_REPRODUCED)
                )
    tried = {text: results for text, results in passed.items() if not any(word in text for word in THRESHOLDS)}
    assert len(tried) >= 9
    for text, results in tried.items():
        assert stats.binomtest(sum(results), len(results), 0.05, alternative="greater").pvalue > 0.001, text


@pytest.mark.parametrize(("seeds", "tables"), [(1, 500), (3, 100)])
def test_chance_contradicts_a_statement_on_six_places_as_rarely_as_one_on_one_place(seeds, tables):
    random, spread, places = np.random.default_rng(0), SPREAD[10], 6

    def signs(below, above):
        return [compare(*values, spread, count).sign for values in zip(above, below, strict=True) for count in (1, 6)]

    def errors():
        return random.lognormal(
            0, spread * np.sqrt((SEEDS - 1) / random.chisquare(SEEDS - 1)), (places, seeds)
        ).tolist()

    found = np.array([signs(errors(), errors()) for _ in range(tables)]).reshape(tables, places, 2)
    contradicted = (found == -1).any(axis=1).mean(axis=0)
    assert contradicted[0] > 0.08  # each place by itself
    assert contradicted[1] < 0.05
    assert ((found[..., 0] == 1) == (found[..., 1] == 1)).all()  # what holds is asked for no more


def test_the_noise_of_single_runs_is_that_of_the_committed_seeds():
    errors = by(read_table(ROOT / "results/reach/reach.csv"), "depth", "train_error")
    assert {depth: len(of) for depth, of in errors.items()} == dict.fromkeys(SPREAD, SEEDS)
    for depth, of in errors.items():
        assert SPREAD[depth] == pytest.approx(np.std(of, ddof=1) / np.mean(of), abs=5e-5)
    spreads = [spread_of([table_row(depth=depth)]) for depth in (1, 2, 4, 6, 10, 20)]
    assert spreads[0] == spreads[1] == SPREAD[2] < spreads[2] < spreads[3] == SPREAD[6] < spreads[4] == spreads[5]


def test_a_network_that_counts_no_layers_has_the_largest_spread():
    for architecture in ("convolutional", "residual"):
        assert spread_of([table_row(depth=1, architecture=architecture)]) == SPREAD[10]
    assert spread_of([table_row(depth=2), table_row(depth=6)]) == SPREAD[6]
    assert noise_of(SPREAD[10], runs=1) < noise_of(SPREAD[10])
