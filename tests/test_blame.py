"""Who is to blame: the rules on arms made up, and the experiment itself, trained."""

import html
import json
import math
import re
import shutil
import types

import keras
import numpy as np
import pytest
from keras import layers

import tfcollapse as tc
from tfcollapse.cli.main import main
from tfcollapse.cli.python_file import function_in_file
from tfcollapse.config.overrides import configured, replace
from tfcollapse.diagnosis.blame.advice import arm_lines, next_step
from tfcollapse.diagnosis.blame.arms import (
    AE,
    CLOSED_GAMMA,
    EPSILON_AE,
    HE_AE,
    HE_VAE,
    LONG_AE,
    LONG_VAE,
    SHALLOW_AE,
    SHALLOW_VAE,
    SUSPECTS,
    UNWEIGHTED,
    VAE,
    WARMUP,
    Arm,
    arms_of,
    command,
    twin_of,
    untested,
)
from tfcollapse.diagnosis.blame.experiment import BLAME, Blame, keep
from tfcollapse.diagnosis.blame.layer_gains import LayerGain
from tfcollapse.diagnosis.blame.progress_lines import ProgressLines
from tfcollapse.diagnosis.blame.training import BuildArms
from tfcollapse.diagnosis.blame.user_model import draw_he_start, user_autoencoder
from tfcollapse.diagnosis.blame.verdict import UNTRAINED, Arms, judge
from tfcollapse.diagnosis.taxonomy.case import EIGENVALUES
from tfcollapse.errors import ConfigError
from tfcollapse.figures.blame import blame_figure
from tfcollapse.records.files import read_json
from tfcollapse.reports import blame_page
from tfcollapse.theory.known_images import known_images
from tfcollapse.training.progress import Progress

PCA, MEAN = 0.01, 0.08


def verdicts(*arms, **known):
    return {each.suspect: each.verdict for each in judge(arms, PCA, MEAN, **known)}


def vae(name, error, active, **dead):
    """A VAE of 8 units at gamma = its error."""
    return Arm(name, error, error, active, float(active), {"active": active, **dead})


DEEP = vae(VAE, 0.05, 2, v=6)


@pytest.mark.parametrize(
    ("arms", "expected"),
    [
        ([DEEP, Arm(AE, 0.04)], {"autoencoder base": "responsible", "KL weight": "not tested", "start": "not tested"}),
        ([DEEP, Arm(AE, 0.0105)], {"autoencoder base": "cleared"}),
        # Worse than PCA, but far better than the VAE: it does not explain the collapse.
        ([DEEP, Arm(AE, 0.02)], {"autoencoder base": "cleared"}),
        (
            [DEEP, Arm(AE, 0.04), Arm(SHALLOW_AE, 0.02), vae(SHALLOW_VAE, 0.02, 8)],
            {"autoencoder base": "responsible"},
        ),
        # The shallower one is no better, or collapses as much: depth is not it.
        ([DEEP, Arm(AE, 0.04), Arm(SHALLOW_AE, 0.038), vae(SHALLOW_VAE, 0.05, 8)], {"autoencoder base": "cleared"}),
        ([DEEP, Arm(AE, 0.04), Arm(SHALLOW_AE, 0.02), vae(SHALLOW_VAE, 0.05, 3, v=5)], {"autoencoder base": "cleared"}),
        # More than half of the units stay idle. Half of the error above PCA's relieves too: 0.01 is left of 0.04.
        (
            [DEEP, Arm(AE, 0.04), Arm(SHALLOW_AE, 0.02), vae(SHALLOW_VAE, 0.02, 4, v=4)],
            {"autoencoder base": "responsible"},
        ),
        (
            [DEEP, Arm(AE, 0.04), Arm(SHALLOW_AE, 0.02), vae(SHALLOW_VAE, 0.035, 4, v=4)],
            {"autoencoder base": "cleared"},
        ),
        ([DEEP, Arm(AE, 0.04), Arm(SHALLOW_AE, 0.02), vae(SHALLOW_VAE, 0.02, 2, v=6)], {"autoencoder base": "cleared"}),
        # An AE whose error is the mean predictor's was not trained, and neither were shallower networks like that.
        ([DEEP, Arm(AE, 0.079), Arm(SHALLOW_AE, 0.02), vae(SHALLOW_VAE, 0.02, 8)], {"autoencoder base": UNTRAINED}),
        ([DEEP, Arm(AE, 0.04), Arm(SHALLOW_AE, 0.079), vae(SHALLOW_VAE, 0.02, 8)], {"autoencoder base": UNTRAINED}),
        # With a smaller epsilon of Adam the AE is good: epsilon made the error of the AE, and the base is not to blame.
        (
            [DEEP, Arm(AE, 0.04), Arm(EPSILON_AE, 0.02)],
            {"autoencoder base": "cleared", "Adam's epsilon": "responsible"},
        ),
        (
            [DEEP, Arm(AE, 0.04), Arm(EPSILON_AE, 0.038)],
            {"autoencoder base": "responsible", "Adam's epsilon": "cleared"},
        ),
        ([DEEP, Arm(AE, 0.079), Arm(EPSILON_AE, 0.078)], {"Adam's epsilon": UNTRAINED}),
        ([DEEP, Arm(AE, 0.01), vae(WARMUP, 0.02, 7, v=1)], {"KL weight": "responsible"}),
        ([DEEP, Arm(AE, 0.01), vae(WARMUP, 0.05, 3, v=5)], {"KL weight": "cleared"}),
        (
            [DEEP, Arm(AE, 0.01), vae(WARMUP, 0.05, 3, ii=5), vae(UNWEIGHTED, 0.01, 8)],
            {"KL weight": "responsible"},
        ),
        ([DEEP, Arm(AE, 0.01), vae(CLOSED_GAMMA, 0.02, 8)], {"gamma": "responsible"}),
        (
            [DEEP, Arm(AE, 0.01), vae(HE_VAE, 0.02, 8), Arm(HE_AE, 0.01)],
            {"start": "responsible", "budget": "not tested"},
        ),
        ([DEEP, Arm(AE, 0.01), vae(HE_VAE, 0.05, 3, v=5), Arm(HE_AE, 0.01)], {"start": "cleared"}),
        # The start may have left the network untrained: then it was not tried.
        ([DEEP, Arm(AE, 0.01), vae(HE_VAE, 0.08, 0, v=8), Arm(HE_AE, 0.079)], {"start": UNTRAINED}),
        ([DEEP, Arm(AE, 0.01), Arm(HE_VAE, math.inf), Arm(HE_AE, math.inf)], {"start": UNTRAINED}),
        # It is worse than the mean predictor: it has not even found the mean.
        ([DEEP, Arm(AE, 0.01), vae(HE_VAE, 0.2, 0, v=8), Arm(HE_AE, 0.01)], {"start": UNTRAINED}),
        # All units are dead, and the AE of the same start was trained: it is the VAE that collapses.
        ([DEEP, Arm(AE, 0.01), vae(HE_VAE, 0.08, 0, v=8), Arm(HE_AE, 0.01)], {"start": "cleared"}),
        ([DEEP, Arm(AE, 0.01), vae(LONG_VAE, 0.02, 8), Arm(LONG_AE, 0.01)], {"budget": "responsible"}),
        ([DEEP, Arm(AE, 0.01), vae(LONG_VAE, 0.05, 2, v=6), Arm(LONG_AE, 0.01)], {"budget": "cleared"}),
        ([vae(VAE, 0.05, 2, iv=6), Arm(AE, 0.01)], {"decoder": "responsible"}),
        # Nothing has collapsed, so nobody is acquitted either.
        ([vae(VAE, 0.05, 2, i=6), Arm(AE, 0.01)], dict.fromkeys(SUSPECTS, "not tested")),
    ],
)
def test_each_suspect_is_judged_by_its_own_arm(arms, expected):
    found = verdicts(*arms)
    assert list(found) == list(SUSPECTS)
    assert {name: found[name] for name in expected} == expected


@pytest.mark.parametrize(("longer", "said"), [(0.0095, "0.0095"), (0.008, "0.008, so it was still learning")])
def test_an_ae_that_was_still_learning_is_called_so(longer, said):
    base, *_ = judge([DEEP, Arm(AE, 0.01), vae(LONG_VAE, 0.05, 2, v=6), Arm(LONG_AE, longer)], PCA, MEAN)
    assert base.evidence.endswith(f"with twice the steps the AE {said}")


def test_a_learned_gamma_that_has_not_arrived_is_the_budget_s_fault():
    learned, late = tc.Objective(gamma="learned"), Arm(VAE, 0.05, 0.89, 6, 1.0, {"active": 6, "v": 2})
    assert verdicts(late, Arm(AE, 0.01), objective=learned)["budget"] == "responsible"
    assert verdicts(late, Arm(AE, 0.01))["budget"] == "not tested"  # gamma was set, not learned
    # eq. (10) does not know beta, and `Arm.gamma` is gamma times beta: 0.89 / 10 is less than twice 0.05.
    weighted = tc.Objective(gamma="learned", beta=10.0)
    assert verdicts(late, Arm(AE, 0.01), objective=weighted)["budget"] == "not tested"
    (finding,) = (
        each
        for each in judge([late, vae(CLOSED_GAMMA, 0.01, 8)], PCA, MEAN, objective=learned)
        if each.suspect == "budget"
    )
    assert finding.evidence.startswith("the learned gamma has not arrived: it is 0.89, 17.8 times the error 0.05")
    assert finding.remedy == CLOSED_GAMMA
    # What to do is what the objective can be given: several samples have no gamma in closed form.
    for samples, closed in ((1, True), (5, False)):
        run = tc.Run(objective=tc.Objective(importance_samples=samples))
        advice = next_step([], Arms([late, Arm(AE, 0.01)], PCA, MEAN), run, {}, {})
        assert ("objective.gamma=optimal" in advice, advice.endswith(" steps")) == (closed, True)
    # It counts too where no unit is dead yet.
    whole = Arm(VAE, 0.05, 0.89, 8, 1.0, {"active": 8})
    assert verdicts(whole, Arm(AE, 0.01), objective=learned)["budget"] == "responsible"


def test_the_arms_of_a_run():
    deep = tc.Run(
        network=tc.Network(depth=10), objective=tc.Objective(gamma="optimal"), training=tc.Training(steps=1_000)
    )
    found = arms_of(deep)
    assert list(found) == [VAE, AE, SHALLOW_AE, SHALLOW_VAE, WARMUP, HE_VAE, HE_AE, LONG_VAE, LONG_AE, EPSILON_AE]
    assert found[WARMUP].objective.warmup_steps == 400
    assert {name for name, each in found.items() if each.network.depth != 10} == {SHALLOW_AE, SHALLOW_VAE}
    assert found[SHALLOW_VAE].network.depth == found[SHALLOW_AE].network.depth == 2
    assert {name for name, each in found.items() if each.network.initializer == "he_normal"} == {HE_VAE, HE_AE}
    # The learning rate is halved at the same share of the steps.
    long = found[LONG_VAE].training
    assert (long.steps, long.halve_every) == (2_000, 2 * deep.training.halve_every)
    assert found[EPSILON_AE].training.epsilon == 1e-12
    assert all(each.seed == deep.seed for each in found.values())
    assert {name for name, each in found.items() if each.objective.kind == "ae"} == {
        AE,
        SHALLOW_AE,
        HE_AE,
        LONG_AE,
        EPSILON_AE,
    }
    assert arms_of(deep, shallower=5)[SHALLOW_VAE].network.depth == 5


def test_an_arm_that_would_change_nothing_is_left_out_and_the_reason_is_said():
    fixed = arms_of(tc.Run(network=tc.Network(depth=1), objective=tc.Objective(gamma="fixed", beta=2.0)))
    assert {UNWEIGHTED, CLOSED_GAMMA} <= set(fixed)
    assert SHALLOW_VAE not in fixed
    assert (fixed[UNWEIGHTED].objective.gamma, fixed[UNWEIGHTED].objective.beta) == ("fixed", 1.0)
    assert (fixed[CLOSED_GAMMA].objective.gamma, fixed[CLOSED_GAMMA].objective.beta) == ("optimal", 2.0)
    declared = tc.Run(
        network=tc.Network(initializer="he_uniform"),
        objective=tc.Objective(gamma="optimal", warmup="kl"),
        training=tc.Training(epsilon=1e-12),
    )
    assert not {WARMUP, CLOSED_GAMMA, HE_VAE, HE_AE, EPSILON_AE} & set(arms_of(declared))
    assert set(untested(declared)) == {"autoencoder base", "gamma", "start", "Adam's epsilon", "KL weight"}
    with pytest.raises(ConfigError, match="received an AE"):
        arms_of(tc.Run(objective=tc.Objective(kind="ae")))


@pytest.mark.parametrize("depth", [3, 4, 99])
def test_a_shallower_depth_must_be_smaller(depth):
    with pytest.raises(ConfigError, match="--shallower: expected a depth from 0 to 2"):
        arms_of(tc.Run(network=tc.Network(depth=3)), shallower=depth)


def test_the_command_of_an_arm_declares_that_arm():
    run = tc.Run(data=tc.Data(name="fashion_mnist_mini", crop=(1, 27, 1, 27)), training=tc.Training(steps=50), seed=3)
    for arm in arms_of(run).values():
        texts = command(arm).split(" --set ")
        assert texts.pop(0) == "tfcollapse train"
        assert configured(None, texts) == arm


SETTINGS = {
    "data.name": "fashion_mnist_mini",
    "data.train": 1_000,
    "data.test": 100,
    "network.depth": 16,
    "network.width": 32,
    "network.latent_dim": 16,
    "objective.gamma": "optimal",
    "training.steps": 300,
    "training.halve_every": 150,
    "training.learning_rate": 1e-3,
    "training.log_every": 50,
    "training.evaluate_every": 300,
    "training.checkpoint_every": 300,
    "training.jit": "off",  # XLA would compile ten networks for longer than they are trained
}


@pytest.mark.slow
def test_a_network_that_is_too_deep_is_blamed_on_its_autoencoder(tmp_path, capsys):
    settings = [part for name, value in SETTINGS.items() for part in ("--set", f"{name}={value}")]
    arguments = ["blame", "--out", str(tmp_path), *settings]
    assert main([*arguments, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    verdict = {each["suspect"]: each["verdict"] for each in found["findings"]}
    assert verdict["autoencoder base"] == "responsible"
    assert verdict["gamma"] == "not tested"
    assert len(found["responsible"]) >= 1
    assert found["headline"].startswith("Responsible: the autoencoder base")
    arms = {arm["name"]: arm for arm in found["arms"]}
    assert arms[AE]["error"] > 1.5 * arms[SHALLOW_AE]["error"]
    assert arms[VAE]["counts"]["v"] > 0
    ends = {name: gains[-1]["signal"] / gains[0]["signal"] for name, gains in found["starts"].items()}
    assert ends[VAE] < 0.01 * ends[SHALLOW_VAE]
    runs = sorted(path.name for path in tmp_path.iterdir())
    assert len(runs) == 10
    (answer,) = tmp_path.glob(f"*/{BLAME}")
    kept = read_json(answer)
    assert {name: kept[name] for name in ("headline", "findings")} == {n: found[n] for n in ("headline", "findings")}
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*/result.json")}
    assert main(arguments) == 0  # nothing is trained again
    assert {path: path.stat().st_mtime_ns for path in tmp_path.glob("*/result.json")} == before
    printed = capsys.readouterr().out
    assert "10 trainings, all of them done" in printed
    assert "autoencoder base: responsible" in printed


BUILDER = """
import keras
from keras import layers

def build(seed):
    keras.utils.set_random_seed(seed)
    images = keras.Input((4, 4, 1))
    hidden = layers.Dense(32, activation="relu")(layers.Flatten()(images))
    latents = keras.Input((3,))
    output = layers.Reshape((4, 4, 1))(layers.Dense(16)(latents))
    return keras.Model(images, [layers.Dense(3)(hidden), layers.Dense(3)(hidden)]), keras.Model(latents, output)
"""


def build_arguments(tmp_path, **settings):
    """Arguments of a blame of the architecture above on 16 numbers of a known spectrum, in arms of 1,000 steps."""
    (tmp_path / "theirs.py").write_text(BUILDER)
    np.save(tmp_path / "images.npy", known_images(EIGENVALUES, 0, 1_024))
    chosen = {"training.steps": 1_000, "training.learning_rate": 5e-3, "training.halve_every": 300} | settings
    pairs = [part for name, value in chosen.items() for part in ("--set", f"{name}={value}")]
    built = ["--build", f"{tmp_path / 'theirs.py'}:build", "--data", str(tmp_path / "images.npy")]
    return ["blame", *built, "--out", str(tmp_path / "out"), *pairs]


def test_a_stranger_s_architecture_with_a_gamma_too_large(tmp_path, capsys):
    arguments = build_arguments(tmp_path, **{"objective.gamma": "fixed", "objective.gamma_start": 0.5})
    assert main([*arguments, "--json"]) == 0
    output = capsys.readouterr()
    found = json.loads(output.out)
    assert {each["suspect"]: each["verdict"] for each in found["findings"]} == {
        "autoencoder base": "cleared",
        "KL weight": "cleared",
        "gamma": "responsible",
        "decoder": "cleared",
        # He's start is too large for so short a training: its error is twice the mean predictor's.
        "start": UNTRAINED,
        "budget": "cleared",
        "Adam's epsilon": "cleared",
    }
    arms = {arm["name"]: arm for arm in found["arms"]}
    assert arms[VAE]["counts"] == {"active": 0, "ii": 3}
    assert arms[CLOSED_GAMMA]["counts"] == {"active": 3}
    assert [gain["part"] for gain in found["starts"][VAE]] == ["encoder", "encoder", "decoder"]
    assert found["headline"] == "Responsible: gamma (the decoder variance)."
    assert 'tfcollapse.Objective(gamma="optimal")' in found["next_step"]
    assert re.search(r"\n9 trainings: about \d+m\d\ds of training", output.err)
    # A second call finds all arms, trains none, and writes the page with its figure.
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()}
    assert len(kept) == 9
    assert main([*arguments, "--page", str(tmp_path / "page.md")]) == 0
    printed = capsys.readouterr().out
    assert "9 trainings, all of them done" in printed
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()} == kept
    assert (tmp_path / "page.png").stat().st_size > 10_000
    page = (tmp_path / "page.md").read_text()
    assert "![" in page
    assert "(page.png)" in page


def their_build():
    names = {}
    exec(BUILDER, names)
    return names["build"]


def test_numbers_of_any_range_are_trained_as_they_are():
    images = known_images(EIGENVALUES, 0, 512) / 255
    training = tc.Training(steps=1_500, learning_rate=5e-3, halve_every=500)

    def flat(seed):
        encoder, decoder = their_build()(seed)
        named = dict(zip(("mu", "log_var"), encoder.outputs, strict=True))
        return keras.Model(encoder.inputs, named), keras.Model(decoder.inputs, layers.Flatten()(decoder.outputs[0]))

    found = tc.blame_build(flat, 20 * images - 10, training=training)
    mean = np.mean(np.square(20 * (images - images.mean(0))))
    assert found.mean_predictor_error == pytest.approx(mean, rel=1e-4)
    assert found.arms[0].error < 0.5 * mean
    assert found.arms[0].gamma == pytest.approx(found.arms[0].error, rel=0.05)
    assert [arm.name for arm in found.arms] == [VAE]
    assert found.headline == "Nobody is to blame: 3 units are in use, and no idle one is missed."


def test_a_record_is_found_again_by_all_that_decides_its_numbers(tmp_path):
    images, run = known_images(EIGENVALUES, 0, 64), tc.Run(network=tc.Network(latent_dim=3))

    def place(code=BUILDER, run=run, images=images):
        (tmp_path / "theirs.py").write_text(code)
        build = function_in_file("--build", f"{tmp_path / 'theirs.py'}:build")
        return BuildArms({VAE: run}, {VAE: build}, images, tmp_path).where(VAE)

    assert place() == place()
    others = [
        place(BUILDER.replace("32", "33")),
        place(run=replace(run, {"seed": 1})),
        place(run=replace(run, {"objective.gamma": "optimal"})),
        place(images=images[::-1]),
    ]
    assert len({place(), *others}) == 5


def test_progress_is_said_at_most_every_ten_seconds_and_leaves_compilation_out(monkeypatch):
    clock = iter([0.0, 100.0, 101.0, 103.0, 104.0, 114.0])  # the first row ends at 100 s, as it compiles
    monkeypatch.setattr("tfcollapse.diagnosis.blame.progress_lines.time.monotonic", lambda: next(clock))
    run = tc.Run(training=tc.Training(steps=1_000))
    trainer = types.SimpleNamespace(
        runs={VAE: run, AE: run}, steps_left=lambda name: 1_000, cost=lambda name: 1.0, where=lambda name: "here"
    )
    said = []
    lines = ProgressLines(trainer, said.append)
    lines.begin(VAE)
    for step in (100, 200, 400, 500, 600):
        lines.update(Progress("", step, 1_000, 1.0, 0.05, None, None))
    assert said[0] == "[1/2] VAE: 1,000 steps  here"
    # 100 steps in the second from 100 s to 101 s; 500 steps in the 14 s from 100 s to 114 s.
    assert said[1:] == [
        "    step 200 of 1,000, 100 steps/s, error 0.05; 0m08s left, 0m18s for all arms",
        "    step 600 of 1,000, 35.7 steps/s, error 0.05; 0m11s left, 0m39s for all arms",
    ]


@pytest.mark.parametrize("log_every", [5, 20])
def test_gamma_in_closed_form_is_the_error_at_the_end_and_no_mean_over_the_last_row(log_every):
    every = {"log_every": log_every, "evaluate_every": 20, "checkpoint_every": 20}
    training = tc.Training(steps=20, learning_rate=5e-3, **every)
    run = tc.Run(objective=tc.Objective(gamma="optimal"), network=tc.Network(latent_dim=3), training=training)
    arms = BuildArms({VAE: run}, {VAE: their_build()}, known_images(EIGENVALUES, 0, 4_096), None)
    arm, _ = arms.train(VAE, lambda progress: None)
    assert arm.gamma == pytest.approx(arm.error, rel=0.02)


def test_he_s_start_has_the_variance_two_over_fan_in():
    encoder, decoder = their_build()(0)
    biases = [weight for weight in encoder.weights if weight.name == "bias"]
    biases[0].assign(biases[0] + 1.0)
    assert draw_he_start(encoder, decoder, 0) == 4
    # 16 x 32 draws: the standard error of their variance is sqrt(2 / 512) = 6% of it.
    assert np.var(encoder.layers[-3].kernel) == pytest.approx(2 / 16, rel=0.2)
    assert np.all(biases[0].numpy() == 1.0)


@pytest.mark.slow
def test_a_beta_too_large_is_the_kl_weight_s_fault():
    found = tc.blame_build(
        their_build(),
        known_images(EIGENVALUES, 0, 1_024),
        objective=tc.Objective(gamma="optimal", beta=30.0),
        training=tc.Training(steps=1_000, learning_rate=5e-3, halve_every=300),
    )
    assert found.responsible == ["KL weight"]
    assert {each.suspect: each.verdict for each in found.findings}["gamma"] == "not tested"
    assert found.diagnoses[UNWEIGHTED].verdict.categories == ("healthy",)


@pytest.mark.parametrize("kind", ["reads the images too", "has variances of its own"])
def test_a_decoder_that_eq_4_does_not_train_is_refused_in_one_line(kind):
    def build(seed):
        encoder, plain = their_build()(seed)
        if kind == "reads the images too":
            return encoder, lambda z, x: plain(z)
        return encoder, lambda z: (plain(z), plain(z))

    with pytest.raises(ConfigError, match=f"received one that {kind}"):
        tc.blame_build(build, known_images(EIGENVALUES, 0, 64))


MISTAKES = """
def none():
    return build(0)

def fails(seed):
    return {}["encoder"]

def one(seed):
    return keras.Sequential([keras.Input((4, 4, 1))])

def three(seed):
    return *build(seed), None

def plain(seed):
    encoder, decoder = build(seed)
    return encoder, lambda z: decoder(z)

def sigma(seed):
    encoder, decoder = build(seed)
    mean, other = encoder.outputs
    return keras.Model(encoder.inputs, {"mu": mean, "sigma": layers.Activation("softplus")(other)}), decoder

ONCE = build(0)
def same(seed):
    return ONCE
"""
SMALL = ["--data", "images.npy", "--set", "training.steps=10"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--build", "nowhere.py:build"], "--build 'nowhere.py': there is no such file"),
        (["--build", "theirs.py"], "expected FILE.py:FUNCTION"),
        (["--build", "raises.py:build"], "--build: 'raises.py' cannot be imported: ZeroDivisionError"),
        (["--set", "objective.kind=ae"], "received an AE"),
        (["--config", "nowhere.json"], "--config 'nowhere.json'"),
        (["--set", "network.depht=2"], "depth"),
        (
            ["--build", "theirs.py:build", "--set", "network.depth=3"],
            "--set network.depth=3: expected no setting of the",
        ),
        (
            ["--build", "theirs.py:none", *SMALL],
            "build: expected a function of one argument, the seed, received none()",
        ),
        (["--build", "theirs.py:fails", *SMALL], "build: expected two Keras models from the seed 0, received KeyError"),
        (["--build", "theirs.py:one", *SMALL], "expected two Keras models (encoder, decoder), received Sequential"),
        (["--build", "theirs.py:three", *SMALL], "expected two Keras models (encoder, decoder), received 3 objects"),
        (["--build", "theirs.py:plain", *SMALL], "expected two Keras models (encoder, decoder), received function for"),
        (["--build", "theirs.py:same", *SMALL], "expected fresh models at every call"),
        (["--build", "theirs.py:build", "--shallower", "2"], "--shallower: expected FILE.py:FUNCTION, received '2'"),
        (["--shallower", "theirs.py:build"], "--shallower: expected a depth, such as 2"),
        (["--shallower", "7", "--set", "network.depth=3"], "--shallower: expected a depth from 0 to 2"),
        (["--data", "mnist"], "--data: expected --build with it"),
        (["--build", "theirs.py:sigma", *SMALL], "and a sigma: return tensors of that kind"),
        (["--build", "theirs.py:build", *SMALL, "--set", "data.train=9"], "--set data.train=9: expected --data or"),
        (["--set", "objective.beta=0"], "expected beta > 0"),
        (["--page", "page.pdf"], "--page: expected FILE.md or FILE.html, received 'page.pdf'"),
    ],
)
def test_bad_questions_are_one_line_and_status_2(tmp_path, capsys, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "raises.py").write_text("1 / 0")
    (tmp_path / "theirs.py").write_text(BUILDER + MISTAKES)
    np.save(tmp_path / "images.npy", known_images(EIGENVALUES, 0, 64))
    assert main(["blame", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_an_encoder_of_one_output_is_refused():
    def build(seed):
        return keras.Sequential([keras.Input((4, 4, 1)), layers.Flatten(), layers.Dense(3)]), lambda z: z

    with pytest.raises(ConfigError, match="mean, log_variance"):
        tc.blame_build(build, known_images(EIGENVALUES, 0, 64))


def test_the_table_names_every_arm():
    rows = blame_page.arm_rows([DEEP, Arm(AE, 0.04), Arm(HE_AE, math.inf)])
    assert rows[0] == [VAE, "0.05", "0.05", "2", "2", "6 (v)"]
    assert rows[1][2:] == ["-", "-", "-", "-"]
    assert rows[2][1] == "diverged"
    assert all(len(row) == len(blame_page.ARMS) for row in rows)


def blamed(*arms):
    gains = [LayerGain("encoder", "first", 0.5, 1.0), LayerGain("decoder", "output", 0.001, 2.0)]
    return Blame(list(arms), {}, {VAE: gains}, judge(arms, PCA, MEAN), PCA, MEAN, "train less, `tfcollapse train`")


def test_a_blame_is_printed_with_who_and_what_to_do_first():
    found = blamed(DEEP, Arm(AE, 0.04), Arm(HE_VAE, math.inf))
    printed = str(found).splitlines()
    assert printed[:2] == [
        "Responsible: the autoencoder base (the depth: without any KL term an AE is about as bad).",
        "Next: train less, `tfcollapse train`.",
    ]
    assert "autoencoder base: responsible" in printed
    assert "start: not tested (not trained)" in printed
    text = str(found)
    assert re.search(r"^VAE +0.05 +62% +0.05 +2 +2  6 .v.$", text, re.M)
    assert re.search(r"^AE twin +0.04 +50% +- +- +-$", text, re.M)
    assert re.search(r"^VAE, He start +diverged +- +- +- +-  not trained$", text, re.M)
    assert re.search(r"^mean predictor +0.08 +100%$", text, re.M)
    untrained = Arm(VAE, 0.2, 0.2, 3, 1.0, {"active": 3, "not trained": 5})
    assert arm_lines(Arms([untrained], 0.01, 0.08))[1].endswith("  5 (not trained)")
    assert re.search(r"^  VAE +0.002$", text, re.M)
    assert max(map(len, printed[2:])) <= 100
    assert found.as_json()["arms"][2] == {
        "name": HE_VAE,
        "error": None,
        "gamma": None,
        "active_units": None,
        "kl": None,
        "counts": {},
        "trained": False,
    }
    json.dumps(found.as_json(), allow_nan=False)


def test_the_answer_stands_on_the_pages_of_the_vae_that_it_is_about(finished, tmp_path, capsys):
    shutil.copytree(finished, tmp_path / finished.name)
    kept = tmp_path / finished.name / BLAME
    found = blamed(DEEP, Arm(AE, 0.04))
    keep(found, kept, "tfcollapse blame")
    said = [found.headline, *(finding.evidence for finding in found.findings)]
    page = tmp_path / "page.html"
    commands = [["diagnose", str(path), "--images", "64", "--html"] for path in (tmp_path, tmp_path / finished.name)]
    commands.append(["report", str(tmp_path), "-o"])
    for words in commands:
        assert main([*words, str(page)]) == 0
        text = html.unescape(page.read_text())
        assert all(sentence in text for sentence in said)
    capsys.readouterr()
    kept.write_text('{"headline": 3}')
    for words in commands:
        assert main([*words, str(page)]) == 2
        assert "blame.json': expected" in capsys.readouterr().err
    kept.unlink()
    assert main([*commands[-1], str(page)]) == 0
    assert "Who is to blame" not in page.read_text()


@pytest.mark.parametrize(
    ("arms", "first"),
    [
        ([vae(VAE, 0.01, 2, i=6), Arm(AE, 0.04)], "Nobody is to blame: 2 units are in use, and no idle one is missed."),
        ([vae(VAE, 0.01, 1, i=7)], "Nobody is to blame: 1 unit is in use, and no idle one is missed."),
        ([DEEP, Arm(AE, 0.01)], "Responsible: none of the suspects. What was tried does not relieve the collapse."),
        ([vae(VAE, 0.08, 0, v=8), Arm(AE, 0.08)], "Nothing can be said yet: the network itself was not trained."),
    ],
)
def test_where_nobody_is_responsible_the_first_line_says_why(arms, first):
    assert blamed(*arms).headline.startswith(first)


def test_the_figure_has_a_bar_for_every_arm_and_those_that_were_not_trained_are_hollow():
    found = blamed(DEEP, Arm(AE, 0.04), vae(HE_VAE, 0.079, 0, v=8), Arm(HE_AE, math.inf))
    figure = blame_figure(blame_page.figure_rows(found), PCA, MEAN, 8, "")
    errors, units = figure.axes
    assert [bar.get_width() for bar in errors.patches] == [0.05, 0.04, 0.079]
    assert [bar.get_width() for bar in units.patches] == [2, 0]
    assert [bar.get_facecolor()[3] for bar in errors.patches] == [1, 1, 0]
    assert [line.get_xdata()[0] for line in errors.lines] == [PCA, MEAN]
    assert [text.get_text() for text in errors.get_yticklabels()] == [VAE, AE, HE_VAE, HE_AE]
    assert "diverged" in [text.get_text() for text in errors.texts]


def test_gamma_is_set_in_closed_form_unless_it_is_declared_or_there_is_no_closed_form():
    from tfcollapse.cli.blame import _declared

    said = []
    assert _declared(None, ["network.depth=4"], said.append).objective.gamma == "optimal"
    assert len(said) == 1
    several = _declared(None, ["objective.importance_samples=5"], said.append).objective
    assert (several.gamma, several.importance_samples, len(said)) == ("learned", 5, 1)
    assert _declared(None, ["objective.gamma_start=0.1"], said.append).objective.gamma == "learned"


def test_a_stranger_s_encoder_is_held_to_the_floor_under_the_kl():
    floor = tc.Objective(gamma="optimal", kl_constraint="floor", kl_nats=0.5)
    run = tc.Run(network=tc.Network(latent_dim=3), objective=floor)
    images = np.random.default_rng(0).normal(size=(64, 4, 4, 1)).astype(np.float32)

    def least_kl(encoder):  # of the variances alone, whatever the means are
        log_variance = np.asarray(encoder(images)[1])
        return (np.exp(log_variance) - log_variance - 1).min() / 2

    assert least_kl(user_autoencoder(their_build(), run, (4, 4, 1)).encoder) > 0.5
    assert least_kl(their_build()(run.seed)[0]) < 0.01
    assert user_autoencoder(their_build(), twin_of(run), (4, 4, 1)).encoder(images).shape == (64, 3)
