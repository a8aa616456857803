"""`tfcollapse diagnose` on strangers' models: Keras' own manner, plain functions, files; and on our runs."""

import json

import keras
import numpy as np
import pytest
from keras import layers, ops
from processes import command, python

import tfcollapse as tc
from tfcollapse.cli.main import main
from tfcollapse.diagnosis.taxonomy.case import EIGENVALUES
from tfcollapse.errors import ConfigError
from tfcollapse.theory.known_images import known_images

LATENT = 3


class Sampling(layers.Layer):
    """Draws z, as the keras.io example does."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.seed_generator = keras.random.SeedGenerator(1337)

    def call(self, inputs):
        mean, log_variance = inputs
        noise = keras.random.normal(ops.shape(mean), seed=self.seed_generator)
        return mean + ops.exp(0.5 * log_variance) * noise


class TheirVAE(keras.Model):
    """A VAE that knows nothing of this package; `averaged` is the commonest mistake of all."""

    def __init__(self, encoder, decoder, averaged):
        super().__init__()
        self.encoder, self.decoder, self.averaged = encoder, decoder, averaged

    def train_step(self, data):
        import tensorflow as tf

        with tf.GradientTape() as tape:
            mean, log_variance, z = self.encoder(data)
            squares = ops.square(data - self.decoder(z))
            error = ops.mean(squares) if self.averaged else ops.mean(ops.sum(squares, axis=(1, 2, 3))) / 0.02
            kl = -0.5 * (1 + log_variance - ops.square(mean) - ops.exp(log_variance))
            loss = error + ops.mean(ops.sum(kl, axis=1))
        self.optimizer.apply(tape.gradient(loss, self.trainable_weights), self.trainable_weights)
        return {"loss": loss}


def their_parts(sampled=True):
    images = keras.Input((4, 4, 1))
    hidden = layers.Dense(32, activation="relu")(layers.Flatten()(images))
    mean, log_variance = layers.Dense(LATENT, name="z_mean")(hidden), layers.Dense(LATENT, name="z_log_var")(hidden)
    outputs = [mean, log_variance] + ([Sampling()([mean, log_variance])] if sampled else [])
    latents = keras.Input((LATENT,))
    decoded = layers.Reshape((4, 4, 1))(layers.Dense(16)(layers.Dense(32, activation="relu")(latents)))
    return keras.Model(images, outputs), keras.Model(latents, decoded)


@pytest.fixture(scope="module")
def images():
    return known_images(EIGENVALUES, seed=0)


def trained(images, averaged, seed=0):
    keras.utils.set_random_seed(seed)
    vae = TheirVAE(*their_parts(), averaged)
    vae.compile(keras.optimizers.Adam(1e-2))
    vae.fit(images.astype(np.float32) / 255, epochs=20, batch_size=128, verbose=0)
    return vae


def test_a_vae_in_the_manner_of_keras_io(images):
    vae = trained(images, averaged=False)
    # ||x - x_hat||^2 / 0.02 + KL is eq. (4) at gamma = 0.01.
    found = tc.diagnose(vae.encoder, vae.decoder, images, gamma=0.01)
    assert found.verdict.categories == ("healthy",)
    assert found.measurements.implied_gamma == pytest.approx(0.01, rel=0.15)


def test_a_loss_averaged_over_pixels_is_found_out(images):
    vae = trained(images, averaged=True)
    # mean + KL is gamma = d / 2 = 8, a hundred times every eigenvalue.
    told = tc.diagnose(vae.encoder, vae.decoder, images, gamma=8.0)
    assert told.verdict.categories == ("ii",)
    assert told.verdict.counts == {"active": 0, "ii": LATENT}
    untold = tc.diagnose(vae.encoder, vae.decoder, images)
    assert untold.verdict.categories == ("undecided",)
    assert "declare gamma" in str(untold)


def test_plain_functions_and_a_seed_give_the_same_numbers_again(images):
    random = np.random.default_rng(0)
    weights = random.standard_normal((16, LATENT)) / 4

    def encoder(x):
        mean = (x.reshape(len(x), -1) - 0.5) @ weights
        return mean, np.full_like(mean, -4.0)

    def decoder(z):
        return 0.5 + np.asarray(z) @ np.linalg.pinv(weights)

    first, again = (tc.diagnose(encoder, decoder, images[:600], 0.01, seed=3) for _ in range(2))
    assert json.dumps(first.as_json()) == json.dumps(again.as_json())
    assert first.measurements.amortization_gap is None  # nothing to differentiate
    other = tc.diagnose(encoder, decoder, images[:600], 0.01, seed=4)
    assert other.measurements.error != first.measurements.error
    assert other.measurements.error == pytest.approx(first.measurements.error, rel=0.1)


def good(x):
    return np.zeros((len(x), 2)), np.zeros((len(x), 2))


def flat(z):
    return np.zeros((len(z), 16))


@pytest.mark.parametrize(
    ("encoder", "decoder", "changed", "message"),
    [
        (good, lambda z: z @ np.zeros((3, 16)), {}, "decoder: expected to take"),
        (good, lambda z: np.zeros((len(z), 15)), {}, "decoder: expected examples of shape"),
        (lambda x: np.zeros((len(x), 2)), flat, {}, "encoder: expected"),
        (lambda x: (np.zeros((len(x), 2)), np.zeros((len(x), 3))), flat, {}, "encoder: expected mean and log_variance"),
        (lambda x: (np.full((len(x), 2), np.nan),) * 2, flat, {}, "encoder's mean: expected finite .* 2 of 2 examples"),
        (good, lambda z: np.full((len(z), 16), np.inf), {}, "decoder's output: expected finite"),
        (3, flat, {}, "encoder: expected a Keras model, a torch module or a function, received int"),
        (good, flat, {"gamma": 0.0}, "gamma: expected a number > 0, received 0"),
        (good, flat, {"gamma": float("nan")}, "gamma: expected float or none, received nan"),
        (good, flat, {"beta": -1.0}, "beta: expected a number > 0"),
        (good, flat, {"data": np.zeros((0, 16))}, "data: expected an array .n >= 2"),
        (good, flat, {"data": np.full((9, 16), np.nan)}, "data: expected finite"),
        (good, flat, {"data": np.full((9, 16), 0.5)}, "all the same"),
        (good, flat, {"data": np.array(["a", "b"])}, "data: expected an array"),
        (good, flat, {"data": np.array([["a"], ["b"]])}, "data: expected an array .* received <U1"),
        (good, flat, {"data": [[0.1], [0.2, 0.3]]}, "rows of unequal length"),
        (good, flat, {"data": np.zeros((5, 0))}, "data: expected an array"),
        (good, flat, {"gamma": -1.0}, "gamma: expected a number > 0, received -1"),
    ],
)
def test_what_cannot_be_right_is_refused_in_one_line(encoder, decoder, changed, message):
    given = {"data": np.random.default_rng(0).uniform(size=(9, 16)), "gamma": 0.1} | changed
    with pytest.raises(ConfigError, match=message) as raised:
        tc.diagnose(encoder, decoder, **given)
    assert "\n" not in str(raised.value)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    out = tmp_path_factory.mktemp("theirs")
    for name, part in zip(("encoder", "decoder"), their_parts(sampled=False), strict=True):
        part.save(out / f"{name}.keras")
    np.save(out / "images.npy", known_images(EIGENVALUES, seed=0)[:500])
    np.save(out / "wide.npy", np.arange(225, dtype=np.uint8).reshape(9, 5, 5, 1))
    np.save(out / "none.npy", np.zeros((0, 4, 4, 1), np.uint8))
    keras.Sequential([keras.Input((LATENT + 1,)), layers.Dense(16), layers.Reshape((4, 4, 1))]).save(out / "more.keras")
    unsafe = keras.Sequential([keras.Input((LATENT,)), layers.Lambda(lambda z: z), layers.Dense(16)])
    unsafe.save(out / "unsafe.keras")
    (out / "broken.keras").write_bytes(b"not a model")
    return out


def question(files, encoder="encoder.keras", decoder="decoder.keras", data="images.npy"):
    at = [str(files / name) for name in (encoder, decoder, data)]
    return ["diagnose", "--encoder", at[0], "--decoder", at[1], "--data", at[2]]


def check_answer(text):
    found = json.loads(text)
    assert sum(found["verdict"]["counts"].values()) == LATENT
    assert found["measurements"]["images"] == 500


def test_files_of_strangers_are_diagnosed(files, capsys):
    assert main([*question(files), "--gamma", "0.01", "--json"]) == 0
    check_answer(capsys.readouterr().out)


@pytest.mark.slow
def test_files_of_strangers_are_diagnosed_in_a_process_of_its_own(files):
    answer = command(*question(files), "--gamma", "0.01", "--json")
    assert answer.returncode == 0, answer.stderr
    check_answer(answer.stdout)
    assert answer.stderr == ""


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"decoder": "unsafe.keras"}, "without code in it"),
        ({"decoder": "broken.keras"}, "expected a .keras file"),
        ({"decoder": "missing.keras"}, "there is no such file"),
        ({"decoder": "encoder.keras"}, "decoder: expected"),
        ({"data": "encoder.keras"}, "dataset name"),
        ({"data": "missing.npy"}, "No such file or directory: expected a .npy or .npz file"),
        ({"data": "wide.npy"}, "encoder: expected to take"),
        ({"data": "none.npy"}, "data: expected an array [n >= 2, ...]"),
        ({"decoder": "more.keras"}, "decoder: expected to take"),
    ],
)
def test_a_bad_file_is_one_line_and_status_2(files, capsys, changed, message):
    assert main(question(files, **changed)) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    "arguments", [["diagnose"], ["diagnose", "--encoder", "e.keras"], ["diagnose", "run", "--encoder", "e.keras"]]
)
def test_half_a_question_is_refused(capsys, arguments):
    assert main(arguments) == 2
    assert "expected a run's directory" in capsys.readouterr().err


def finished(out, objective):
    """A finished run's directory; without XLA, which takes longer to compile than this takes to train."""
    run = tc.Run(
        data=tc.Data(name="fashion_mnist_mini", train=300, test=50),
        network=tc.Network(depth=1, width=16, latent_dim=4),
        training=tc.Training(steps=40, log_every=10, evaluate_every=20, checkpoint_every=20, jit="off"),
        objective=objective,
    )
    return out / tc.train(run, out)["run_id"]


def test_a_run_of_ours_keeps_its_diagnosis(tmp_path, capsys):
    run = finished(tmp_path, tc.Objective(gamma="optimal"))
    assert main(["diagnose", str(run)]) == 0
    assert "evidence" in capsys.readouterr().out
    kept = json.loads((run / "diagnosis.json").read_text())
    result = json.loads((run / "result.json").read_text())
    assert kept["measurements"]["error_at_mean"] == pytest.approx(
        result["train"]["reconstruction_error_at_mean"], rel=1e-4
    )
    assert kept["measurements"]["kl"] == pytest.approx(result["train"]["kl"], rel=1e-4)
    assert kept["verdict"]["counts"]["active"] == result["train"]["active_units"]
    assert kept["made"]["command"] == f"tfcollapse diagnose {run}"


def test_an_ae_and_a_directory_of_nothing_are_refused(tmp_path, capsys):
    assert main(["diagnose", str(finished(tmp_path / "runs", tc.Objective(kind="ae")))]) == 2
    assert "received an AE" in capsys.readouterr().err
    nothing = tmp_path / "nothing"
    nothing.mkdir()
    assert main(["diagnose", str(nothing)]) == 2
    assert "is not a run's directory" in capsys.readouterr().err


COST = """
import resource, sys, time
import numpy as np
from tfcollapse.backend import import_tensorflow
import_tensorflow()
import keras
from keras import layers
import tfcollapse as tc
count = int(sys.argv[2])
images = np.load(sys.argv[1], mmap_mode="r")[:count]
x, z = keras.Input((28, 28, 1)), keras.Input((64,))
hidden = layers.Dense(512, activation="relu")(layers.Flatten()(x))
encoder = keras.Model(x, [layers.Dense(64)(hidden), layers.Dense(64)(hidden)])
decoder = keras.Model(z, layers.Reshape((28, 28, 1))(layers.Dense(784)(layers.Dense(512, activation="relu")(z))))
begun = time.process_time()
tc.diagnose(encoder, decoder, images, gamma=0.01)
print(time.process_time() - begun, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
def test_60_000_images_take_less_than_a_minute_of_one_core_and_no_memory_that_grows_with_them(tmp_path):
    np.save(tmp_path / "images.npy", np.random.default_rng(0).integers(0, 256, (60_000, 28, 28, 1), np.uint8))
    found = {}
    for count in (20_000, 60_000):
        answer = python(COST, str(tmp_path / "images.npy"), str(count))
        assert answer.returncode == 0, answer.stderr
        found[count] = [float(number) for number in answer.stdout.split()]
    seconds, kilobytes = found[60_000]
    assert seconds < 60
    # The file's own pages, 31 MB more of them, stay in memory while there is room.
    assert kilobytes - found[20_000][1] < 60_000
