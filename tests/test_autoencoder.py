import inspect
import json

import keras
import numpy as np
import pytest
from examples import tiny
from processes import python

from tfcollapse import Autoencoder, Network, Objective
from tfcollapse.data import random_streams as draws
from tfcollapse.models import networks
from tfcollapse.models.build import build
from tfcollapse.training.optimizer import adam

SHAPE = (28, 28, 1)


def _images(count=64, seed=0):
    return np.random.default_rng(seed).random((count, *SHAPE)).astype(np.float32)


def _model(kind="vae", **objective):
    return build(tiny(objective=Objective(kind=kind, **objective)), SHAPE)


@pytest.mark.parametrize("kind", ["ae", "vae"])
def test_encode_decode_and_reconstruct(kind):
    model, images = _model(kind), _images(5)
    posterior = model.encode(images)
    assert posterior.mean.shape == (5, 6)
    assert (posterior.log_variance is None) == (kind == "ae")
    assert model.decode(posterior.mean).shape == images.shape
    assert np.array_equal(model.reconstruct(images), model.decode(posterior.mean))
    assert np.array_equal(model(images), model.reconstruct(images))


def test_reconstruct_with_noise_uses_the_posteriors_sigma():
    model, images = _model(), _images(3)
    mean, log_variance = model.encode(images)
    noise = np.random.default_rng(1).standard_normal((3, 6)).astype(np.float32)
    expected = model.decode(mean.numpy() + np.exp(0.5 * log_variance.numpy()) * noise)
    assert np.allclose(model.reconstruct(images, noise), expected, atol=1e-6)


def test_sample_depends_on_its_seed_alone_and_an_ae_has_none():
    model = _model()
    assert model.sample(4, seed=3).shape == (4, *SHAPE)
    assert np.array_equal(model.sample(4, seed=3), model.sample(4, seed=3))
    assert not np.array_equal(model.sample(4, seed=3), model.sample(4, seed=4))
    with pytest.raises(ValueError, match="expected a VAE, received an AE"):
        _model("ae").sample(4)


def test_gamma_is_the_variance_and_trains_only_when_learned():
    for gamma, trainable in (("learned", True), ("fixed", False), ("optimal", False)):
        model = _model(gamma=gamma, gamma_start=0.25)
        assert float(model.gamma) == pytest.approx(0.25)
        assert any("log_gamma" in v.path for v in model.trainable_variables) == trainable
    assert _model("ae").gamma is None


def test_keras_file_reloads_in_a_fresh_process_without_custom_objects(tmp_path):
    models, images = {"ae": _model("ae"), "vae": _model("vae", gamma_start=0.3)}, _images(7)
    for kind, model in models.items():
        for variable in model.weights:
            variable.assign(variable + 0.01)
        model.save(tmp_path / f"{kind}.keras")
    np.save(tmp_path / "images.npy", images)
    code = """
import sys, json, numpy as np, tfcollapse
images = np.load(sys.argv[1] + "/images.npy")
for kind in ("ae", "vae"):
    model = tfcollapse.load_model(f"{sys.argv[1]}/{kind}.keras")
    np.save(f"{sys.argv[1]}/{kind}.npy", model.reconstruct(images))
    print(json.dumps([type(model).__name__, model.objective.kind, None if model.gamma is None else float(model.gamma)]))
"""
    answer = python(code, str(tmp_path))
    assert answer.returncode == 0, answer.stderr
    for (kind, model), line in zip(models.items(), answer.stdout.splitlines()[-2:], strict=True):
        name, again, gamma = json.loads(line)
        assert (name, again) == ("Autoencoder", kind)
        assert gamma == (pytest.approx(float(model.gamma)) if kind == "vae" else None)
        assert np.array_equal(np.load(tmp_path / f"{kind}.npy"), model.reconstruct(images))


@pytest.mark.parametrize(
    "objective",
    [{"kind": "ae"}, {"gamma": "optimal"}, {"gamma": "learned", "gamma_start": 0.1, "warmup": "kl", "warmup_steps": 5}],
    ids=["ae", "optimal", "learned"],
)
def test_compile_and_fit_lower_the_reconstruction_error(objective):
    model, images = _model(**objective), _images(128)
    model.compile(optimizer=keras.optimizers.Adam(1e-3))
    history = model.fit(images, batch_size=32, epochs=4, verbose=0).history
    assert set(history) == {"loss", "reconstruction_error", "kl", "gamma"}
    assert history["reconstruction_error"][-1] < 0.8 * history["reconstruction_error"][0]
    evaluated = model.evaluate(images, verbose=0, return_dict=True)
    at_mean = float(np.mean((model(images) - images) ** 2))
    assert evaluated["reconstruction_error"] == pytest.approx(at_mean, rel=1e-4)


def test_a_stranger_s_networks_make_an_autoencoder():
    encoder = keras.Sequential([keras.layers.Input((4, 4, 1)), keras.layers.Flatten(), keras.layers.Dense(2)])
    decoder = keras.Sequential([keras.layers.Input((2,)), keras.layers.Dense(16), keras.layers.Reshape((4, 4, 1))])
    model = Autoencoder(encoder, decoder, Objective(kind="ae"), image_shape=(4, 4, 1), latent_dim=2)
    model.compile(optimizer=adam(tiny().training))
    assert model.fit(np.ones((8, 4, 4, 1), np.float32), verbose=0).history["loss"]


REPLICAS = """
import sys, json
from tfcollapse.backend import import_tensorflow
import tensorflow as tf
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2)
import keras, numpy as np
sys.path.insert(0, "tests/tools")
from examples import tiny
from tfcollapse.config.declaration import Objective
from tfcollapse.models.build import build
images = np.random.default_rng(0).random((32, 6, 6, 1)).astype(np.float32)
strategies = {count: tf.distribute.MirroredStrategy([f"CPU:{i}" for i in range(count)]) for count in (1, 2)}
for settings in json.loads(sys.argv[1]):
    found = {}
    for replicas, strategy in strategies.items():
        with strategy.scope():
            model = build(tiny(objective=Objective(**settings)), (6, 6, 1))
            if model.variational:  # no posterior noise, which the two would draw differently
                model.encoder.log_variance.bias.assign(tf.fill((6,), -60.0))
            before = [v.numpy() for v in model.trainable_variables]
            model.compile(optimizer=keras.optimizers.SGD(0.001))
        logs = model.fit(images, batch_size=32, epochs=1, shuffle=False, verbose=0).history
        moved = [v.numpy() - b for v, b in zip(model.trainable_variables, before)]
        found[replicas] = (moved, {name: values[0] for name, values in logs.items()})
    one, two = found[1], found[2]
    scale = max(np.abs(m).max() for m in one[0])
    print(json.dumps({
        "moved": float(scale),
        "difference": float(max(np.abs(a - b).max() for a, b in zip(one[0], two[0]))),
        "logs": [one[1], two[1]],
    }))
"""


@pytest.mark.slow
def test_two_replicas_take_the_step_of_one():
    """With SGD, whose step shows a gradient that is summed where it should be averaged; Adam hides it."""
    objectives = [{"kind": "ae"}, {"gamma": "learned", "gamma_start": 0.5}]
    answer = python(REPLICAS, json.dumps(objectives))
    assert answer.returncode == 0, answer.stderr
    lines = answer.stdout.splitlines()[-2:]
    for objective, facts in zip(objectives, map(json.loads, lines), strict=True):
        assert facts["moved"] > 1e-5, objective
        assert facts["difference"] < 1e-4 * facts["moved"], objective
        assert facts["logs"][0] == pytest.approx(facts["logs"][1], rel=1e-5), objective


def test_the_public_names_resolve():
    import tfcollapse

    for name in tfcollapse.__all__:
        first, second = getattr(tfcollapse, name), getattr(tfcollapse, name)
        assert first is second
        # A submodule could take the place of a class or a function of its name.
        assert inspect.ismodule(second) == (name in ("claims", "figures", "lab", "theory"))
    assert Network is networks.Network
    assert draws.EVALUATION_BLOCK == 1024
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        tfcollapse.nothing  # noqa: B018
