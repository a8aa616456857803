"""Test what blame advises from the study of countermeasures: the arms that helped, with the line to paste."""

import numpy as np
import pytest
from processes import ROOT
from test_countermeasures_study import RISING, row, table
from test_verdict import measurements

from tfcollapse.config.declaration import Network, Run, Training
from tfcollapse.config.overrides import configured
from tfcollapse.diagnosis import countermeasures
from tfcollapse.diagnosis.blame.advice import BUILD_REMEDIES, next_step
from tfcollapse.diagnosis.blame.arms import AE, SHALLOW_AE, SHALLOW_VAE, Arm
from tfcollapse.diagnosis.blame.arms import VAE as ITSELF
from tfcollapse.diagnosis.blame.verdict import Arms, judge
from tfcollapse.diagnosis.verdict import decide

SHALLOW = [row({}, 0.005, depth=2), row({}, 0.006, 64, depth=2)]


SHORT = Run(training=Training(steps=SHALLOW[0]["steps"]))


def helped(rows):
    return [(one.name, one.arguments(SHORT)) for one in countermeasures.helpful(rows)]


def test_what_keeps_half_of_the_lost_units_with_a_smaller_error_has_helped():
    errors = [0.02, 0.019, 0.018, 0.017, 0.021, 0.016, 0.015]  # the plain one first
    rows = table(errors, [4, 33, 34, 64, 64, 10, 64])
    assert helped(rows) == []  # without shallow networks it is not known how many units were lost
    assert helped([*rows, *SHALLOW]) == [
        ("layer norm", "--set network.norm=layer"),
        ("epsilon 1e-12", "--set training.epsilon=1e-12"),
        ("orthogonal start", "--set network.initializer=orthogonal"),  # 4 + 60 / 2
    ]
    floor = {"objective": "VAE + KL floor", "kl_constraint": "floor", "kl_nats": 0.2}
    assert helped([*rows, *SHALLOW, row({}, 0.03, 64, **floor)])[0] == (
        "KL floor",
        "--set objective.kl_constraint=floor --set objective.kl_nats=0.2",
    )


def test_untrained_and_missing_arms_have_not_helped():
    rows = table(RISING, [4, 64, 64, 64, 64, 64, 64])
    assert helped([*rows, *SHALLOW]) == []  # all errors are larger than the plain one's
    falling = [*table([0.012, 0.0105], [4, 64]), *SHALLOW]
    assert [name for name, _ in helped(falling)] == ["he_normal start"]
    of_he = {"initializer": "he_normal"}.items()
    untrained = [r | {"mean_predictor_error": 0.011} if of_he <= r.items() else r for r in falling]
    assert helped(untrained) == []
    assert helped([r for r in falling if of_he <= r.items() or r["depth"] == 2]) == []  # without a plain one


def test_the_packaged_table_is_the_one_of_the_study_and_its_settings_can_be_pasted():
    assert countermeasures.TABLE.read_text() == (ROOT / "results/countermeasures/countermeasures.csv").read_text(), (
        "cp results/countermeasures/countermeasures.csv tfcollapse/diagnosis/"
    )
    found = countermeasures.helpful(countermeasures.read_table(countermeasures.TABLE))
    assert found
    for one in found:
        run = configured(None, [text.strip() for text in one.arguments(Run()).split("--set ") if text])
        assert run != Run()
        assert one.name in countermeasures.advice(Run(), own_model=False) or one not in found[:3]
    assert all(one.in_keras(Run()) for one in found)


def test_what_the_run_has_already_is_not_named_and_steps_keep_their_share():
    lead = {"encoder_ahead": 2 * SHALLOW[0]["steps"] // 5}
    rows = [*table([0.02, 0.015], [4, 64]), row(lead, 0.009), row(lead, 0.01, 64), *SHALLOW]
    ahead, start = countermeasures.helpful(rows)
    assert (ahead.name, start.name) == ("encoder ahead", "he_normal start")
    assert ahead.arguments(Run(training=Training(steps=1_000))) == "--set training.encoder_ahead=400"
    assert ahead.is_in(Run(training=Training(encoder_ahead=1)))
    assert not start.is_in(Run())
    assert start.is_in(Run(network=Network(initializer="he_normal", depth=10)))
    own = countermeasures.helpful(countermeasures.read_table(countermeasures.TABLE))[0]
    has = configured(None, [text.strip() for text in own.arguments(Run()).split("--set ") if text])
    assert f"'{own.name}' kept" in countermeasures.advice(has, own_model=True)
    assert f"'{own.name}' kept" not in countermeasures.advice(has, own_model=False)


def test_an_error_that_one_seed_may_have_by_chance_is_no_help():
    assert helped([*table([0.02, 0.0199], [4, 64]), *SHALLOW]) == []


@pytest.mark.parametrize("own_model", [False, True])
def test_blame_says_how_to_keep_the_depth_where_a_shallower_network_is_what_helps(own_model):
    run = Run(network=Network(depth=10))
    bad, good = {"v": 60, "active": 4}, {"active": 64}
    arms = [Arm(ITSELF, 0.03, 0.03, 4, 9.0, bad), Arm(AE, 0.029), Arm(SHALLOW_VAE, 0.01, 0.01, 64, 60.0, good)]
    arms.append(Arm(SHALLOW_AE, 0.009))
    findings = judge(arms, 0.01, 0.09, objective=run.objective, untested={})
    compared = Arms(arms, 0.01, 0.09)
    remedies = BUILD_REMEDIES if own_model else {arm.name: "`a command`" for arm in arms}
    verdicts = {SHALLOW_VAE: decide(measurements(dead=0))}
    said = next_step(findings, compared, run, remedies, verdicts)
    assert said.startswith("train as the arm 'shallower VAE'")
    how = "" if own_model else ", add one of these to your own settings"
    assert said.endswith(f". To keep the depth{how}: {countermeasures.advice(run, own_model=own_model)}")
    assert ("--set network" in said) != own_model
    assert "the diagnosis of that arm" not in said
    high = next_step(findings, compared, run, remedies, {SHALLOW_VAE: decide(measurements(dead=0, error=0.05))})
    assert "; the diagnosis of that arm says: in use, but the loss is too high. To keep" in high
    convolutional = Run(network=Network(architecture="convolutional", depth=3))
    if not own_model:
        assert "To keep the depth" not in next_step(findings, compared, convolutional, remedies, {})


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({}, "nothing to mend; `tfcollapse diagnose` says what its dead units are"),
        ({"error": 0.05}, "in use, but the loss is too high; next: train longer, unless"),
        (
            {"mean_residual_share": 0.5},
            "not trained yet; next: if these are the data of the training, in its scale, train longer",
        ),
    ],
)
def test_blame_says_what_is_wrong_with_a_vae_without_a_collapse(facts, said):
    vae = Arm(ITSELF, 0.01, 0.01, 2, 9.0, {"active": 2})
    verdicts = {ITSELF: decide(measurements(dead=0, **facts))}
    assert said in next_step([], Arms([vae], 0.01, 0.09), Run(), BUILD_REMEDIES, verdicts)


def test_a_superfluous_unit_beside_a_high_loss_is_said_of_the_arm_too():
    facts = {"data_eigenvalues": np.array([0.5, 0.2, 0.001]), "residual": (0.001,), "error": 0.05}
    verdict = decide(measurements(dead=1, **facts))
    assert (verdict.category, verdict.reservation) == ("i", "the loss is too high")
    bad = Arm(ITSELF, 0.03, 0.03, 4, 9.0, {"v": 60, "active": 4})
    arms = [bad, Arm(AE, 0.029), Arm(SHALLOW_AE, 0.009), Arm(SHALLOW_VAE, 0.01, 0.01, 64, 60.0, {"active": 63, "i": 1})]
    findings = judge(arms, 0.01, 0.09, objective=Run().objective, untested={})
    said = next_step(findings, Arms(arms, 0.01, 0.09), Run(), BUILD_REMEDIES, {SHALLOW_VAE: verdict})
    assert "; the diagnosis of that arm says: in use, but the loss is too high" in said


def test_a_diagnosis_of_units_that_are_stuck_names_what_kept_them_elsewhere():
    said = decide(measurements(residual=(0.1, 0.1))).next_step
    first = countermeasures.helpful(countermeasures.read_table(countermeasures.TABLE))[0]
    assert f"is to blame ('{first.name}'" in said
    assert "10, fashion_mnist, 20,000 steps: results/countermeasures): tfcollapse" in said
