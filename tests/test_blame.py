"""Who is to blame: the rules on arms made up, and the experiment itself, trained."""

import json
import re

import keras
import numpy as np
import pytest
from keras import layers

import tfcollapse as tc
from tfcollapse.cli.main import main
from tfcollapse.diagnosis.blame import Blame, arms_of
from tfcollapse.diagnosis.blame_verdict import AE, LEARNED, SHALLOW_AE, SHALLOW_VAE, UNWEIGHTED, VAE, WARMUP, Arm, judge
from tfcollapse.diagnosis.layer_gains import LayerGain
from tfcollapse.diagnosis.taxonomy.cases import EIGENVALUES
from tfcollapse.errors import ConfigError
from tfcollapse.reports import blame_page
from tfcollapse.theory.affine import known_images


def verdicts(*arms):
    return {each.suspect: each.verdict for each in judge(arms, 0.01, 0.08)}


DEEP = Arm(VAE, 0.05, 0.05, 2, 1.0, {"active": 2, "v": 6})


@pytest.mark.parametrize(
    ("arms", "expected"),
    [
        ([DEEP, Arm(AE, 0.04)], {"autoencoder base": "responsible", "KL weight": "not tested"}),
        ([DEEP, Arm(AE, 0.0105)], {"autoencoder base": "cleared"}),
        # Worse than PCA, but far better than the VAE: it does not explain the collapse.
        ([DEEP, Arm(AE, 0.02)], {"autoencoder base": "cleared"}),
        (
            [DEEP, Arm(AE, 0.04), Arm(SHALLOW_AE, 0.02), Arm(SHALLOW_VAE, 0.02, 0.02, 8, 9.0, {"active": 8})],
            {"autoencoder base": "responsible"},
        ),
        # The shallower one is no better, or collapses as much: depth is not it.
        (
            [DEEP, Arm(AE, 0.04), Arm(SHALLOW_AE, 0.038), Arm(SHALLOW_VAE, 0.05, 0.05, 8, 9.0, {"active": 8})],
            {"autoencoder base": "cleared"},
        ),
        (
            [DEEP, Arm(AE, 0.04), Arm(SHALLOW_AE, 0.02), Arm(SHALLOW_VAE, 0.05, 0.05, 3, 9.0, {"active": 3, "v": 5})],
            {"autoencoder base": "cleared"},
        ),
        ([DEEP, Arm(AE, 0.01), Arm(WARMUP, 0.02, 0.02, 7, 9.0, {"active": 7, "v": 1})], {"KL weight": "responsible"}),
        ([DEEP, Arm(AE, 0.01), Arm(WARMUP, 0.05, 0.05, 3, 2.0, {"active": 3, "v": 5})], {"KL weight": "cleared"}),
        (
            [
                DEEP,
                Arm(AE, 0.01),
                Arm(WARMUP, 0.05, 0.05, 3, 2.0, {"active": 3, "ii": 5}),
                Arm(UNWEIGHTED, 0.01, 0.01, 8, 9.0, {"active": 8}),
            ],
            {"KL weight": "responsible"},
        ),
        ([DEEP, Arm(AE, 0.01), Arm(LEARNED, 0.02, 0.02, 8, 9.0, {"active": 8})], {"gamma": "responsible"}),
        ([Arm(VAE, 0.05, 0.05, 2, 1.0, {"active": 2, "iv": 6}), Arm(AE, 0.01)], {"decoder": "responsible"}),
        (
            [Arm(VAE, 0.05, 0.05, 2, 1.0, {"active": 2, "i": 6}), Arm(AE, 0.01)],
            dict.fromkeys(("autoencoder base", "KL weight", "gamma", "decoder"), "cleared"),
        ),
    ],
)
def test_each_suspect_is_judged_by_its_own_arm(arms, expected):
    found = verdicts(*arms)
    assert {name: found[name] for name in expected} == expected


def test_the_arms_of_a_run():
    deep = tc.Run(network=tc.Network(depth=10), training=tc.Training(steps=1_000))
    found = arms_of(deep)
    assert list(found) == [VAE, AE, WARMUP, SHALLOW_AE, SHALLOW_VAE]
    assert found[WARMUP].objective.warmup_steps == 400
    assert {name: each.network.depth for name, each in found.items()} == {
        VAE: 10,
        AE: 10,
        WARMUP: 10,
        SHALLOW_AE: 2,
        SHALLOW_VAE: 2,
    }
    assert all(each.training == deep.training and each.seed == deep.seed for each in found.values())
    fixed = arms_of(tc.Run(network=tc.Network(depth=1), objective=tc.Objective(gamma="fixed", beta=2.0)))
    assert list(fixed) == [VAE, AE, WARMUP, UNWEIGHTED, LEARNED]
    assert (fixed[UNWEIGHTED].objective.gamma, fixed[UNWEIGHTED].objective.beta) == ("fixed", 1.0)
    assert (fixed[LEARNED].objective.gamma, fixed[LEARNED].objective.beta) == ("optimal", 2.0)
    assert WARMUP not in arms_of(tc.Run(objective=tc.Objective(warmup="kl")))
    with pytest.raises(ConfigError, match="received an AE"):
        arms_of(tc.Run(objective=tc.Objective(kind="ae")))


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
    "training.jit": "off",  # XLA would compile five networks for longer than they are trained
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
    arms = {arm["name"]: arm for arm in found["arms"]}
    assert arms[AE]["error"] > 1.5 * arms[SHALLOW_AE]["error"]
    assert arms[VAE]["counts"]["v"] > 0
    ends = {name: gains[-1]["signal"] / gains[0]["signal"] for name, gains in found["starts"].items()}
    assert ends[VAE] < 0.01 * ends[SHALLOW_VAE]
    runs = sorted(path.name for path in tmp_path.iterdir())
    assert len(runs) == 5
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*/result.json")}
    assert main(arguments) == 0  # nothing is trained again
    assert {path: path.stat().st_mtime_ns for path in tmp_path.glob("*/result.json")} == before
    assert "responsible: autoencoder base" in capsys.readouterr().out


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


def test_a_stranger_s_architecture_with_a_gamma_too_large(tmp_path, capsys):
    (tmp_path / "theirs.py").write_text(BUILDER)
    np.save(tmp_path / "images.npy", known_images(EIGENVALUES, 0, 1_024))
    settings = {"objective.gamma": "fixed", "objective.gamma_start": 0.5, "training.steps": 1_000}
    settings |= {"training.learning_rate": 5e-3, "training.halve_every": 300}
    pairs = [part for name, value in settings.items() for part in ("--set", f"{name}={value}")]
    built = ["--build", f"{tmp_path / 'theirs.py'}:build", "--data", str(tmp_path / "images.npy")]
    assert main(["blame", *built, "--json", *pairs]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {each["suspect"]: each["verdict"] for each in found["findings"]} == {
        "autoencoder base": "cleared",
        "KL weight": "cleared",
        "gamma": "responsible",
        "decoder": "cleared",
    }
    arms = {arm["name"]: arm for arm in found["arms"]}
    assert arms[VAE]["counts"] == {"active": 0, "ii": 3}
    assert arms[LEARNED]["counts"] == {"active": 3}
    assert [gain["part"] for gain in found["starts"][VAE]] == ["encoder", "encoder", "decoder"]


def their_build():
    names = {}
    exec(BUILDER, names)
    return names["build"]


@pytest.mark.slow
def test_a_beta_too_large_is_the_kl_weight_s_fault():
    found = tc.blame_build(
        their_build(),
        known_images(EIGENVALUES, 0, 1_024),
        objective=tc.Objective(gamma="optimal", beta=30.0),
        training=tc.Training(steps=1_000, learning_rate=5e-3, halve_every=300),
    )
    assert {each.suspect: each.verdict for each in found.findings} == {
        "autoencoder base": "cleared",
        "KL weight": "responsible",
        "gamma": "not tested",
        "decoder": "cleared",
    }
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


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--build", "nowhere.py:build"], "expected FILE.py:FUNCTION"),
        (["--build", "theirs.py"], "expected FILE.py:FUNCTION"),
        (["--build", "raises.py:build"], "--build: 'raises.py' cannot be imported: ZeroDivisionError"),
        (["--set", "objective.kind=ae"], "received an AE"),
        (["--config", "nowhere.json"], "--config 'nowhere.json'"),
        (["--set", "network.depht=2"], "depth"),
    ],
)
def test_bad_questions_are_one_line_and_status_2(tmp_path, capsys, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "raises.py").write_text("1 / 0")
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
    rows = blame_page.arm_rows([DEEP, Arm(AE, 0.04)])
    assert rows[0] == [VAE, "0.05", "0.05", "2", "1", "6 (v)"]
    assert rows[1][2:] == ["-", "-", "-", "-"]
    assert all(len(row) == len(blame_page.ARMS) for row in rows)


def test_a_blame_is_printed_as_plain_lines():
    vae, twin = DEEP, Arm(AE, 0.04)
    gains = [LayerGain("encoder", "first", 0.5, 1.0), LayerGain("decoder", "output", 0.001, 2.0)]
    printed = str(Blame([vae, twin], {}, {VAE: gains}, judge([vae, twin], 0.01, 0.08)))
    assert printed.splitlines()[0] == "responsible: autoencoder base"
    assert "autoencoder base: responsible\n  AE error 0.04 without any KL term, VAE 0.05" in printed
    assert "KL weight: not tested" in printed
    numbers = r"error 0.05, gamma 0.05, KL 1 nats, active units 2, dead units .category. 6 .v."
    assert re.search(rf"^  VAE +{numbers}$", printed, re.M)
    assert re.search(r"^  AE twin +error 0.04$", printed, re.M)
    assert re.search(r"^  VAE +0.002$", printed, re.M)
    assert "|" not in printed
    harmless = [Arm(VAE, 0.01, 0.01, 2, 1.0, {"active": 2, "i": 6}), twin]
    assert str(Blame(harmless, {}, {}, judge(harmless, 0.01, 0.08))).startswith("responsible: none of the suspects")
