"""A network that was not trained supports no claim: it is left out, named, and marked."""

import pytest
from examples import table_row

from tfcollapse.claims import depth_claims, gamma_claims, initialisation_claims, residual_claims, sigma_claims
from tfcollapse.claims.claim import MEASURED, NOT_REPRODUCED, NOT_RUN, NOT_TRAINED, REPRODUCED, Claim
from tfcollapse.claims.completeness import as_far_as_there
from tfcollapse.figures import depth_figure
from tfcollapse.figures.style import caption
from tfcollapse.records.naming import cells
from tfcollapse.records.trained import TRAINED, not_trained, trained
from tfcollapse.reports import study_page as report
from tfcollapse.reports.markdown import markdown
from tfcollapse.studies.study import load_study

MEAN = 0.07
"""The mean predictor's error in the tables of this file."""


def row(objective, depth, error, **more):
    vae = objective != "AE"
    mode = {"gamma_mode": "optimal", "gamma": error, "active_units": 40, "sigma_above_0.9": 0.1} if vae else {}
    name = {"run_id": f"{objective}-{depth}-{more.get('seed', 0)}"}
    return table_row(
        objective=objective,
        depth=depth,
        train_error=error,
        test_error=error,
        **name | {"mean_predictor_error": MEAN, "architecture": "convolutional", "base_channels": 8} | mode | more,
    )


def table(ae, vae):
    return [row(name, t, e) for name, errors in (("AE", ae), ("VAE", vae)) for t, e in enumerate(errors, start=1)]


def verdicts(claims):
    return {claim.text: claim.verdict for claim in claims}


def test_the_bound_is_a_share_of_the_mean_predictor_s_error():
    assert trained(row("AE", 1, 0.99 * TRAINED * MEAN))
    assert not trained(row("AE", 1, 1.01 * TRAINED * MEAN))
    assert not trained(row("AE", 1, 0.01, mean_predictor_error=None))  # nothing shows that it was
    failed = row("AE", 1, None, status="failed")
    assert not_trained([failed]) == []  # it has no error at all: it is missing


def test_a_rise_made_of_untrained_networks_is_no_rise():
    # A fall, then two networks that have not begun: their errors are above the mean predictor's.
    claims = depth_claims(table((0.043, 0.038, 0.040, 0.0797, 0.0824), (0.044, 0.039, 0.045, 0.0785, 0.0729)))
    said = verdicts(claims)
    assert said["the AE's error first falls with depth, then rises"] == NOT_TRAINED
    assert said["deeper VAEs have more sigma_z near 1 (the paper shows it on CelebA, Figure 2)"] == NOT_TRAINED
    assert said["the VAE's error is above the AE's at every depth"] == NOT_TRAINED
    assert said["eq. (8): each AE's error is at most that of its VAE"] == NOT_TRAINED
    assert "not trained: AE depth 4, 5; 3 of 5 runs are there" in claims[0].evidence
    moved = [claim.text for claim in claims if "not trained: " in claim.evidence]
    assert moved == [claim.text for claim in claims if "eq. (10)" not in claim.text]  # of which no gamma was learned


def test_a_cell_is_named_by_what_tells_it_from_the_others_of_its_claim():
    errors = {4: 0.99 * MEAN, 16: 0.03, 64: 0.02}
    rows = [
        table_row(depth=4, width=width, train_error=error, mean_predictor_error=MEAN) for width, error in errors.items()
    ]
    claim = depth_claims(rows)[0]
    assert "not trained: AE (width 4) depth 4; 2 of 3 runs" in claim.evidence
    assert "not trained (error not below 95% of the mean predictor's): AE (width 4) depth 4" in caption(rows)
    assert cells(rows[:1]) == "AE depth 4"
    seeds = [table_row(depth=2, seed=seed) for seed in range(3)]
    assert cells(seeds[1:], seeds) == "AE depth 2 (seed 1, 2)"
    assert cells(seeds, seeds) == "AE depth 2"


def test_where_nothing_was_obtained_yet_the_evidence_says_what_is_missing_alone():
    begun = [table_row(status="unfinished", train_error=None), table_row(run_id="other", train_error=0.01)]
    claim = as_far_as_there(Claim("it holds", NOT_RUN, ""), begun)
    assert claim.evidence.startswith("not run: ")
    assert claim.short == "1 of 2 runs are there"


def test_an_untrained_pair_neither_breaks_nor_supports_equation_8():
    (claim,) = [c for c in depth_claims(table((0.01, 0.08), (0.02, 0.05))) if "eq. (8)" in c.text]
    assert (claim.verdict, claim.evidence.split(";")[0]) == (NOT_TRAINED, "so far 1 of 1 pairs hold")
    (claim,) = [c for c in depth_claims(table((0.08, 0.09), (0.07, 0.08))) if "eq. (8)" in c.text]
    assert claim.verdict == NOT_TRAINED
    (claim,) = [c for c in depth_claims(table((0.02, 0.08), (0.01, 0.05))) if "eq. (8)" in c.text]
    assert claim.verdict == NOT_REPRODUCED  # by the pair that was trained


def test_sigma_near_1_before_training_is_the_start_and_no_finding():
    start = {"sigma_above_0.9": 1.0, "active_units": 0}
    rows = [row("VAE", 2, 0.03), row("VAE", 4, 1.03 * MEAN, **start), row("VAE", 5, 1.19 * MEAN, **start)]
    assert [claim.verdict for claim in sigma_claims(rows)] == [NOT_TRAINED, NOT_TRAINED, NOT_RUN]
    gone_on = [
        row("VAE", t, 0.03 + 0.001 * t, seed=s, **{"sigma_above_0.9": 0.1 * t}) for t in (2, 4, 5) for s in (0, 1)
    ]
    assert [claim.verdict for claim in sigma_claims(gone_on)][:2] == [REPRODUCED] * 2


def test_a_deep_network_that_was_not_trained_is_not_called_stuck():
    rows = [row("AE", d, e, architecture="dense", base_channels=None) for d, e in ((1, 0.009), (2, 0.008), (10, MEAN))]
    said = verdicts(initialisation_claims(rows))
    assert set(said.values()) == {NOT_TRAINED, MEASURED}


def test_a_cell_with_one_untrained_seed_is_no_mean_over_the_others():
    rows = [row("AE", d, e, seed=s) for d, e in ((1, 0.03), (2, 0.02), (3, 0.04)) for s in (0, 1, 2)]
    assert depth_claims(rows)[0].verdict == REPRODUCED
    rows[-1] |= {"train_error": MEAN}
    assert depth_claims(rows)[0].verdict == NOT_TRAINED


def test_residual_claims_wait_for_cells_that_were_not_trained():
    cells = {(1, 2): 0.04, (1, 3): 0.03, (2, 2): 0.03, (2, 3): 0.11}
    claims = residual_claims(
        [
            row("AE", b, e, block_depth=c, architecture="residual", dataset="svhn 1.0.0", mean_predictor_error=0.1)
            for (b, c), e in cells.items()
        ]
    )
    assert [claim.verdict for claim in claims] == [NOT_TRAINED] * 3
    assert "not trained: AE on svhn, (b, c) (2, 3)" in claims[0].evidence


def gammas(errors):
    return [
        row("VAE", 2, e, gamma_mode="fixed", gamma_start=g, gamma=g, active_units=n, affine_active_units=n)
        for g, (e, n) in errors.items()
    ]


def test_a_mean_predictor_that_gamma_alone_has_made_is_a_collapse():
    pruned = gammas({0.1: (0.02, 40), 1.0: (0.03, 10), 30.0: (1.002 * MEAN, 0)})
    assert not_trained(pruned) == []
    assert gamma_claims(pruned)[2].verdict == REPRODUCED  # Proposition 2
    never = gammas({0.1: (1.001 * MEAN, 0), 30.0: (1.002 * MEAN, 0)})
    assert len(not_trained(never)) == 2
    assert {claim.verdict for claim in gamma_claims(never)} == {NOT_TRAINED, NOT_RUN}
    lost = gammas({0.1: (0.02, 40), 30.0: (1.2 * MEAN, 0)})  # it has not even found the mean
    assert [each["gamma_start"] for each in not_trained(lost)] == [30.0]
    stuck = gammas({0.1: (0.02, 40), 0.3: (1.002 * MEAN, 0), 1.0: (0.03, 20), 30.0: (0.05, 3)})
    assert [each["gamma_start"] for each in not_trained(stuck)] == [0.3]  # a larger gamma keeps units
    assert gamma_claims(stuck)[2].verdict == NOT_TRAINED
    other = [row | {"beta": 50.0 if row["gamma_start"] > 1 else 1.0} for row in pruned]
    assert [each["gamma_start"] for each in not_trained(other)] == [30.0]  # beta may have done it
    reversed_ = gammas({0.1: (1.002 * MEAN, 0), 30.0: (0.02, 40)})  # a smaller gamma prunes less, not more
    assert [each["gamma_start"] for each in not_trained(reversed_)] == [0.1]


def test_gamma_claims_on_a_part_of_the_grid_wait_for_the_rest():
    rows = gammas({0.1: (0.02, 40), 1.0: (0.03, 10), 30.0: (1.002 * MEAN, 0)})
    rows += [row | {"depth": 3} for row in rows]
    assert [claim.verdict for claim in gamma_claims(rows)][:4] == [REPRODUCED] * 4
    absent = rows[2] | {"run_id": "absent", "depth": 4, "status": "unfinished"}
    absent |= dict.fromkeys(("train_error", "active_units", "affine_active_units", "gamma"))
    claims = gamma_claims([*rows, absent])
    assert [claim.verdict for claim in claims][:4] == [NOT_RUN] * 4
    assert "not run: VAE depth 4; 6 of 7 runs are there" in claims[0].evidence


def test_what_is_decided_over_a_whole_table_holds_in_its_parts():
    """A depth study at two fixed gammas is judged apart, and the larger one's twins are in the other part."""
    rows = [
        row("VAE", d, e, gamma_mode="fixed", gamma_start=g, gamma=g, run_id=f"{d}-{g}", active_units=n)
        | {"objective": f"VAE (gamma {g:g})"}
        for g, errors, n in ((0.001, (0.02, 0.03), 40), (10.0, (1.001 * MEAN, 1.002 * MEAN), 0))
        for d, e in enumerate(errors, start=1)
    ]
    study = load_study("fig1_left")
    assert [len(part) for part in study.parts(rows).values()] == [2, 2]
    page = markdown(report.page("fig1_left", study, rows))
    assert "not trained" not in page


@pytest.mark.parametrize("study", ["fig1_left", "fig1_right", "fig2", "gamma", "initialisation"])
def test_the_rule_does_not_depend_on_a_study_s_own_claims(study):
    """A study's claims that do not ask for it are judged on trained networks all the same."""
    import dataclasses

    from tfcollapse.studies.study import judge

    seen = []
    careless = dataclasses.replace(load_study(study), claims=lambda rows: seen.append(rows) or [])
    judge(careless, [row("AE", 1, 0.01, block_depth=2), row("AE", 2, MEAN, block_depth=2)])
    assert [each["train_error"] for each in seen[-1]] == [0.01, None]


def test_page_and_figure_mark_what_was_not_trained():
    rows = table((0.043, 0.038, 0.08), (0.044, 0.039, 0.05))
    page = markdown(report.page("fig1_middle", load_study("fig1_middle"), rows))
    assert "| AE | 3 | 1 | 0.08 (not trained) |" in page
    assert "| VAE | 3 | 1 | 0.05 |" in page
    assert "not trained (error not below 95% of the mean predictor's): AE depth 3" in page
    (caption,) = depth_figure(rows).texts
    assert "not trained (error not below 95% of the mean predictor's): AE depth 3" in caption.get_text()


@pytest.mark.parametrize("depth", [1, 2])
def test_a_shape_needs_every_depth_of_the_table(depth):
    rows = table((0.043, 0.038, 0.05), ())
    rows[depth - 1] |= {"status": "unfinished", "train_error": None}
    claim = depth_claims(rows)[0]
    assert claim.verdict == NOT_RUN
    assert f"; not run: AE depth {depth}; 2 of 3 runs are there" in claim.evidence
