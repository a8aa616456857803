"""Arguments of the Python API: a value of another kind is one line, and what is plainly meant is taken."""

import inspect
import pathlib

import keras
import numpy as np
import pytest
from examples import tiny

import tfcollapse as tc
from tfcollapse.config.annotations import arguments_checked
from tfcollapse.config.overrides import apply_settings, parse
from tfcollapse.errors import ConfigError, UserError

NO_ARGUMENTS = {
    *("__version__", "claims", "figures", "lab", "theory"),  # a text, and packages
    # These are made by the package, and read by its users.
    *("Diagnosis", "Verdict", "Evidence", "Measurements", "Information", "Misreading"),
    *("Blame", "Arm", "Finding", "LayerGain", "Dataset", "Posterior", "LossTerms", "Progress"),
    *("CollapseWarning", "UserError", "ConfigError", "DataError", "RunError"),
}
OF_ANY_KIND = {
    "diagnose": {"encoder", "decoder", "data"},
    "export": {"model", "examples"},
    "blame_build": {"data"},
    "layer_gains": {"encoder", "decoder", "images"},
    "from_torch": {"function"},
    "CollapseMonitor": {"encoder", "decoder", "data"},
}
"""Arguments that take whatever several frameworks have. Functions of their own read and refuse them."""


def study():
    return tc.Study(title="t", presets={"quick": [tiny()]}, draw=list, claims=list)


class Nothing:
    """Something that no argument takes."""


def arguments(name):
    for argument in inspect.signature(getattr(tc, name)).parameters.values():
        if argument.kind is not argument.VAR_KEYWORD and argument.name not in OF_ANY_KIND.get(name, ()):
            yield argument.name


@pytest.mark.parametrize("name", [name for name in tc.__all__ if name not in NO_ARGUMENTS])
def test_a_value_of_another_kind_is_one_line_that_names_the_argument(name):
    for argument in arguments(name):
        for value in (Nothing(), b"x", {Nothing(): 1}, [Nothing()]):
            with pytest.raises(ConfigError) as failed:
                getattr(tc, name)(**{argument: value})
            said = str(failed.value)
            assert said.startswith((f"{name}: {argument}: ", f"{name}.{argument}: ", "unknown value of "))
            assert argument in said
            assert len(said) < 700


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: tc.train(tiny(), 3), "train: out: expected str or a path, received 3"),
        (lambda: tc.train(tiny(), b"x"), "train: out: expected str or a path, received b'x'"),
        (lambda: tc.train({}, "x"), "train: run: expected Run, received {}"),
        (lambda: tc.train(tiny(), "x", report=None), "train: report: expected a function, received None"),
        (lambda: tc.train(tiny(), "x", devices=True), "train: devices: expected str or int or none, received True"),
        (lambda: tc.train_together(tiny(), "x"), "train_together: runs: expected list of Run, received Run("),
        (lambda: tc.train_together([tiny(), 3], "x"), "train_together: runs: expected list of Run"),
        (lambda: tc.Data(resize=np.array(48)), "Data.resize: expected tuple of int or none, received array(48)"),
        (lambda: tc.Data(crop=keras.ops.ones(())), "Data.crop: expected tuple of int or none, received <tf.Tensor"),
        (lambda: tc.depth_sweep(tiny(), np.array(3), "learned", 1), "depth_sweep: depths: expected list of int, rec"),
        (lambda: tc.grid(tiny(), {"seed": np.array(1)}), "grid: axes: expected dict of list of any value by str"),
        (lambda: study().runs("quick", seeds="2"), "runs: seeds: expected int or none, received '2'"),
        (lambda: study().runs("quick", seeds=True), "runs: seeds: expected int or none, received True"),
        (lambda: study().runs(["quick"]), "runs: preset: expected str, received ['quick']"),
        (lambda: tc.load("mnist"), "load: data: expected Data, received 'mnist'"),
        (lambda: tc.build(tiny(), (28, 28)), "build: image_shape: expected tuple of 3 int, received (28, 28)"),
        (lambda: tc.build(tiny(), (28, 28, -1)), "build: image_shape: expected tuple of 3 int"),
        (lambda: tc.build(tiny(), (0, 1, 2)), "build: image_shape: expected sizes > 0, such as (28, 28, 1), received"),
        (lambda: tc.build(tiny(), (28, 28, 0)), "build: image_shape: expected sizes > 0"),
        (lambda: tc.diagnose(None, None, [], gamma="0.5"), "diagnose: gamma: expected float or none, received '0.5'"),
        (lambda: tc.diagnose(None, None, [], gamma=float("nan")), "diagnose: gamma: expected float or none"),
        (lambda: tc.diagnose(None, None, [], joined=1), "diagnose: joined: expected bool, received 1"),
        (lambda: tc.grid(tiny(), [("seed", [0])]), "grid: axes: expected dict of list of any value by str"),
        (lambda: tc.grid(tiny(), {"seed": "01"}), "grid: axes: expected dict of list of any value by str"),
        (lambda: tc.depth_sweep(tiny(), [1, "2"], "learned", 1), "depth_sweep: depths: expected list of int"),
        (lambda: tc.Run(data="mnist"), "Run.data: expected Data, received 'mnist'"),
        (lambda: tc.Network(depth="4"), "Network.depth: expected int, received '4'"),
        (lambda: tc.Network(depth=np.bool_(True)), "Network.depth: expected int"),
        (lambda: tc.Network(depth=np.array([4])), "Network.depth: expected int"),
        (lambda: tc.Network(depth=10**400), "Network.depth: expected <= 1000"),
        (lambda: tc.Training(learning_rate=10**400), "Training.learning_rate: expected float"),
    ],
)
def test_mistakes_that_people_make(call, said):
    with pytest.raises(ConfigError) as failed:
        call()
    assert str(failed.value).startswith(said)


@pytest.mark.parametrize("long", ["x" * 5_000, "x " * 5_000, "(" * 100_000])
def test_a_long_value_is_shortened_wherever_it_is_repeated(long):
    for call in (
        lambda: tc.Network(architecture=long),
        lambda: tc.Objective(**{long: 1}),
        lambda: tc.load_model(long),
        lambda: tc.load(tc.Data(name=long)),
        lambda: tc.Run.from_json(f'{{"network": {{"output": "{long}"}}}}'),
        lambda: study().runs(long),
        lambda: tc.train(tiny(), "x", devices=long),
        lambda: parse(long, "3"),
        lambda: apply_settings([tiny()], [long]),
    ):
        with pytest.raises(UserError) as failed:
            call()
        assert len(str(failed.value)) <= 2_000
        assert "expected" in str(failed.value) or "cannot be read" in str(failed.value)


def test_what_is_plainly_meant_is_taken(tmp_path, monkeypatch):
    assert tc.Network(depth=np.int64(3), width=np.array(8)) == tc.Network(depth=3, width=8)
    assert tc.Objective(beta=np.float32(0.5), gamma_start=2) == tc.Objective(beta=0.5, gamma_start=2.0)
    assert tc.Data(crop=np.array([0, 20, 0, 20])) == tc.Data(crop=(0, 20, 0, 20))
    assert tc.Run(seed=np.uint8(3)).run_id == tc.Run(seed=3).run_id
    assert [run.seed for run in tc.grid(tc.Run(), {"seed": np.arange(2)})] == [0, 1]
    model = tc.build(tiny(), [28, 28, np.int64(1)])
    monkeypatch.chdir(tmp_path)
    model.save("m.keras")
    for path in ("m.keras", pathlib.Path("m.keras")):
        assert tc.load_model(path).latent_dim == model.latent_dim


def test_a_function_keeps_its_name_and_its_signature():
    def area(height: int, *, width: "int | None" = None, **more: int) -> int:
        """Multiply."""
        return height * (width or 1)

    checked = arguments_checked(area)
    assert (checked.__name__, checked.__doc__) == ("area", "Multiply.")
    assert inspect.signature(checked) == inspect.signature(area)
    assert checked(2, width=np.int8(3)) == 6
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'height'"):
        checked()
    with pytest.raises(TypeError, match="too many positional arguments"):
        checked(1, 2)
