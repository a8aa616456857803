"""Test what the study of countermeasures claims and draws, on tables that are made to tempt it."""

import io

import numpy as np
import pytest
import rich.console
import scipy.stats
from examples import table_row

from tfcollapse.claims import countermeasures_claims
from tfcollapse.claims.claim import MEASURED, NOT_REPRODUCED, NOT_RUN, NOT_TRAINED, REPRODUCED, TOO_CLOSE
from tfcollapse.claims.correlation import rank_correlation
from tfcollapse.figures import countermeasures_figure
from tfcollapse.records.naming import cells
from tfcollapse.records.statistics import network_arm
from tfcollapse.studies.display import Display
from tfcollapse.studies.study import load_study

CHANGES = [
    {},
    {"initializer": "he_normal"},
    {"initializer": "orthogonal"},
    {"epsilon": 1e-12},
    {"architecture": "skip_dense"},
    {"architecture": "residual_dense"},
    {"norm": "layer"},
]
VAE = {"objective": "VAE", "gamma_mode": "optimal", "gamma": 0.01, "sigma_above_0.9": 0.1, "test_negative_elbo": -900.0}


def row(change, error, units=None, **own):
    vae = {} if units is None else {**VAE, "active_units": units, "train_error": error}
    own = {"depth": 10, "latent_dim": 64, "train_error": error, "mean_predictor_error": 0.09, **vae, **change, **own}
    return table_row(run_id=str(sorted(own.items(), key=str)), **own)


def table(errors, units):
    """An AE of each error and its VAE, of so many units and twice the error, by the changes in their order."""
    pairs = zip(CHANGES, errors, units, strict=False)
    return [each for change, error, n in pairs for each in (row(change, error), row(change, 2 * error, n))]


def first(rows):
    return countermeasures_claims(rows)[0]


RISING = [0.010, 0.011, 0.012, 0.013, 0.014, 0.015, 0.016]


@pytest.mark.parametrize(
    ("units", "verdict"),
    [
        ([60, 50, 40, 30, 20, 10, 5], REPRODUCED),
        ([5, 10, 20, 30, 40, 50, 60], NOT_REPRODUCED),
        ([60, 5, 50, 10, 40, 20, 30], TOO_CLOSE),
        ([64, 64, 64, 64, 64, 64, 64], TOO_CLOSE),  # all units of all: no order at all
        ([60, 50, 40, 30], NOT_RUN),  # an order of four is one of 24
    ],
)
def test_a_better_ae_has_more_units_only_by_a_significant_rank_correlation(units, verdict):
    claim = first(table(RISING[: len(units)], units))
    assert claim.verdict == verdict
    assert claim.text.startswith("at depth 10 ")


def test_an_order_that_two_architectures_make_is_said_to_be_none_within_one():
    errors = [0.012, 0.013, 0.014, 0.015, 0.010, 0.011, 0.016]  # both with skip connections have better AEs
    claim = first(table(errors, [3, 5, 2, 4, 60, 64, 3]))
    dense = scipy.stats.spearmanr([0.012, 0.013, 0.014, 0.015, 0.016], [3, 5, 2, 4, 3])[0]
    assert f"over 7 arms; rank correlation {dense:+.2f} (p = " in claim.short
    assert "over the 5 whose architecture is dense" in claim.short
    others = [change for change in CHANGES if "architecture" not in change]
    rows = [each for change in others for each in (row(change, 0.01 + len(str(change)) / 1e4), row(change, 0.02, 5))]
    assert "architecture" not in first(rows).short  # where there is no other


def test_arms_of_untrained_or_missing_networks_are_not_judged_and_are_named():
    rows = table(RISING, [60, 50, 40, 30, 20, 10, 5])
    untrained = [
        r | {"train_error": 0.0899} if r.get("norm") == "layer" and r["objective"] == "AE" else r for r in rows
    ]
    claim = first(untrained)
    assert claim.verdict == NOT_TRAINED
    assert "AE (layer norm) depth 10" in claim.evidence
    missing = [
        r | {"status": "unfinished", "train_error": None, "active_units": None}
        if r.get("norm") == "layer" and r["objective"] == "VAE"
        else r
        for r in rows
    ]
    assert first(missing).verdict == NOT_RUN
    assert "13 of 14 runs are there" in first(missing).evidence


def test_changes_of_the_objective_are_held_against_the_plain_ae_and_are_no_arm_of_the_correlation():
    rows = table(RISING, [60, 50, 40, 30, 20, 10, 5])
    changed = [
        row({}, error, 64, objective=name, kl_nats=0.2)
        for name, error in (("VAE + KL floor", 0.02), ("VAE + capacity", 0.03))
    ]
    claims = countermeasures_claims([*rows, *changed])
    assert claims[0] == first(rows)
    assert claims[1].verdict == REPRODUCED
    assert "KL floor +100.0%, capacity +200.0%" in claims[1].evidence
    better = row({}, 0.008, 64, objective="VAE + free bits")
    assert countermeasures_claims([*rows, *changed, better])[1].verdict == NOT_REPRODUCED
    level = row({}, 0.010, 64, objective="VAE + free bits")
    assert countermeasures_claims([*rows, *changed, level])[1].verdict == TOO_CLOSE
    assert [claim.verdict for claim in claims[2:]] == [MEASURED] * 2
    assert "KL floor (KL nats 0.2): VAE 0.02000, 64 units, negative ELBO -900.0" in claims[2].evidence
    assert "he_normal start: AE 0.01100, VAE 0.02200, 50 units" in claims[3].evidence


def test_two_amounts_of_one_change_are_two_arms_and_no_seeds_of_one():
    rows = table(RISING, [60, 50, 40, 30, 20, 10, 5])
    leads = [
        each
        for n in (100, 200)
        for each in (row({"encoder_ahead": n}, n / 1e4), row({"encoder_ahead": n}, 0.03, n / 10))
    ]
    floors = [
        row({}, error, 64, objective="VAE + KL floor", kl_constraint="floor", kl_nats=nats)
        for error, nats in ((0.02, 0.2), (0.03, 5.0))
    ]
    claims = countermeasures_claims([*rows, *leads, *floors])
    assert "over 9 arms" in claims[0].evidence
    assert "encoder ahead, encoder ahead 200: AE 0.02000, 20 units" in claims[0].evidence
    assert "KL floor, KL nats 0.2 +100.0%, KL floor, KL nats 5 +200.0%" in claims[1].evidence
    seeds = [{**each, "seed": 1, "run_id": f"{each['run_id']} 1"} for each in rows]
    assert "over 7 arms" in first([*rows, *seeds]).evidence
    learned = [row(change, 0.02, 30, gamma_mode="learned") for change in CHANGES]
    both = first([*rows, *learned])
    assert both.verdict == NOT_RUN
    assert "an AE has several VAEs" in both.evidence
    assert "plain, gamma is learned: AE 0.01000, 30 units" in both.evidence
    mixed = first([*rows, *(each | {"dataset": "cifar10 3.0.2", "run_id": f"{each['run_id']} c"} for each in rows)])
    assert mixed.verdict == NOT_RUN
    assert "of several datasets (fashion_mnist, cifar10)" in mixed.evidence


def test_an_objective_is_held_against_the_ae_of_its_own_width():
    rows = [
        each | {"width": width}
        for width, error in ((32, 0.02), (512, 0.01))
        for each in (row({}, error), row({}, 0.015, 9, objective="VAE + free bits", kl_nats=0.5))
    ]
    claim = countermeasures_claims(rows)[1]
    assert claim.verdict == NOT_REPRODUCED
    assert "free bits, width 32 -25.0%, free bits, width 512 +50.0%" in claim.evidence
    alone = countermeasures_claims([each for each in rows if (each["objective"], each["width"]) != ("AE", 32)])[1]
    assert alone.verdict == NOT_RUN
    assert "free bits, width 512 +50.0%, no AE of the same network for free bits, width 32" in alone.evidence
    assert countermeasures_claims([each for each in rows if each["objective"] != "AE"])[1].short.startswith(
        "VAE's error"
    )


def test_an_unfinished_run_which_knows_no_version_of_its_data_is_of_the_arm_of_the_finished_ones():
    rows = [each | {"dataset": "fashion_mnist 3.0.1"} for each in table(RISING, [60, 50, 40, 30, 20, 10, 5])]
    rows[-1] |= {"dataset": "fashion_mnist", "status": "unfinished", "train_error": None, "active_units": None}
    claim = first(rows)
    assert claim.verdict == NOT_RUN
    assert "over 6 arms" in claim.evidence
    assert "not run: VAE (layer norm) depth 10; 13 of 14 runs are there" in claim.evidence


def test_what_an_arm_obtained_is_a_mean_over_all_its_seeds_or_the_reason_why_there_is_none():
    rows = table(RISING, [60, 50, 40, 30, 20, 10, 5])
    seeds = [{**each, "seed": 1, "run_id": f"{each['run_id']} 1"} for each in rows]
    seeds[0] |= {"train_error": 0.0899}
    seeds[3] |= {"status": "unfinished", "train_error": None, "active_units": None}
    obtained = countermeasures_claims([*rows, *seeds])[3].evidence
    assert "plain: AE not trained, VAE 0.02000, 60 units" in obtained
    assert "he_normal start: AE 0.01100, VAE not run" in obtained


def test_a_vae_whose_units_are_not_known_is_no_pair():
    rows = table(RISING, [60, 50, 40, 30, 20, 10, 5])
    rows[1] |= {"active_units": None}
    assert "over 6 arms" in first(rows).evidence


def test_shallow_networks_stand_in_the_figure_and_in_no_claim():
    rows = table(RISING, [60, 50, 40, 30, 20, 10, 5])
    shallow = [row({}, 0.005, depth=2), row({}, 0.006, 64, depth=2)]
    assert countermeasures_claims([*rows, *shallow]) == countermeasures_claims(rows)
    others = [
        row({"architecture": "residual_dense"}, 0.9, depth=2),
        row({}, 0.9, 1, depth=2, objective="VAE + free bits"),
    ]
    figure = countermeasures_figure([*rows, *shallow, *others])
    names = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert names[:3] == ["plain, depth 2", "1  plain", "2  he_normal start"]
    pairs = next(axes for axes in figure.axes if axes.get_ylabel() == "active units of the VAE of the same number")
    drawn = sorted(tuple(np.ravel(line.get_xydata())) for line in pairs.lines if line.get_marker() == "o")
    numbers = [str(line.get_marker()) for line in pairs.lines if str(line.get_marker()).startswith("$")]
    assert numbers == [f"${number}$" for number in range(1, 8)]
    assert drawn == [pytest.approx(pair) for pair in zip(RISING, [60, 50, 40, 30, 20, 10, 5], strict=True)]


def test_rank_correlation_agrees_with_scipy_and_its_interval_covers():
    random = np.random.default_rng(0)
    covered = 0
    for _ in range(200):
        x = random.standard_normal(12)
        y = 0.6 * x + 0.8 * random.standard_normal(12)
        found = rank_correlation(x, y)
        covered += found.low <= 6 / np.pi * np.arcsin(0.6 / 2) <= found.high  # Spearman's of a normal with r = 0.6
    assert found.rho == pytest.approx(scipy.stats.spearmanr(x, y).statistic)
    assert 0.88 < covered / 200 <= 1
    x, y = [1, 2, 3, 4, 5], [1, 3, 2, 5, 4]
    orders = scipy.stats.permutation_test(
        (x,), lambda a: scipy.stats.spearmanr(a, y).statistic, permutation_type="pairings"
    )
    assert rank_correlation(x, y).p == pytest.approx(orders.pvalue)
    assert rank_correlation(x, [1, 2, np.nan, 4, 5]).p == 1


@pytest.mark.parametrize("sign", [-1, 1])
def test_the_interval_of_a_perfect_order_ends_at_one_and_begins_where_that_of_its_neighbour_does(sign):
    perfect, near = (rank_correlation(range(6), [sign * value for value in y]) for y in (range(6), [0, 1, 2, 3, 5, 4]))
    assert sign * perfect.rho == pytest.approx(1)
    bounds, inner = ((perfect.low, near.low) if sign > 0 else (perfect.high, near.high)), (perfect.low, perfect.high)
    assert bounds[0] == pytest.approx(bounds[1])
    assert sign in inner


def test_every_run_of_the_study_has_an_arm_of_its_own():
    runs = load_study("countermeasures").runs("standing")
    from tfcollapse.records.columns import declared

    rows = [{**declared(run), "dataset": run.data.name} for run in runs]
    named = [(row["objective"], row["depth"], network_arm(row)) for row in rows]
    assert len(set(named)) == len(rows) == 28
    assert "VAE (residual, layer norm) depth 10" in cells(rows)
    printed = io.StringIO()
    console = rich.console.Console(file=printed, width=200)
    Display(runs, console).table([{**row, "status": "finished"} for row in rows])
    lines = printed.getvalue().splitlines()
    assert len(set(lines)) == len(lines) == 30  # a title, a note, and no two runs look alike
