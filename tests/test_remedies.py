"""Claims on what should mend deep networks: a small gamma, a warm-up, another start; and on reaching a small error."""

import pytest
from examples import table_row

from tfcollapse.claims import gamma_claims, initialisation_claims, reach_claims, warmup_claims
from tfcollapse.claims.claim import NOT_REPRODUCED, NOT_RUN, NOT_TRAINED, REPRODUCED, TOO_CLOSE
from tfcollapse.figures import initialisation_figure, reach_figure
from tfcollapse.records.statistics import share_reaching

SHALLOW = {0.001: (0.008, 64), 0.003: (0.0085, 64), 0.01: (0.009, 64), "learned": (0.0095, 64)}
"""Errors and active units of VAEs of depth 2."""


def vaes(depth, cells):
    """{gamma or "learned": (error, active units)} as rows."""
    return [
        table_row(
            run_id=f"{depth}-{gamma}",
            objective="VAE" if gamma == "learned" else f"VAE (gamma {gamma})",
            gamma_mode="learned" if gamma == "learned" else "fixed",
            gamma_start=1.0 if gamma == "learned" else gamma,
            gamma=error if gamma == "learned" else gamma,
            depth=depth,
            train_error=error,
            active_units=units,
            affine_active_units=64,
        )
        for gamma, (error, units) in cells.items()
    ]


def small_gamma(deep):
    return [claim for claim in gamma_claims(vaes(2, SHALLOW) + vaes(10, deep)) if "section 7" in claim.text]


def test_a_small_gamma_that_brings_units_back_and_not_the_error_is_said_so():
    collapsed = {0.001: (0.0165, 64), 0.003: (0.017, 63), 0.01: (0.018, 20), "learned": (0.02, 4)}
    assert [claim.verdict for claim in small_gamma(collapsed)] == [REPRODUCED, NOT_REPRODUCED]
    mended = collapsed | {0.001: (0.008, 64)}
    assert [claim.verdict for claim in small_gamma(mended)] == [NOT_REPRODUCED, NOT_REPRODUCED]
    still = {gamma: (error, 4) for gamma, (error, _) in collapsed.items()}
    assert [claim.verdict for claim in small_gamma(still)] == [REPRODUCED, REPRODUCED]
    nearly = collapsed | {0.001: (0.0100, 62)}
    assert [claim.verdict for claim in small_gamma(nearly)] == [NOT_REPRODUCED, NOT_REPRODUCED]
    half = still | {0.001: (0.0140, 34)}
    assert [claim.verdict for claim in small_gamma(half)] == [TOO_CLOSE, TOO_CLOSE]


def test_a_depth_that_has_not_collapsed_has_nothing_for_a_small_gamma_to_mend():
    for units in (64, 63, 58):
        sound = {0.001: (0.012, 64), "learned": (0.02, units)}
        assert {claim.verdict for claim in small_gamma(sound)} == {NOT_RUN}
        assert "no collapse to mend" in small_gamma(sound)[0].evidence
    untrained = {0.001: (0.012, 64), "learned": (0.0868, 0)}
    assert {claim.verdict for claim in small_gamma(untrained)} == {NOT_TRAINED}


def test_a_learned_gamma_that_is_on_its_way_is_not_judged_and_one_in_closed_form_is_preferred():
    deep = {0.001: (0.016, 20), 0.01: (0.017, 20), "learned": (0.02, 4)}
    rows = [row | {"steps": 800, "halve_every": 320} for row in vaes(2, SHALLOW) + vaes(10, deep)]
    rows = [
        row | {"gamma": min(row["gamma"], 0.0111), "gamma_pace": 0.8} if row["gamma_mode"] == "learned" else row
        for row in rows
    ]
    *_, equation_10, error, units = gamma_claims(rows)
    assert [claim.verdict for claim in (equation_10, error, units)] == [NOT_RUN] * 3
    said = (
        "gamma is still on its way to the error: VAE depth 10 (largest gap -44.50%; log gamma moves there at 0.8 of "
        "the learning rate an update or more; below 0.25 it is judged)"
    )
    assert said in error.evidence
    assert said in equation_10.evidence
    assert equation_10.brief == (
        "largest relative gap +0.00% over 1 runs; 1 more not judged: gamma is still on its way to the error"
    )
    held = [row | {"warmup": "hold_gamma", "warmup_steps": 800, "gamma_pace": None} for row in rows]
    assert "gamma is held to the last step: VAE depth 10" in gamma_claims(held)[-3].evidence
    closed = [row | {"gamma_mode": "optimal", "gamma": row["train_error"]} for row in rows if row["objective"] == "VAE"]
    *_, equation_10, error, units = gamma_claims(rows + closed)
    assert [claim.verdict for claim in (equation_10, error, units)] == [NOT_RUN, REPRODUCED, REPRODUCED]
    assert "with gamma 0.01 0.017 (without it 0.02, shallow network 0.009)" in error.evidence


def test_only_a_gamma_below_the_learned_one_is_small():
    large = {0.001: (0.012, 64), 0.01: (0.0095, 64), "learned": (0.009, 4)}
    error, _ = small_gamma(large)
    assert "gamma 0.001" in error.evidence
    assert "gamma 0.01:" not in error.evidence


def warm_rows(ae, plain, kl, gamma):
    """Errors and active units at depth 2 and 10: {depth: (error, units)} of each kind."""
    names = ("AE", "VAE", "VAE + KL warm-up", "VAE + gamma warm-up")
    return [
        table_row(
            run_id=f"{name}-{depth}",
            objective=name,
            depth=depth,
            train_error=error,
            active_units=units,
            gamma_mode="optimal" if units is not None else None,
        )
        for name, cells in zip(names, (ae, plain, kl, gamma), strict=True)
        for depth, (error, units) in cells.items()
    ]


AE = {2: (0.007, None), 10: (0.015, None)}
PLAIN = {2: (0.008, 64), 10: (0.021, 4)}


def warmup_verdicts(rows):
    """The verdicts on the error with a warm-up of the KL weight, on that with one of gamma, and on the units."""
    return [claim.verdict for claim in warmup_claims(rows)]


def test_a_warm_up_that_mends_nothing_reproduces_section_5():
    gamma = {2: (0.008, 64), 10: (0.018, 12)}
    assert warmup_verdicts(warm_rows(AE, PLAIN, PLAIN, gamma)) == [REPRODUCED] * 3
    one_unit = {2: (0.008, 64), 10: (0.018, 63)}
    assert warmup_verdicts(warm_rows(AE, PLAIN | {10: (0.021, 63)}, one_unit, one_unit))[-1] == NOT_RUN


def test_one_warm_up_that_mends_contradicts_it():
    mends = {2: (0.008, 64), 10: (0.013, 63)}
    assert warmup_verdicts(warm_rows(AE, PLAIN, PLAIN, mends)) == [REPRODUCED, NOT_REPRODUCED, NOT_REPRODUCED]
    untrained = {2: (0.008, 64), 10: (0.0868, 0)}
    assert warmup_verdicts(warm_rows(AE, PLAIN, PLAIN, untrained)) == [REPRODUCED, NOT_TRAINED, NOT_TRAINED]
    one_kind = [row for row in warm_rows(AE, PLAIN, PLAIN, mends) if "gamma" not in row["objective"]]
    assert warmup_verdicts(one_kind) == [REPRODUCED, NOT_RUN, NOT_RUN]


def test_a_remedy_of_which_one_seed_of_three_is_there_contradicts_nothing():
    mends = {2: (0.008, 64), 10: (0.013, 63)}
    rows = [{**row, "seed": seed} for seed in range(3) for row in warm_rows(AE, PLAIN, PLAIN, mends)]
    for row in rows:
        if row["objective"] == "VAE + gamma warm-up" and row["depth"] == 10 and row["seed"]:
            row |= {"status": "unfinished", "train_error": None, "active_units": None}
    assert warmup_verdicts(rows) == [REPRODUCED, NOT_RUN, NOT_RUN]


def start_rows(ae, units):
    """{start: error of the AE}, {start: active units of the VAE}, at depth 10."""
    rows = [table_row(run_id=f"ae-{s}", initializer=s, depth=10, train_error=e, epsilon=1e-8) for s, e in ae.items()]
    vae = {"objective": "VAE", "gamma_mode": "optimal", "gamma_start": 1.0, "train_error": 0.02, "gamma": 0.02}
    return rows + [
        table_row(run_id=f"vae-{s}", initializer=s, depth=10, active_units=n, epsilon=1e-8, **vae)
        for s, n in units.items()
    ]


def units_return(*cells):
    (claim,) = [claim for claim in initialisation_claims(start_rows(*cells)) if "units active" in claim.text]
    return claim


def test_units_must_return_with_every_start_that_lowers_the_error():
    errors = {"glorot_uniform": 0.02, "he_normal": 0.012, "orthogonal": 0.022}
    assert units_return(errors, {"glorot_uniform": 4, "he_normal": 50, "orthogonal": 4}).verdict == REPRODUCED
    assert units_return(errors, {"glorot_uniform": 20, "he_normal": 2, "orthogonal": 4}).verdict == NOT_REPRODUCED
    assert units_return(errors, {"glorot_uniform": 4, "he_normal": 4, "orthogonal": 50}).verdict == TOO_CLOSE
    one_more = units_return(errors, {"glorot_uniform": 3, "he_normal": 4, "orthogonal": 4})
    assert one_more.verdict == TOO_CLOSE
    worse = errors | {"he_normal": 0.03}
    assert units_return(worse, {"glorot_uniform": 4, "he_normal": 50, "orthogonal": 4}).verdict == NOT_RUN


def test_one_seed_of_three_of_a_start_contradicts_nothing_and_a_whole_start_does():
    errors, units = {"glorot_uniform": 0.02, "he_normal": 0.012}, {"glorot_uniform": 12, "he_normal": 2}
    rows = [row | {"seed": seed} for seed in range(3) for row in start_rows(errors, units)]
    for row in rows:
        if row["run_id"] == "vae-he_normal" and row["seed"]:
            row |= {"status": "unfinished", "train_error": None, "active_units": None}

    def verdict(rows):
        (claim,) = [claim for claim in initialisation_claims(rows) if "units active" in claim.text]
        return claim.verdict

    assert verdict(rows) == NOT_RUN
    orthogonal = start_rows({"orthogonal": 0.012}, {"orthogonal": 2})
    assert verdict([*rows, *orthogonal]) == NOT_REPRODUCED


def test_another_epsilon_and_more_steps_are_no_seeds_of_the_default_start():
    rows = start_rows({"glorot_uniform": 0.02, "he_normal": 0.012}, {"glorot_uniform": 4, "he_normal": 50})
    rows += [table_row(run_id="e", depth=10, train_error=0.001, epsilon=1e-12)]
    rows += [table_row(run_id="s", depth=10, train_error=0.001, epsilon=1e-8, steps=500_000)]
    rows = [{**row, "depth": depth} for row in rows for depth in (2, 10)]
    errors = initialisation_figure(rows).axes[0]
    drawn = {container.get_label(): list(container.lines[0].get_ydata()) for container in errors.containers}
    assert drawn["glorot_uniform"] == [0.02, 0.02]
    assert drawn["glorot_uniform, epsilon 1e-12"] == drawn["glorot_uniform, 500,000 steps"] == [0.001, 0.001]
    texts = [claim.text for claim in initialisation_claims(rows)]
    assert sum("glorot_uniform" in text for text in texts) == 3


def seeds(errors):
    """{depth: the errors of its seeds} as rows; None is a run that failed."""
    return [
        table_row(
            run_id=f"{depth}-{seed}",
            depth=depth,
            seed=seed,
            train_error=error,
            status="failed" if error is None else "finished",
            width=512,
        )
        for depth, cell in errors.items()
        for seed, error in enumerate(cell)
    ]


def spread(center, count=12):
    return [center + 1e-5 * seed for seed in range(count)]


def test_deeper_networks_that_reach_less_are_told_from_noise_and_from_the_reverse():
    (claim,) = reach_claims(seeds({2: spread(0.008), 6: spread(0.011), 10: spread(0.019)}))
    assert claim.verdict == REPRODUCED
    assert "at most 0.00811, the largest of depth 2: depth 2: 100% (95% 74% to 100%)" in claim.evidence
    assert "depth 10: 0% (95% 0% to 26%)" in claim.evidence
    interleaved = {2: spread(0.008), 6: [error + 3e-6 for error in spread(0.008)]}
    assert reach_claims(seeds(interleaved))[0].verdict == TOO_CLOSE
    assert reach_claims(seeds({2: spread(0.019), 6: spread(0.011)}))[0].verdict == NOT_REPRODUCED
    assert reach_claims(seeds({2: spread(0.008, 3), 6: spread(0.011, 3)}))[0].verdict == NOT_RUN


def test_a_depth_with_an_untrained_seed_waits():
    errors = {2: spread(0.008), 10: [*spread(0.019, 11), 0.086]}
    (claim,) = reach_claims(seeds(errors))
    assert claim.verdict == NOT_TRAINED
    shallow = {2: spread(0.019), 10: [*spread(0.008, 6), *[0.086] * 6]}
    assert "depth 10: 50% (95% 21% to 79%)" in reach_claims(seeds(shallow))[0].evidence
    (axes,) = reach_figure(seeds(errors)).axes
    hollow = [line.get_xdata()[0] for line in axes.lines if line.get_markerfacecolor() == "white"]
    assert hollow == [0.086]


def test_the_share_of_seeds_has_clopper_and_pearson_s_interval():
    rows = seeds({2: [0.008] * 3 + [0.009] * 8 + [None]})
    share = share_reaching(rows, 0.0085)
    assert share.value == 3 / 12  # the seed that failed has not reached it
    none = share_reaching(rows, 0.001)
    # With 0 of n, (1 - p)^n = 2.5% at the upper end.
    assert (none.low, none.high) == (0, pytest.approx(1 - 0.025 ** (1 / 12)))
    unfinished = [{**row, "status": "unfinished", "train_error": None} for row in rows]
    assert share_reaching([*rows, *unfinished], 0.0085) == share


def test_the_reach_figure_is_the_distribution_of_errors_over_seeds():
    (axes,) = reach_figure(seeds({2: [0.008, 0.009, 0.01, 0.011], 10: [0.02] * 4})).axes
    curves = {line.get_label(): line for line in axes.lines if not line.get_label().startswith("_")}
    assert list(curves["depth 2"].get_ydata()) == [0, 0.25, 0.5, 0.75, 1, 1]
    assert list(curves["depth 10"].get_ydata()) == [0, 1, 1, 1, 1, 1]
