"""Any encoder and decoder of TensorFlow's that diagnose takes become a SavedModel, of whatever classes they are."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops
from processes import ROOT, python

import tfcollapse
from tfcollapse.cli.main import main
from tfcollapse.errors import ConfigError, RunError
from tfcollapse.exports.pair import of_pair
from tfcollapse.exports.target import METADATA

VECTORS = np.random.default_rng(0).standard_normal((50, 5)).astype(np.float32)


class Sampling(layers.Layer):
    """The layer of the tutorials; it is not registered."""

    def __init__(self):
        super().__init__()
        self.seeds = keras.random.SeedGenerator(1)

    def call(self, moments):
        mean, log_variance = moments
        return mean + ops.exp(0.5 * log_variance) * keras.random.normal(ops.shape(mean), seed=self.seeds)


class Encoder(keras.Model):
    """A subclass that is not registered."""

    def __init__(self, **options):
        super().__init__(**options)
        self.flat, self.mean, self.log_variance = layers.Flatten(), layers.Dense(3), layers.Dense(3)

    def call(self, images):
        flat = self.flat(images)
        return self.mean(flat), self.log_variance(flat)


class Decoder(keras.Model):
    """A subclass that is not registered."""

    def __init__(self, **options):
        super().__init__(**options)
        self.pixels, self.image = layers.Dense(16), layers.Reshape((4, 4, 1))

    def call(self, latents):
        return self.image(self.pixels(latents))


class Module(tf.Module):
    """Functions of tensors that are methods, with variables of their own."""

    def __init__(self):
        self.inwards, self.outwards = (tf.Variable(tf.random.stateless_normal((5, 5), (0, i))) for i in range(2))

    @tf.function
    def encode(self, examples):
        hidden = examples @ self.inwards
        return hidden[:, :2], hidden[:, 2:4]

    def decode(self, latents):
        return latents @ self.outwards[:2], tf.zeros_like(latents @ self.outwards[:2])


def _heads():
    images = keras.Input((4, 4, 1))
    flat = layers.Flatten()(images)
    return images, layers.Dense(3)(flat), layers.Dense(3)(flat)


def _decoder(shape=(4, 4, 1)):
    latents = keras.Input((3,))
    return keras.Model(latents, layers.Reshape(shape)(layers.Dense(int(np.prod(shape)))(latents)))


def _three_outputs():
    images, mean, log_variance = _heads()
    return (keras.Model(images, [mean, log_variance, Sampling()([mean, log_variance])]), _decoder()), {}


def _dictionary_of_mean_and_sigma():
    images, mean, spread = _heads()
    return (keras.Model(images, {"mu": mean, "sigma": layers.Activation("softplus")(spread)}), _decoder()), {}


def _joined_and_logits():
    images, mean, spread = _heads()
    joined = keras.Model(images, layers.Concatenate()([mean, spread]))
    return (joined, _decoder()), {"joined": True, "output": "logits"}


def _series_of_any_length():
    series = keras.Input((None, 2))
    pooled = layers.GlobalAveragePooling1D()(series)
    encoder = keras.Model(series, [layers.Dense(3)(pooled), layers.Dense(3)(pooled)])
    return (encoder, _decoder((6, 2))), {"examples": VECTORS[:48].reshape(-1, 6, 2)}


def _reads_the_examples():
    images, mean, spread = _heads()
    latents, seen = keras.Input((3,)), keras.Input((4, 4, 1))
    decoder = keras.Model([latents, seen], layers.Reshape((4, 4, 1))(layers.Dense(16)(latents)) + 0.5 * seen)
    return (keras.Model(images, [mean, spread]), decoder), {}


def _module():
    module = Module()
    return (module.encode, module.decode), {"examples": VECTORS}


def _functions_over_variables():
    module = Module()
    return (lambda x: module.encode(x), lambda z: module.decode(z)[0]), {"examples": VECTORS}


def _not_registered():
    return (Encoder(), Decoder()), {"examples": VECTORS[:48].reshape(-1, 4, 4, 1)}


@pytest.mark.slow
@pytest.mark.usefixtures("one_process")
@pytest.mark.parametrize(
    "make",
    [
        _three_outputs,
        _dictionary_of_mean_and_sigma,
        _joined_and_logits,
        _series_of_any_length,
        _reads_the_examples,
        _module,
        _functions_over_variables,
        _not_registered,
    ],
)
def test_a_pair_exports(make, tmp_path):
    pair, options = make()
    found = tfcollapse.export(pair, tmp_path / "pair", **options)
    assert found["largest_difference"] <= 1e-6
    outputs = found["signatures"]["serving_default"]["outputs"]
    assert list(outputs)[:3] == ["log_variance", "mean", "reconstructions"]
    assert ("sample" in found["signatures"]) == (make is not _reads_the_examples)
    assert "tfcollapse" in json.loads((tmp_path / "pair" / METADATA).read_text())


def test_a_pair_s_answers_are_the_log_variance_and_the_mean_whatever_the_models_return():
    (encoder, decoder), options = _dictionary_of_mean_and_sigma()
    images = np.random.default_rng(0).random((5, 4, 4, 1), np.float32)
    functions = of_pair(encoder, decoder, None, None, False, None)
    assert np.allclose(functions.encode(images)["log_variance"], 2 * np.log(encoder(images)["sigma"]), atol=1e-5)
    (encoder, decoder), options = _joined_and_logits()
    functions = of_pair(encoder, decoder, None, None, **options)
    latents = np.ones((2, 3), np.float32)
    assert np.allclose(functions.decode(latents)["reconstructions"], tf.sigmoid(decoder(latents)), atol=1e-6)
    module = Module()
    assert "reconstructions_log_variance" in of_pair(module.encode, module.decode, VECTORS, None, False, None).decode(
        np.ones((2, 2), np.float32)
    )


def _of_numpy(examples):
    return np.asarray(examples)[:, :2], np.zeros((len(examples), 2), np.float32)


def _conditional():
    images, mean, _ = _heads()
    condition = keras.Input((3,))
    return keras.Model([images, condition], [mean, layers.Dense(3)(condition)])


@pytest.mark.parametrize(
    ("make", "options", "message"),
    [
        (lambda: (_of_numpy, Module().decode), {"examples": VECTORS}, "encoder: expected a function of TensorFlow's"),
        (lambda: (Module().encode, Module().decode), {}, "encoder that declares its input's shape, received"),
        (lambda: (_conditional(), _decoder()), {}, "a condition is fixed by a function"),
        (lambda: (3, _decoder()), {}, "expected a Keras model, a torch module or a function, received int"),
        (lambda: _three_outputs()[0], {"output": "image"}, "output: expected one of mean, logits, log_mean"),
        (lambda: _three_outputs()[0], {"metadata": {"a": object()}}, "metadata: expected what JSON can hold"),
        (lambda: _three_outputs()[0], {"metadata": {"a": float("nan")}}, "metadata: expected what JSON can hold"),
        (
            lambda: _three_outputs()[0],
            {"metadata": {"tfcollapse": 1}},
            "metadata: expected names that .* received .'tfc",
        ),
        (lambda: (Module().encode,), {}, r"expected a tfcollapse.Autoencoder or \(encoder, decoder\), received tuple"),
    ],
)
def test_a_pair_that_cannot_be_exported_is_one_line(make, options, message, tmp_path):
    with pytest.raises(ConfigError, match=message):
        tfcollapse.export(make(), tmp_path / "pair", **options)
    assert not list(tmp_path.iterdir())


def test_a_reload_that_takes_too_long_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr("tfcollapse.exports.reload._SECONDS", 0.01)
    with pytest.raises(RunError, match="expected an answer of the fresh process within 0.01 s, received none"):
        tfcollapse.export(_three_outputs()[0], tmp_path / "pair")
    assert not list(tmp_path.iterdir())


def test_torch_s_and_jax_s_models_are_one_line(tmp_path):
    torch = pytest.importorskip("torch")
    layer = torch.nn.Linear(5, 2)
    for encoder in (layer, tfcollapse.from_torch(lambda x: (layer(x), layer(x)))):
        with pytest.raises(ConfigError, match="encoder: expected a model or function of Keras or TensorFlow"):
            tfcollapse.export((encoder, Module().decode), tmp_path / "pair", examples=VECTORS)


def test_a_keras_file_of_classes_that_are_not_registered_is_one_line_with_the_way_out(tmp_path):
    model = tfcollapse.Autoencoder(Encoder(), Decoder(), image_shape=(4, 4, 1), latent_dim=3)
    with pytest.raises(ConfigError, match="received Encoder: decorate it .* or choose a target without .keras"):
        tfcollapse.export(model, tmp_path / "vae.keras")
    with pytest.raises(ConfigError, match="expected a directory for"):
        tfcollapse.export((model.encoder, model.decoder), tmp_path / "vae.keras")
    assert not list(tmp_path.iterdir())


def test_a_keras_file_of_registered_classes_is_checked_where_they_are(tmp_path):
    with keras.saving.custom_object_scope({"Encoder": Encoder, "Decoder": Decoder}):
        model = tfcollapse.Autoencoder(Encoder(), Decoder(), image_shape=(4, 4, 1), latent_dim=3)
        assert tfcollapse.export(model, tmp_path / "vae.keras")["largest_difference"] <= 1e-6


@pytest.mark.slow
@pytest.mark.usefixtures("one_process")
def test_the_command_exports_two_files(tmp_path, capfd):
    images, mean, spread = _heads()
    keras.Model(images, [mean, spread]).save(tmp_path / "encoder.keras")
    _decoder().save(tmp_path / "decoder.keras")
    encoder, decoder, target = (str(tmp_path / name) for name in ("encoder.keras", "decoder.keras", "pair"))
    assert main(["export", encoder, target]) == 2
    assert "ENCODER and --decoder" in capfd.readouterr().err
    assert main(["export", encoder, target, "--decoder", decoder]) == 0
    assert "sample: count int32 [], seed int32 [] -> samples float32 [None, 4, 4, 1]" in capfd.readouterr().out


TRAINED_ON_REPLICAS = """
import os, pathlib, sys
import keras, numpy as np, tensorflow as tf
sys.path[:0] = sys.argv[2:]
device = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(device, [tf.config.LogicalDeviceConfiguration()] * 2)
import tfcollapse
from test_export_pairs import Decoder, Encoder
with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
    model = tfcollapse.Autoencoder(Encoder(), Decoder(), image_shape=(4, 4, 1), latent_dim=3)
    model.compile("adam")
model.fit(np.random.default_rng(0).random((64, 4, 4, 1), np.float32), verbose=0)
folder = pathlib.Path(sys.argv[1])
os.chdir(folder)  # where a stranger's modules are
print(tfcollapse.export(model, "vae")["largest_difference"], type(model.log_gamma.value).__name__)
from tfcollapse.models import networks
network = tfcollapse.Network(depth=1, width=4)
plain = tfcollapse.Autoencoder(*networks.build(network, (4, 4, 1), variational=True, seed=0))
print(tfcollapse.export(plain, "vae.keras")["largest_difference"])
"""


@pytest.mark.slow
def test_classes_of_the_user_s_trained_on_replicas_export_and_nothing_of_the_working_directory_runs(tmp_path):
    for name in ("tfcollapse", "multiprocessing", "numpy", "json"):
        (tmp_path / f"{name}.py").write_text(f"import pathlib; pathlib.Path('{tmp_path}/{name} ran').touch()")
    ran = python(
        TRAINED_ON_REPLICAS, str(tmp_path), str(ROOT / "tests"), str(ROOT / "tests/tools"), CUDA_VISIBLE_DEVICES="-1"
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    assert ran.stdout.split() == ["0.0", "MirroredVariable", "0.0"]
    assert not list(tmp_path.glob("* ran"))
