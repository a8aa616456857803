import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from processes import python

from tfcollapse.config.declaration import Data, Network, Objective, Run, Training
from tfcollapse.config.overrides import apply_settings, grid, parse, replace, select, shorten
from tfcollapse.errors import ConfigError

runs = st.builds(
    Run,
    data=st.builds(Data, name=st.sampled_from(["cifar10", "fashion_mnist_mini"]), train=st.none() | st.integers(1, 9)),
    network=st.builds(Network, depth=st.integers(1, 20), width=st.integers(1, 999)),
    objective=st.builds(Objective, gamma=st.sampled_from(["fixed", "optimal"]), gamma_start=st.floats(1e-6, 1e3)),
    training=st.builds(Training, steps=st.integers(1, 10**6), learning_rate=st.floats(1e-9, 1.0)),
    seed=st.integers(0, 2**32),
)


@given(runs)
def test_json_round_trip_gives_the_same_run_and_id(run):
    again = Run.from_json(run.to_json())
    assert again == run
    assert again.run_id == run.run_id


def test_zero_has_one_sign():
    minus, plus = Run(objective=Objective(beta=-0.0)), Run(objective=Objective(beta=0.0))
    (by_text,) = apply_settings([Run()], ["objective.beta=-0"])
    assert (minus, by_text) == (plus, plus)
    assert minus.run_id == by_text.run_id == plus.run_id
    assert minus.to_json() == plus.to_json()


def test_run_id_is_the_same_in_every_process():
    code = "from tfcollapse.config.declaration import *; print(Run(network=Network(depth=4), seed=3).run_id)"
    ids = {python(code, PYTHONHASHSEED=seed).stdout.strip() for seed in ("1", "2")}
    assert ids == {Run(network=Network(depth=4), seed=3).run_id}
    assert ids.pop().startswith("dense-4-vae-fashion_mnist-s3-")


@pytest.mark.parametrize(
    "changed",
    [{"seed": 1}, {"network.depth": 3}, {"objective.gamma": "optimal"}, {"training.steps": 1}, {"data.train": 7}],
)
def test_run_id_depends_on_every_section(changed):
    assert replace(Run(), changed).run_id != Run().run_id


def test_a_field_at_its_default_is_not_hashed_so_new_fields_keep_old_ids():
    # The id of the committed results' first run: it must outlive every field added later.
    run = Run(data=Data(name="fashion_mnist"), network=Network(depth=10), objective=Objective(kind="ae"))
    assert (
        run.run_id == "dense-10-ae-fashion_mnist-s0-a1e16b01cc"
    )  # sha256 of {"network": {"depth": 10}, "objective": {"kind": "ae"}}


def test_defaults_are_the_papers():
    run = Run()
    assert (run.training.steps, run.training.batch, run.training.learning_rate) == (250_000, 64, 2e-4)
    assert (run.training.halve_every, run.training.epsilon) == (100_000, 1e-8)
    assert (run.network.width, run.network.latent_dim, run.network.initializer) == (512, 64, "glorot_uniform")
    assert (run.objective.gamma, run.objective.gamma_start, run.objective.warmup_steps) == ("learned", 1.0, 100_000)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Network(dept=3), "unknown field of Network 'dept': did you mean 'depth'"),
        (lambda: Network(depth=0, architecture="residual"), "Network.depth: expected >= 1 for a residual network"),
        (lambda: Network(depth=-2), "Network.depth: expected >= 0, received -2"),
        (lambda: Network(depth=2.5), "Network.depth: expected int, received 2.5"),
        (lambda: Network(depth=True), "Network.depth: expected int, received True"),
        (lambda: Network(architecture="desne"), "did you mean 'dense'"),
        (lambda: Training(steps=0), "Training.steps: expected >= 1"),
        (lambda: Training(batch=0), "Training.batch: expected >= 1"),
        (lambda: Training(learning_rate=0), "Training.learning_rate: expected > 0"),
        (lambda: Training(learning_rate=float("nan")), "Training.learning_rate: expected float"),
        (lambda: Training(beta_1=1.0), "Training.beta_1: expected < 1"),
        (lambda: Training(beta_2=1 - 1e-9), "Training.beta_2: expected < 1 in float32, received 0.999999999"),
        (lambda: Training(learning_rate=1e300), "Training.learning_rate: expected .* float32 holds, received 1e+300"),
        (lambda: Training(learning_rate=1e-320), "Training.learning_rate: expected .*, received 1e-320"),
        (lambda: Training(epsilon=1e-45), "Training.epsilon: expected 0 or a size from 1.2e-38 to 3.4e+38"),
        (lambda: Objective(beta=1e39), "Objective.beta: expected .* float32 holds"),
        (lambda: Objective(gamma_start=1e-39), "Objective.gamma_start: expected .* float32 holds"),
        (lambda: Data(train=-(10**5000)), "Data.train: expected >= 1, received int with a number of thousands of"),
        (lambda: Data(train=10**5000), "Data.train: expected <= 1"),
        (lambda: Data(name="mine\udcff.npy"), "Data.name: expected a text in UTF-8, in which records are written, rec"),
        (lambda: Data(channels=10**9), "Data.channels: expected <= 16384"),
        (lambda: Data(resize=(10**5000,) * 2), "Data.resize: expected 2 whole numbers from 1 to 16384, such as"),
        (lambda: Objective(gamma_start=10**5000), "Objective.gamma_start: expected float, received int with"),
        (lambda: Run.from_json(3), "from_json: text: expected str, received 3"),
        (lambda: Training(log_every=30, evaluate_every=100), "Training.evaluate_every: expected a multiple"),
        (lambda: Objective(gamma_start=0), "Objective.gamma_start: expected > 0"),
        (lambda: Objective(warmup="gamma"), "a schedule on gamma needs gamma 'fixed' or 'optimal'"),
        (lambda: Data(name=3), "Data.name: expected str, received 3"),
        (lambda: Data(crop=(1, 2)), "Data.crop: expected 4 whole numbers"),
        (lambda: Data(resize=(0, 4)), "Data.resize: expected 2 whole numbers from 1 to 16384, such as 64,64, received"),
        (lambda: Data(resize=(1_000_000, 1_000_000)), "Data.resize: expected 2 whole numbers from 1 to 16384"),
        (lambda: Data(crop=(5, 5, 0, 4)), "Data.crop: expected .* top < bottom and left < right, received"),
        (lambda: Run(seed=-1), "Run.seed: expected >= 0"),
        (lambda: Run(seed=2**63), "Run.seed: expected <= 9223372036854775807"),
        (lambda: Training(log_every=0), "Training.log_every: expected >= 1"),
        (lambda: Objective(kind="ae", gamma="fixed"), "an AE takes no field but its kind, received .*fixed"),
        (lambda: Run.from_json('{"data": {"crop": 5}}'), "Data.crop: expected tuple of int or none"),
        (lambda: Run.from_json('{"training": {"log_every": "x"}}'), "Training.log_every: expected int"),
        (lambda: Run.from_json("[]"), "run: expected an object"),
        (lambda: Run.from_json("{"), "not a run's configuration"),
        (lambda: Run.from_json('{"network": 3}'), "run.network: expected an object"),
    ],
)
def test_a_mistake_says_what_was_expected(make, message):
    with pytest.raises(ConfigError, match=message.replace("(", r"\(").replace("+", r"\+")):
        make()


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("training.steps", "500", 500),
        ("training.steps", "2e4", 20_000),
        ("training.learning_rate", "1", 1.0),
        ("network.initializer", "he_normal", "he_normal"),
        ("data.name", "cifar10", "cifar10"),
        ("data.train", "none", None),
        ("data.crop", "45,173,25,153", (45, 173, 25, 153)),
        ("data.resize", "48,48", (48, 48)),
        ("data.resize", " 48, 48", (48, 48)),
        ("data.resize", "None", None),
        ("data.resize", "64", (64,)),  # which `Data` refuses
        ("data.resize", "48x48", "error"),
        ("data.resize", "48,", "error"),
        ("data.resize", "4.5,4", "error"),
        ("data.resize", "-1,4", "error"),
        ("data.crop", "(45,173,25,153)", (45, 173, 25, 153)),
        ("seed", "7", 7),
    ],
)
def test_set_is_typed_by_the_field(key, text, value):
    if value == "error":
        with pytest.raises(ConfigError):
            parse(key, text)
        return
    parsed = parse(key, text)
    assert parsed == value
    assert type(parsed) is type(value)


def test_a_condition_on_a_tuple_takes_one_or_several():
    sizes = [None, (48, 48), (64, 64)]
    runs = [Run(data=Data(resize=size)) for size in sizes]

    def selected(text):
        return [run.data.resize for run in select(runs, [f"data.resize={text}"])]

    assert selected("48,48") == [(48, 48)]
    assert selected("(48,48),[64,64]") == [(48, 48), (64, 64)]
    assert selected("none") == [None]
    assert selected("none,(64,64)") == [None, (64, 64)]


@pytest.mark.parametrize("setting", ["training.stepz=5", "trainin.steps=5", "seed.x=1", "network=3", "training.steps"])
def test_set_refuses_what_names_no_field(setting):
    with pytest.raises(ConfigError):
        apply_settings([Run()], [setting])


def test_a_vae_setting_leaves_the_ae_twin_alone():
    twins = [Run(objective=Objective(kind="ae")), Run()]
    changed = apply_settings(twins, ["objective.gamma=optimal", "training.steps=7"])
    assert changed[0].objective == twins[0].objective
    assert changed[1].objective.gamma == "optimal"
    assert [run.training.steps for run in changed] == [7, 7]
    with pytest.raises(ConfigError, match="no run is a VAE"):
        apply_settings(twins[:1], ["objective.gamma=optimal"])


def test_settings_that_constrain_each_other_are_applied_together():
    (run,) = apply_settings([Run()], ["objective.warmup=gamma", "objective.gamma=fixed"])
    assert (run.objective.warmup, run.objective.gamma) == ("gamma", "fixed")
    settings = ["training.log_every=7", "training.evaluate_every=91", "training.checkpoint_every=91"]
    assert apply_settings([Run()], settings)[0].training.log_every == 7


@pytest.mark.parametrize("setting", ["network.depth=2", "seed=1"])
def test_settings_that_make_two_runs_the_same_are_refused(setting):
    runs = [Run(network=Network(depth=depth), seed=depth) for depth in (1, 2)]
    made = [
        replace(run, {"seed": 0}) if setting.startswith("network") else replace(run, {"network.depth": 1})
        for run in runs
    ]
    with pytest.raises(ConfigError, match="--set .*: two of the runs are the same"):
        apply_settings(made, [setting])


def test_grid_is_the_product_in_order_and_refuses_twins():
    made = grid(Run(), {"network.depth": (1, 2), "seed": (0, 1)})
    assert [(run.network.depth, run.seed) for run in made] == [(1, 0), (1, 1), (2, 0), (2, 1)]
    with pytest.raises(ConfigError, match="two of the runs are the same"):
        grid(Run(), {"network.depth": (1, 1)})


def test_shorten_keeps_the_shares_of_halving_and_warmup():
    run = shorten(Run(objective=Objective(warmup="kl")), 20_000)
    assert (run.training.steps, run.training.halve_every, run.objective.warmup_steps) == (20_000, 8_000, 8_000)
    with pytest.raises(ConfigError, match="--steps: expected >= 1"):
        shorten(Run(), 0)


def test_only_keeps_the_runs_that_fulfil_every_condition():
    runs = grid(Run(), {"network.depth": (1, 2, 10), "objective": (Objective(kind="ae"), Objective())})
    kept = select(runs, ["network.depth=2,10", "objective.kind=ae"])
    assert [(run.network.depth, run.objective.kind) for run in kept] == [(2, "ae"), (10, "ae")]
    assert select(runs, []) == runs
    with pytest.raises(ConfigError, match="--only network.depth: expected one of 1, 2, 10, received '3'"):
        select(runs, ["network.depth=3"])
    with pytest.raises(ConfigError, match="--only: expected KEY=VALUE, received 'depth'"):
        select(runs, ["depth"])
    with pytest.raises(ConfigError, match="did you mean"):
        select(runs, ["network.dept=2"])


def test_a_run_cannot_be_changed_after_its_id_is_known():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Run().seed = 2
    assert json.loads(Run().to_json())["training"]["steps"] == 250_000
