"""An autoencoder under Keras' own fit, evaluate, predict, save and callbacks."""

import copy
import json
import pickle

import keras
import numpy as np
import pytest
import tensorflow as tf
from processes import python

from tfcollapse import Autoencoder, Network, Objective, load_model
from tfcollapse.errors import ConfigError
from tfcollapse.models import networks

SHAPE, LATENT = (6, 6, 1), 3
L = keras.layers


def images(count=20):
    return np.random.default_rng(0).random((count, *SHAPE)).astype(np.float32)


def vae(objective=None, **options):
    parts = networks.build(Network(depth=1, width=8, latent_dim=LATENT), SHAPE, variational=True, seed=0)
    return Autoencoder(*parts, objective or Objective(gamma_start=0.5), **options)


def compiled(**options):
    model = vae()
    model.compile("adam", run_eagerly=True, **options)  # a few steps take less than a graph
    return model


def stranger(head=lambda h: [L.Dense(LATENT)(h), L.Dense(LATENT)(h)], tail=None, **options):
    """An autoencoder of Keras' own layers."""
    inputs, z = keras.Input(SHAPE), keras.Input((LATENT,))
    encoder = keras.Model(inputs, head(L.Dense(5)(L.Flatten()(inputs))))
    pixels = L.Dense(36)(z)
    return Autoencoder(encoder, keras.Model(z, L.Reshape(SHAPE)(pixels) if tail is None else tail(pixels)), **options)


@pytest.mark.parametrize(
    ("objective", "optimizer"),
    [
        (Objective(gamma="fixed", gamma_start=0.05, warmup="kl", warmup_steps=12), keras.optimizers.Adam(5e-3)),
        (Objective(gamma="optimal"), keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(1e-4, momentum=0.9))),
    ],
    ids=["warm-up", "optimal"],
)
def test_a_model_saved_in_mid_training_goes_on_exactly(tmp_path, objective, optimizer):
    model = vae(objective)
    model.compile(optimizer, steps_per_execution=2)
    model.fit(images(), batch_size=4, shuffle=False, verbose=0)
    model.save(tmp_path / "middle.keras")
    loaded = keras.saving.load_model(tmp_path / "middle.keras")  # without a warning, which would be an error here
    assert loaded.steps_per_execution == 2
    copies = [loaded, pickle.loads(pickle.dumps(model)), copy.deepcopy(model), model]
    histories = [each.fit(images(), batch_size=4, shuffle=False, verbose=0).history for each in copies]
    assert all(history == histories[-1] for history in histories)
    for variable in zip(*(each.get_weights() for each in copies), strict=True):
        assert all(np.array_equal(variable[-1], other) for other in variable)
    assert not load_model(tmp_path / "middle.keras").compiled  # that of this package reads any file, and starts nothing


def test_a_model_saved_before_its_first_step_is_still_compiled(tmp_path):
    model = vae()
    model.compile("adam")
    model.save(tmp_path / "new.keras")
    assert keras.saving.load_model(tmp_path / "new.keras").compiled


def test_backup_and_restore_goes_on_exactly(tmp_path):
    class Killed(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 1:
                raise KeyboardInterrupt

    def fit(*callbacks):
        model = vae(Objective(gamma="optimal", warmup="kl", warmup_steps=12))
        model.compile(keras.optimizers.Adam(1e-3))
        return model.fit(images(), batch_size=8, epochs=3, shuffle=False, verbose=0, callbacks=callbacks).history

    whole = fit()
    with pytest.raises(KeyboardInterrupt):
        fit(keras.callbacks.BackupAndRestore(tmp_path / "backup"), Killed())
    resumed = fit(keras.callbacks.BackupAndRestore(tmp_path / "backup"))
    assert resumed["loss"] == whole["loss"][-len(resumed["loss"]) :]
    assert len(resumed["loss"]) < 3


@pytest.mark.parametrize("options", [{"jit_compile": True}, {"steps_per_execution": 3}], ids=["jit", "several steps"])
def test_a_compiled_fit_takes_the_steps_of_an_eager_one(options):
    weights = []
    for chosen in ({"run_eagerly": True}, options):
        model = vae(Objective(kind="ae") if "jit_compile" in options else None)  # XLA draws other normal numbers
        model.compile(keras.optimizers.Adam(1e-3), **chosen)
        model.fit(images(17), batch_size=4, shuffle=False, verbose=0)
        weights.append(model.get_weights())
    for eager, other in zip(*weights, strict=True):
        np.testing.assert_allclose(eager, other, atol=1e-5)


def test_gradients_accumulate_over_batches_with_noise_of_their_own():
    model = vae()
    model.compile(keras.optimizers.SGD(1e-3, gradient_accumulation_steps=2), run_eagerly=True)
    first = np.asarray(model._noise(images(4)))
    model.train_on_batch(images(4))
    assert model.optimizer.iterations == 0
    assert not np.isin(first, np.asarray(model._noise(images(4)))).any()


def test_summary_shows_shapes_and_export_needs_no_call(tmp_path):
    model, lines = vae(), []
    model.summary(print_fn=lines.append)
    text = "\n".join(lines)
    assert "?" not in text
    assert all(shape in text for shape in ("[(None, 3), (None, 3)]", "(None, 6, 6, 1)"))
    model.export(tmp_path / "saved", verbose=False)
    served = tf.saved_model.load(tmp_path / "saved")
    np.testing.assert_allclose(served.serve(images()), model.predict(images(), verbose=0), atol=1e-6)


class Batches(keras.utils.PyDataset):
    def __len__(self):
        return 3

    def __getitem__(self, index):
        return (images(4),)


def generator(batches=3):
    for _ in range(batches):
        yield images(4)


@pytest.mark.parametrize(
    "data",
    [
        lambda: images().astype(np.float64),
        lambda: images().astype(np.float16),
        lambda: (255 * images()).astype(np.uint8),
        lambda: tf.data.Dataset.from_tensor_slices(images()).batch(8),
        lambda: tf.data.Dataset.from_tensor_slices(((255 * images()).astype(np.uint8), np.zeros(20))).batch(8),
        lambda: tf.data.Dataset.from_generator(generator, output_types=tf.float32).apply(
            tf.data.experimental.assert_cardinality(3)  # without it Keras itself warns that the data ran out
        ),
        Batches,
    ],
    ids=["float64", "float16", "uint8", "dataset", "uint8 dataset with labels", "dataset without shapes", "PyDataset"],
)
def test_fit_evaluate_and_predict_take(data):
    model = compiled()
    assert np.isfinite(model.fit(data(), batch_size=None, verbose=0, validation_data=data()).history["val_loss"]).all()
    assert np.isfinite(model.evaluate(data(), verbose=0)).all()
    assert model.predict(data(), verbose=0).shape[1:] == SHAPE


def test_a_generator_loses_no_batch_to_the_check():
    model = compiled()
    model.fit(generator(4), steps_per_epoch=2, epochs=2, verbose=0)
    assert model.optimizer.iterations == 4


def test_uint8_is_trained_as_train_does_it():
    whole = np.round(255 * images()).astype(np.uint8)
    losses = [compiled().fit(x, shuffle=False, verbose=0).history["loss"] for x in (whole, whole / np.float32(255))]
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)


def changed(at=(3, 2, 2, 0), value=np.nan):
    data = images()
    data[at] = value
    return data


REFUSED = {
    "0 to 255": (lambda: (255 * images(),), r"expected images in \[0, 1\], received numbers from .* to 25"),
    "standardised": (lambda: (images() - 1,), r"make the model with value_range=None"),
    "NaN": (lambda: (changed(),), "expected finite numbers, received NaN"),
    "infinity": (lambda: (changed(value=np.inf),), "expected finite numbers, received infinity"),
    "binary uint8": (lambda: ((images() > 0.5).astype(np.uint8),), "uint8 images of 0 to 255, received 0 and 1 alone"),
    "int64": (lambda: (np.ones((2, *SHAPE), int),), "expected floats, or uint8 of 0 to 255, received int64"),
    "no channel": (lambda: (images()[..., 0],), r"expected the shape \(batch, 6, 6, 1\), received \(20, 6, 6\)"),
    "none": (lambda: (images(0),), "expected an image or more, received none"),
    "list": (lambda: ([images()],), "expected an array, a dataset or a generator of images, received list"),
    "empty": (lambda: (generator(0),), "expected a batch of images or more, received an empty stream"),
    "dictionaries": (lambda: (iter_of({"x": images()}),), "expected batches of images, received batches of dict"),
    "bad stream": (lambda: (iter_of((255 * images(),)),), r"expected images in \[0, 1\]"),
    "denoising": (lambda: (images(), images()[::-1]), "expected no targets, .* received other images as y"),
}


def iter_of(*batches):
    yield from batches


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("method", ["fit", "evaluate"])
def test_data_that_cannot_be_are_one_line(name, method):
    data, line = REFUSED[name]
    with pytest.raises(ConfigError, match=line) as refused:
        getattr(compiled(), method)(*data(), verbose=0)
    assert "\n" not in refused.value.args[0]


def test_every_other_way_in_is_checked_too():
    model, bad = compiled(), 255 * images()
    for call in (
        lambda: model.fit(images(), validation_data=(bad,), verbose=0),
        lambda: model.predict(bad, verbose=0),
        lambda: model.predict_on_batch(bad),
        lambda: model.train_on_batch(bad),
        lambda: model.test_on_batch(bad),
    ):
        with pytest.raises(ConfigError, match=r"expected images in \[0, 1\]"):
            call()
    with pytest.raises(ConfigError, match=r"images: expected the shape"):
        model(images()[..., 0])
    weights = np.ones(20)
    for call in (
        lambda: model.fit(images(), sample_weight=weights, verbose=0),
        lambda: model.fit(tf.data.Dataset.from_tensor_slices((images(), images(), weights)).batch(5), verbose=0),
        lambda: model.evaluate(images(), sample_weight=weights, verbose=0),
    ):
        with pytest.raises(ConfigError, match="as every image counts once"):
            call()
    for options in ({"loss": "mse"}, {"metrics": ["mse"]}, {"loss_weights": [1.0]}):
        with pytest.raises(ConfigError, match="compile: expected an optimizer without"):
            model.compile("adam", **options)


def test_a_range_of_none_takes_standardised_data():
    model = vae(value_range=None)
    model.compile("adam", run_eagerly=True)
    assert np.isfinite(model.fit(images() - 3, verbose=0).history["loss"]).all()
    assert Autoencoder.from_config(model.get_config()).value_range is None


@pytest.mark.parametrize(
    "head",
    [
        lambda h: [L.Dense(LATENT)(h), L.Dense(LATENT)(h), L.Dense(LATENT)(h)],
        lambda h: {"z_mean": L.Dense(LATENT)(h), "z_log_var": L.Dense(LATENT)(h)},
        lambda h: {"mu": L.Dense(LATENT)(h), "sigma": L.Dense(LATENT, activation="softplus")(h)},
        lambda h: keras.ops.split(L.Dense(2 * LATENT)(h), 2, axis=-1),
    ],
    ids=["three", "dictionary", "sigma", "split"],
)
def test_an_encoder_as_people_write_it_trains_and_is_read_again(head, tmp_path):
    model = stranger(head)
    assert (model.image_shape, model.latent_dim) == (SHAPE, LATENT)
    model.compile("adam", run_eagerly=True)
    assert np.isfinite(model.fit(images(), verbose=0).history["loss"]).all()
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(loaded(images()), model(images()), atol=1e-6)


def test_a_third_output_is_not_the_sigma_of_a_dictionary():
    model = stranger(lambda h: {"mu": L.Dense(LATENT)(h), "sigma": L.Dense(LATENT, activation="softplus")(h)})
    sigma = model.encoder(images())["sigma"]
    np.testing.assert_allclose(model.encode(images()).log_variance, 2 * np.log(sigma), atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ({"head": lambda h: L.Dense(2 * LATENT)(h)}, r"received one output of \(batch, 6\): add a second head"),
        ({"head": lambda h: [L.Dense(LATENT)(h) for _ in range(4)]}, "received 4 outputs"),
        ({"head": lambda h: [L.Dense(4)(h), L.Dense(4)(h)]}, r"a mean of \(batch, 3\), received \(batch, 4\)"),
        (
            {"head": lambda h: [L.Dense(LATENT)(h), L.Dense(2)(h)]},
            r"log variance of .*3\), received \(batch, 2\)",
        ),
        ({"head": lambda h: [L.Reshape((3, 1))(L.Dense(3)(h))] * 2}, r"received \(batch, 3, 1\)"),
        ({"tail": lambda pixels: pixels}, r"images of \(batch, 6, 6, 1\), received \(batch, 36\)"),
        ({"tail": L.Reshape((6, 6))}, r"images of \(batch, 6, 6, 1\), received \(batch, 6, 6\)"),
        (
            {"tail": lambda pixels: [L.Reshape(SHAPE)(pixels)] * 2},
            "decoder: expected one output, .* received 2",
        ),
        ({"image_shape": (3, 12, 1)}, r"image_shape: expected \(6, 6, 1\), which the encoder takes"),
        ({"image_shape": 36}, "image_shape: expected tuple"),
        ({"latent_dim": 5}, "latent_dim: expected 3, which the decoder takes, received 5"),
        ({"latent_dim": "3"}, "latent_dim: expected int or none, received '3'"),
        ({"objective": "vae"}, "objective: expected Objective or dict"),
        ({"value_range": 255}, "value_range: expected"),
        ({"seed": "a"}, "seed: expected int, received 'a'"),
    ],
)
def test_parts_that_do_not_fit_are_one_line(arguments, line):
    with pytest.raises(ConfigError, match=line):
        stranger(**arguments)


def test_networks_without_shapes_say_which_argument_to_give():
    encoder, decoder = (
        keras.Sequential([L.Flatten(), L.Dense(LATENT)]),
        keras.Sequential([L.Dense(36), L.Reshape(SHAPE)]),
    )
    with pytest.raises(ConfigError, match="give image_shape="):
        Autoencoder(encoder, decoder, {"kind": "ae"})
    with pytest.raises(ConfigError, match="give latent_dim="):
        Autoencoder(encoder, decoder, {"kind": "ae"}, image_shape=SHAPE)
    with pytest.raises(ConfigError, match="encoder: expected Layer, received <function"):
        Autoencoder(lambda x: x, decoder)
    assert Autoencoder(encoder, decoder, {"kind": "ae"}, image_shape=SHAPE, latent_dim=LATENT).count_params() > 0


def test_losses_that_layers_add_count():
    model = stranger(
        lambda h: L.Dense(LATENT, kernel_regularizer=keras.regularizers.L2(1.0))(h), objective={"kind": "ae"}
    )
    model.compile(keras.optimizers.SGD(0.1), run_eagerly=True)
    kernel = model.encoder.layers[-1].kernel
    before = np.square(kernel.numpy()).sum()
    model.fit(images(), epochs=10, verbose=0)
    assert np.square(kernel.numpy()).sum() < 0.1 * before


REPLICAS = """
import itertools, json, sys
import tensorflow as tf
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2)
import keras, numpy as np
from tfcollapse import Autoencoder, Network, Objective
from tfcollapse.errors import ConfigError
from tfcollapse.models import networks

images = np.random.default_rng(0).random((9, 8, 8, 1)).astype(np.float32)  # batches of 4, 4, and 1: 2 and 2, 1 and none

def steps(strategy, settings, network, **options):
    with strategy.scope():
        model = Autoencoder(
            *networks.build(network, (8, 8, 1), variational=settings["kind"] == "vae", seed=0), Objective(**settings))
        if model.variational:  # no posterior noise, which the two draw differently
            head = model.encoder.log_variance
            head.kernel.assign(tf.zeros_like(head.kernel))
            head.bias.assign(tf.fill(head.bias.shape, -60.0))
        model.compile(keras.optimizers.SGD(1e-4, **options), run_eagerly=False)
        before = [v.numpy() for v in model.weights]
    logs = model.fit(images, batch_size=4, shuffle=False, verbose=0, validation_data=images).history
    return [v.numpy() - b for v, b in zip(model.weights, before)], [values[0] for values in logs.values()]

one, two = tf.distribute.get_strategy(), tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
dense = Network(depth=1, width=8, latent_dim=3)
cases = {"ae": ({"kind": "ae"}, dense)}
for gamma, warmup in itertools.product(("learned", "fixed", "optimal"), ("none", "kl", "gamma")):
    if (gamma, warmup) != ("learned", "gamma"):
        length = {} if warmup == "none" else {"warmup_steps": 5}
        settings = {"kind": "vae", "gamma": gamma, "gamma_start": 0.5, "warmup": warmup}
        cases[f"{gamma} {warmup}"] = settings | length, dense
residual = Network(architecture="residual", depth=1, latent_dim=3, base_channels=4, batch_norm=True)
cases["batch norm"] = {"kind": "ae"}, residual
for name, (settings, network) in cases.items():
    (alone, logs), (shared, others) = steps(one, settings, network), steps(two, settings, network)
    scale = max(np.abs(moved).max() for moved in alone)
    apart = max(np.abs(a - b).max() for a, b in zip(alone, shared))
    print(json.dumps([name, float(scale), float(apart / scale), logs, others]))
try:
    steps(two, {"kind": "ae"}, dense, gradient_accumulation_steps=2)
except ConfigError as error:
    print(json.dumps(str(error)))
"""


@pytest.mark.slow
def test_a_share_may_be_empty_and_the_step_is_that_of_the_whole_batch():
    """With SGD, whose step shows the scale of a gradient."""
    found = python(REPLICAS, CUDA_VISIBLE_DEVICES="-1")
    assert found.returncode == 0, found.stderr[-3000:]
    *lines, refused = map(json.loads, found.stdout.splitlines())
    assert len(lines) == 10
    for name, moved, apart, logs, others in lines:
        assert moved > 1e-6, name
        assert apart < 1e-4, name
        assert np.isfinite(others).all(), name
        assert others == pytest.approx(logs, rel=1e-4), name
    assert refused.startswith("fit: expected no gradient_accumulation_steps over several replicas")


@pytest.mark.parametrize("frozen", ["encoder", "decoder"])
def test_what_was_frozen_stays_frozen_when_it_is_loaded(frozen, tmp_path):
    model = vae()
    getattr(model, frozen).trainable = False
    model.compile("adam", run_eagerly=True)
    model.fit(images(), batch_size=8, shuffle=False, verbose=0)
    model.save(tmp_path / "frozen.keras")
    loaded = keras.saving.load_model(tmp_path / "frozen.keras")
    assert len(loaded.trainable_variables) == len(model.trainable_variables) < len(vae().trainable_variables)
    histories = [each.fit(images(), batch_size=8, shuffle=False, verbose=0).history for each in (loaded, model)]
    assert histories[0] == histories[1]


def test_data_of_any_shape_are_saved_and_loaded(tmp_path):
    inputs, z = keras.Input((36,)), keras.Input((LATENT,))
    encoder = keras.Model(inputs, [[L.Dense(LATENT)(inputs), L.Dense(LATENT)(inputs)]])
    model = Autoencoder(encoder, keras.Model(z, L.Dense(36)(z)))
    model.save(tmp_path / "flat.keras")
    data = images().reshape(20, 36)
    np.testing.assert_array_equal(
        load_model(tmp_path / "flat.keras").predict(data, verbose=0), model.predict(data, verbose=0)
    )


@pytest.mark.parametrize(
    "validation",
    [
        lambda: (images(), None, np.ones(20)),
        lambda: tf.data.Dataset.from_tensor_slices((images(), images(), np.ones(20))).batch(5),
    ],
    ids=["arrays", "dataset"],
)
def test_weights_of_validation_data_are_refused_before_the_first_step(validation):
    model = compiled()
    with pytest.raises(ConfigError, match="expected no sample weights"):
        model.fit(images(), validation_data=validation(), verbose=0)
    assert model.optimizer.iterations == 0


def test_an_optimizer_is_needed():
    with pytest.raises(ConfigError, match="compile: expected an optimizer"):
        vae().compile(None)


def test_an_encoder_without_an_output_is_one_line():
    class Nothing(keras.Model):
        def call(self, inputs):
            return ()

    with pytest.raises(ConfigError, match="received no output"):
        Autoencoder(
            Nothing(), keras.Sequential([keras.Input((LATENT,)), L.Dense(36), L.Reshape(SHAPE)]), image_shape=SHAPE
        )
