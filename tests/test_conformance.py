"""Every public model, layer and initialiser, in the manner of Keras' own test case: one line each.

A case is constructed, called on symbols and on numbers, serialised, saved, reloaded, and trained by a step, under every
policy of types. Other backends call, serialise and reload the same cases in a process of their own.
"""

import dataclasses
import importlib
import importlib.util
import inspect
import json
import os
import pathlib
import pkgutil
import typing

import keras
import numpy as np
import pytest
from processes import python

from tfcollapse import models
from tfcollapse.config.architectures import ARCHITECTURES
from tfcollapse.config.objective import Objective
from tfcollapse.models.autoencoder import Autoencoder
from tfcollapse.models.fit import ImageModel
from tfcollapse.models.networks import NETWORKS
from tfcollapse.models.networks.hidden import HiddenLayer
from tfcollapse.models.networks.initializers import Drawn
from tfcollapse.models.networks.parts import Decoder, Encoder
from tfcollapse.models.networks.residual import ResidualBlock

SHAPE, LATENT = (8, 8, 1), 3
SMALL = {"width": 5, "base_channels": 4, "batch_norm": True, "shortcut": "projection"}
SIZES = {name: {field: SMALL[field] for field in spec.fields if field in SMALL} for name, spec in ARCHITECTURES.items()}
"""What makes a network of each architecture small, of the fields that it has."""
BASES = {Encoder, Decoder, ImageModel}
"""Classes that others extend, and that nobody makes."""


@dataclasses.dataclass(frozen=True)
class Case:
    """How to make one layer.

    Attributes:
      cls: its class.
      arguments: of the constructor.
      taken: the shape of one input.
      given: the shape of one output, or of each of several.
    """

    cls: type
    arguments: dict
    taken: tuple
    given: list

    def make(self, **options):
        return self.cls(**self.arguments, **options)


def _cases():
    for name in ARCHITECTURES:
        encoder, decoder = NETWORKS[name]
        fields = {"image_shape": SHAPE, "depth": 1, "latent_dim": LATENT, "seed": 1, "name": "part", **SIZES[name]}
        yield f"{encoder.__name__} AE", Case(encoder, fields | {"variational": False}, SHAPE, [(LATENT,)])
        yield encoder.__name__, Case(encoder, fields | {"initializer": "orthogonal"}, SHAPE, [(LATENT,)] * 2)
        yield decoder.__name__, Case(decoder, fields | {"output": "sigmoid"}, (LATENT,), [SHAPE])
        if "norm" in ARCHITECTURES[name].fields:
            normed = fields | {"depth": 2, "norm": "layer"}
            yield f"{encoder.__name__} normed", Case(encoder, normed, SHAPE, [(LATENT,)] * 2)
            yield f"{decoder.__name__} normed", Case(decoder, normed, (LATENT,), [SHAPE])
    hidden = {"units": LATENT, "name": "hidden", "kernel_initializer": Drawn("he_normal", 1, "hidden")}
    yield "HiddenLayer", Case(HiddenLayer, hidden, (5,), [(LATENT,)])
    full = hidden | {"norm": "layer", "shortcut": True}
    yield "HiddenLayer normed with a shortcut", Case(HiddenLayer, full, (LATENT,), [(LATENT,)])
    block = {"name": "block", "initializer": "he_normal", "seed": 1}
    yield "ResidualBlock", Case(ResidualBlock, block | {"channels": 1}, SHAPE, [SHAPE])
    yield (
        "ResidualBlock projected",
        Case(ResidualBlock, block | {"channels": 2, "batch_norm": True}, SHAPE, [(8, 8, 2)]),
    )


CASES = dict(_cases())

OBJECTIVES = {
    "ae": Objective(kind="ae"),
    "learned": Objective(),
    "fixed": Objective(gamma="fixed", gamma_start=0.1, beta=2.0),
    "optimal": Objective(gamma="optimal"),
    "warm kl": Objective(gamma="learned", warmup="kl", warmup_steps=3),
    "warm gamma": Objective(gamma="optimal", warmup="gamma", warmup_steps=3),
    "cyclical": Objective(warmup="cyclical", warmup_steps=4),
    "held": Objective(gamma_start=0.1, warmup="hold_gamma", warmup_steps=3),
    "free bits": Objective(gamma="optimal", kl_constraint="free_bits", kl_nats=0.05),
    "capacity": Objective(gamma="optimal", kl_constraint="capacity", kl_nats=3.0, warmup_steps=3),
    "floor": Objective(gamma="optimal", kl_constraint="floor", kl_nats=0.2),
    "importance": Objective(gamma_start=0.1, importance_samples=3),
}


def autoencoder(objective, architecture="dense", **options):
    fields = {"image_shape": SHAPE, "depth": 1, "latent_dim": LATENT, "seed": 1, **SIZES[architecture]}
    encoder, decoder = NETWORKS[architecture]
    variational, floor = objective.kind == "vae", objective.kl_floor
    parts = (
        encoder(variational=variational, kl_floor=floor, name="encoder", **fields),
        decoder(name="decoder", **fields),
    )
    return Autoencoder(*parts, objective, **options)


def images(count=5):
    return np.random.default_rng(0).random((count, *SHAPE)).astype(np.float32)


def outputs(layer, taken):
    found = layer(taken)
    return [np.asarray(keras.ops.convert_to_numpy(o)) for o in (found if isinstance(found, (tuple, list)) else [found])]


def check_layer(case, folder):
    """Call, serialise and reload a layer, under any backend."""
    taken = np.random.default_rng(0).random((4, *case.taken)).astype(np.float32)
    layer = case.make()
    symbolic = keras.tree.flatten(layer(keras.KerasTensor((None, *case.taken))))
    assert [tuple(s.shape) for s in symbolic] == [(None, *shape) for shape in case.given]
    assert layer.built
    expected = outputs(layer, taken)
    assert [o.shape for o in expected] == [(4, *shape) for shape in case.given]
    specs = keras.tree.flatten(layer.compute_output_spec(keras.KerasTensor((4, *case.taken))))
    assert [tuple(spec.shape) for spec in specs] == [(4, *shape) for shape in case.given]

    config = layer.get_config()
    json.dumps(config)  # plain values
    again = case.cls.from_config(config)
    assert again.get_config() == config
    assert keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer)).get_config() == config
    for mine, other in zip(
        expected, outputs(again, taken), strict=True
    ):  # the start is of the seed and the names alone
        np.testing.assert_array_equal(mine, other)

    inputs = keras.Input(case.taken)
    model = keras.Model(inputs, layer(inputs))
    for variable in model.weights:
        variable.assign(variable + 0.01)
    model.save(folder / "layer.keras")
    for mine, other in zip(
        outputs(model, taken), outputs(keras.saving.load_model(folder / "layer.keras"), taken), strict=True
    ):
        np.testing.assert_array_equal(mine, other)


def check_autoencoder(objective, folder):
    """Call, serialise and reload an autoencoder, under any backend."""
    model, taken = autoencoder(objective), images()
    assert tuple(model(keras.KerasTensor((None, *SHAPE))).shape) == (None, *SHAPE)
    expected = outputs(model, taken)[0]
    assert expected.shape == taken.shape
    uint8 = np.round(255 * taken).astype(np.uint8)
    np.testing.assert_allclose(outputs(model, uint8)[0], outputs(model, uint8 / np.float32(255))[0], atol=1e-6)
    np.testing.assert_allclose(model.predict(taken, verbose=0), expected, atol=1e-6)
    for copy in (Autoencoder.from_config(model.get_config()), keras.models.clone_model(model)):
        assert copy.get_config() == model.get_config()
        assert copy.count_params() == model.count_params()
        np.testing.assert_array_equal(outputs(copy, taken)[0], expected)
    model.save(folder / "model.keras")
    np.testing.assert_array_equal(outputs(keras.saving.load_model(folder / "model.keras"), taken)[0], expected)
    model.save_weights(folder / "model.weights.h5")
    for variable in copy.weights:
        variable.assign(variable + 1.0)
    copy.load_weights(folder / "model.weights.h5")
    np.testing.assert_array_equal(outputs(copy, taken)[0], expected)


def _public_classes():
    for module in pkgutil.walk_packages(models.__path__, f"{models.__name__}."):
        for name, cls in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
            ours = issubclass(cls, (keras.Layer, keras.initializers.Initializer)) and cls.__module__ == module.name
            if ours and not name.startswith("_"):
                yield cls


def test_every_public_class_is_a_case():
    tried = {case.cls for case in CASES.values()} | {Autoencoder, Drawn}
    assert set(_public_classes()) == tried | BASES
    assert {o.kind for o in OBJECTIVES.values()} == {"ae", "vae"}
    for field in ("gamma", "warmup", "kl_constraint"):
        values = typing.get_args(typing.get_type_hints(Objective)[field])
        assert {getattr(o, field) for o in OBJECTIVES.values()} == set(values), field


def test_every_public_class_is_registered_under_its_name():
    for cls in set(_public_classes()) - BASES:
        assert keras.saving.get_registered_name(cls) == f"tfcollapse>{cls.__name__}"


@pytest.mark.parametrize("name", CASES)
def test_layer(name, tmp_path):
    check_layer(CASES[name], tmp_path)


@pytest.mark.parametrize("name", CASES)
def test_a_layer_trains_a_step_inside_another_model(name):
    case = CASES[name]
    inputs = keras.Input(case.taken)
    model = keras.Model(inputs, keras.ops.concatenate(keras.tree.flatten(case.make()(inputs)), axis=-1))
    model.compile(keras.optimizers.SGD(0.1), loss="mse", run_eagerly=True)
    before = [v.numpy() for v in model.trainable_variables]
    rng = np.random.default_rng(0)
    given, taken = (rng.random((4, *shape)).astype(np.float32) for shape in (model.output_shape[1:], case.taken))
    assert np.isfinite(model.train_on_batch(taken, given))
    assert any(np.any(v.numpy() != b) for v, b in zip(model.trainable_variables, before, strict=True))


POLICIES = ["mixed_float16", "mixed_bfloat16", "float64"]


@pytest.mark.parametrize("policy", POLICIES)
def test_layers_compute_in_the_types_of_their_policy(policy):
    for name, case in CASES.items():
        layer = case.make(dtype=policy)
        taken = np.random.default_rng(0).random((4, *case.taken))
        found = keras.tree.flatten(layer(keras.ops.cast(taken, "float32")))
        specs = keras.tree.flatten(layer.compute_output_spec(keras.KerasTensor(taken.shape, dtype=layer.compute_dtype)))
        for output, spec in zip(found, specs, strict=True):
            kind = keras.backend.standardize_dtype(output.dtype)
            assert kind == spec.dtype == layer.compute_dtype, name
        assert {v.dtype for v in layer.weights} == {layer.variable_dtype}, name
        assert case.cls.from_config(layer.get_config()).dtype_policy.name == policy, name


@pytest.mark.parametrize("name", OBJECTIVES)
def test_autoencoder(name, tmp_path):
    check_autoencoder(OBJECTIVES[name], tmp_path)


@pytest.mark.parametrize("policy", ["float32", *POLICIES])
@pytest.mark.parametrize("name", OBJECTIVES)
def test_an_autoencoder_trains_a_step_under_every_policy(name, policy):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        model = autoencoder(OBJECTIVES[name])
    finally:
        keras.config.set_dtype_policy(before)
    optimizer = keras.optimizers.SGD(1e-3)
    if policy == "mixed_float16":  # Keras' own first scale overflows for some steps
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer, initial_scale=1.0)
    model.compile(optimizer, run_eagerly=True)  # graphs are for the tests of `fit`
    start = [v.numpy() for v in model.trainable_variables]
    logs = model.train_on_batch(images(), return_dict=True)
    assert all(np.isfinite(value) for value in logs.values())
    assert any(np.any(v.numpy() != s) for v, s in zip(model.trainable_variables, start, strict=True))
    assert model(images()).dtype == ("float64" if policy == "float64" else "float32")


@pytest.mark.parametrize("name", [name for name in ARCHITECTURES if name != "dense"])  # which the tests above have
def test_an_autoencoder_of_every_architecture_fits_and_reloads(name, tmp_path):
    model = autoencoder(OBJECTIVES["optimal"], name)
    model.compile("adam", run_eagerly=True)  # a graph of convolutions takes seconds to build
    assert np.isfinite(model.fit(images(7), batch_size=4, verbose=0).history["loss"]).all()
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(outputs(loaded, images())[0], outputs(model, images())[0])


def test_an_initialiser_is_serialised():
    drawn = Drawn("he_normal", 3, "layer")
    again = keras.initializers.deserialize(keras.initializers.serialize(drawn))
    assert again.get_config() == drawn.get_config()
    np.testing.assert_array_equal(drawn((3, 4)), again((3, 4)))


OTHERS = """
import pathlib, sys, tempfile
import test_conformance as suite
from tfcollapse.errors import ConfigError
for name, case in suite.CASES.items():
    suite.check_layer(case, pathlib.Path(tempfile.mkdtemp(dir=sys.argv[1])))
for name, objective in suite.OBJECTIVES.items():
    suite.check_autoencoder(objective, pathlib.Path(tempfile.mkdtemp(dir=sys.argv[1])))
model = suite.keras.saving.load_model(sys.argv[2])  # compiled and trained under TensorFlow
print(suite.outputs(model, suite.images())[0].sum())
try:
    model.fit(suite.images())
except ConfigError as error:
    print(error)
"""


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_every_case_under_another_backend(backend, tmp_path):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    model = autoencoder(OBJECTIVES["learned"])
    model.compile("adam")
    model.fit(images(), verbose=0)
    model.save(tmp_path / "trained.keras")
    here = str(pathlib.Path(__file__).parent)
    found = python(
        OTHERS,
        str(tmp_path),
        str(tmp_path / "trained.keras"),
        KERAS_BACKEND=backend,
        PYTHONPATH=os.pathsep.join([here, f"{here}/tools", os.environ.get("PYTHONPATH", "")]),
        CUDA_VISIBLE_DEVICES="-1",
    )
    assert found.returncode == 0, found.stderr[-3000:]
    total, refused = found.stdout.splitlines()[-2:]
    assert float(total) == pytest.approx(float(outputs(model, images())[0].sum()), rel=1e-4)
    assert refused.startswith(f"fit: expected TensorFlow, received KERAS_BACKEND={backend}")
