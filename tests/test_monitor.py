"""CollapseMonitor on models that Keras' own fit trains."""

import csv

import keras
import numpy as np
import pytest
from keras import layers, ops

from tfcollapse.diagnosis.monitor import CollapseMonitor, CollapseWarning
from tfcollapse.diagnosis.taxonomy.example_vaes import ExampleVAE, encoder
from tfcollapse.errors import ConfigError
from tfcollapse.metrics import posterior

KEYS = ["active_units", "kl", "reconstruction_error", "sigma_q10", "sigma_q50", "sigma_q90"]


def vae(seed=0, gamma=None):
    keras.utils.set_random_seed(seed)
    decoder = keras.Sequential([keras.Input((4,)), layers.Dense(16), layers.Reshape((4, 4, 1))])
    model = ExampleVAE(encoder((4, 4, 1), 4, 16), decoder)
    model.compile(keras.optimizers.Adam(1e-2))
    return model


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).uniform(size=(512, 4, 4, 1)).astype(np.float32)


def test_history_and_csv_have_what_the_posterior_says(images, tmp_path):
    model = vae()
    monitor = CollapseMonitor(model.encoder, model.decoder, images[:200], budget=1e9)
    log = keras.callbacks.CSVLogger(str(tmp_path / "log.csv"))
    history = model.fit(images, epochs=3, batch_size=64, verbose=0, callbacks=[monitor, log]).history
    with (tmp_path / "log.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    mean, log_variance = (np.asarray(part) for part in model.encoder(images[:200]))
    expected = {
        "active_units": (mean.var(axis=0) > 0.01).sum(),
        "kl": posterior.kl_per_dimension(mean, log_variance).sum(),
        "sigma_q50": np.quantile(np.exp(log_variance / 2), 0.5),
        "reconstruction_error": np.square(images[:200] - np.asarray(model.decoder(mean))).mean(),
    }
    for name in KEYS:
        assert len(history[name]) == 3
        assert [float(row[name]) for row in rows] == pytest.approx(history[name])
    for name, value in expected.items():
        assert history[name][-1] == pytest.approx(value, rel=1e-4)
    assert "loss" in history


class Dying(keras.callbacks.Callback):
    """Cuts units off while training goes on."""

    def on_epoch_begin(self, epoch, logs=None):
        head = self.model.encoder.layers[-2]
        kernel, bias = head.get_weights()
        kernel[:, : max(0, epoch - 1)] = 0
        head.set_weights([kernel, bias])


def test_it_warns_once_when_units_die(images):
    model = vae()
    model.optimizer.learning_rate = 0.0
    monitor = CollapseMonitor(model.encoder, None, images[:200], budget=1e9)
    with pytest.warns(CollapseWarning, match="epoch 3: 3 latent units are active, 4 were") as seen:
        history = model.fit(images[:64], epochs=5, verbose=0, callbacks=[Dying(), monitor]).history
    assert history["active_units"] == [4, 4, 3, 2, 1]
    assert len([each for each in seen if each.category is CollapseWarning]) == 1


class Clock:
    """Time of which this test alone decides how it passes, and no load of the machine."""

    now = 0.0

    def perf_counter(self):
        return self.now


class Steps(keras.callbacks.Callback):
    """Steps that take as long as those of a model worth watching."""

    def __init__(self, clock):
        super().__init__()
        self.clock = clock

    def on_train_batch_end(self, batch, logs=None):
        self.clock.now += 0.02


def test_it_keeps_within_its_budget_and_logs_nan_where_it_did_not_measure(images, monkeypatch):
    clock, model = Clock(), vae()
    model.optimizer.learning_rate = 1e-3
    monkeypatch.setattr("tfcollapse.diagnosis.monitor.time", clock)
    monitor = CollapseMonitor(model.encoder, model.decoder, images)
    measure, measured = monitor.measure, []

    def costly():
        clock.now += 0.01
        measured.append(clock.now)
        return measure()

    monkeypatch.setattr(monitor, "measure", costly)
    watched = [Steps(clock), monitor]
    model.fit(images, epochs=1, verbose=0, callbacks=watched)  # what it cost an earlier training does not count
    before, begun = monitor.seconds, clock.now
    measured.clear()
    history = model.fit(images, epochs=25, batch_size=64, verbose=0, callbacks=watched).history
    elapsed = clock.now - begun
    assert monitor.seconds - before <= 0.02 * elapsed + 0.05  # one measurement may stand over
    assert monitor.seconds - before == pytest.approx(0.01 * len(measured))
    assert len(measured) > 2  # and it measures again as soon as it may
    for name in KEYS:
        numbers = np.array(history[name])
        assert len(numbers) == 25
        assert np.isfinite(numbers[[0, -1]]).all()
        assert np.isfinite(numbers).sum() == len(measured) < 25


def test_a_file_has_the_last_epoch_too(images, tmp_path):
    model = vae()
    model.optimizer.learning_rate = 1e-4
    monitor = CollapseMonitor(model.encoder, model.decoder, images[:200], budget=1e-9)
    log = keras.callbacks.CSVLogger(str(tmp_path / "log.csv"))
    model.fit(images, epochs=3, verbose=0, callbacks=[monitor, log])
    with (tmp_path / "log.csv").open(newline="") as file:
        kl = [float(row["kl"]) for row in csv.DictReader(file)]
    assert np.isnan(kl).tolist() == [False, True, False]


def test_the_last_epoch_is_measured_where_a_callback_behind_it_ends_the_training(images):
    model = vae()
    model.optimizer.learning_rate = 1e-4
    monitor = CollapseMonitor(model.encoder, model.decoder, images[:200], budget=1e-9)
    stop = keras.callbacks.EarlyStopping("loss", min_delta=1e9, patience=3, restore_best_weights=True)
    ended = []

    class Weights(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            ended[:] = [ops.convert_to_numpy(model.encoder(images[:200])[0]).var(axis=0)]

    history = model.fit(images, epochs=50, verbose=0, callbacks=[monitor, stop, Weights()]).history
    epochs = len(history["loss"])
    assert epochs == 4
    assert np.isnan(history["kl"]).tolist() == [False, True, True, False]
    assert history["active_units"][-1] == (ended[0] > 0.01).sum()


def test_a_vae_that_is_dead_from_the_start_is_warned_of(images):
    model = vae()
    for layer in model.encoder.layers[-2:]:
        layer.set_weights([0 * weights for weights in layer.get_weights()])
    model.optimizer.learning_rate = 0.0
    monitor = CollapseMonitor(model.encoder, model.decoder, images[:200], budget=1e9)
    with pytest.warns(CollapseWarning, match="epoch 3: no latent unit is active yet, KL 0 nats") as seen:
        model.fit(images[:64], epochs=5, verbose=0, callbacks=[monitor])
    assert len([each for each in seen if each.category is CollapseWarning]) == 1
    with pytest.warns(CollapseWarning, match="epoch 1: no latent unit is active yet"):  # its only one
        model.fit(images[:64], epochs=1, verbose=0, callbacks=[monitor])


class Diverging(keras.callbacks.Callback):
    """Makes the decoder's, later both models' weights NaN at the end of an epoch, and mends them before the next."""

    def on_epoch_end(self, epoch, logs=None):
        self.kept = self.model.get_weights()
        broken = {1: [self.model.decoder], 2: [self.model.encoder, self.model.decoder]}.get(epoch, [])
        for part in broken:
            part.set_weights([np.nan * weights for weights in part.get_weights()])

    def on_epoch_begin(self, epoch, logs=None):
        if epoch:
            self.model.set_weights(self.kept)


def test_what_is_not_finite_is_nan_in_the_logs_and_training_goes_on(images):
    model = vae()
    model.optimizer.learning_rate = 0.0
    monitor = CollapseMonitor(model.encoder, model.decoder, images[:200], budget=1e9)
    with pytest.warns(CollapseWarning, match="epoch 2: .* NaN or infinity") as seen:
        history = model.fit(images[:64], epochs=4, verbose=0, callbacks=[Diverging(), monitor]).history
    assert len([each for each in seen if each.category is CollapseWarning]) == 1
    assert np.isnan(history["reconstruction_error"]).tolist() == [False, True, True, False]
    assert np.isnan(history["active_units"]).tolist() == [False, False, True, False]
    assert history["kl"][0] == history["kl"][1] == history["kl"][3]


def test_infinity_is_nan_too(images):
    def function(x):
        return np.zeros((len(x), 2)), np.full((len(x), 2), 1e4)  # exp(1e4) overflows, as the KL does

    assert np.isnan(CollapseMonitor(function, None, images[:9]).measure()["kl"])


def test_data_of_any_range_and_a_decoder_of_logits():
    counts = np.random.default_rng(0).poisson(50.0, (300, 6))

    def function(x):
        return x[:, :2] - 50, np.zeros((len(x), 2))

    # The decoder gives log 50 whatever z is: the error is the squares' mean around 50.
    monitor = CollapseMonitor(function, lambda z: np.full((len(z), 6), np.log(50.0)), counts, output="log_mean")
    found = monitor.measure()
    assert found["reconstruction_error"] == pytest.approx(np.square(counts - 50.0).mean(), rel=1e-5)
    assert found["active_units"] == 2


def test_one_output_of_means_and_sigmas():
    def function(x):
        return np.concatenate([x[:, :2], np.full((len(x), 2), 0.25)], axis=1)

    found = CollapseMonitor(function, None, np.eye(8), spread="sigma", joined=True).measure()
    assert found["sigma_q50"] == pytest.approx(0.25)


class OwnNumbers(keras.callbacks.Callback):
    """Stands for a model that has numbers of its own by our names."""

    def on_epoch_end(self, epoch, logs=None):
        logs |= {"kl": 100.0 + epoch, "reconstruction_error": -1.0}


def test_numbers_of_the_model_keep_their_names(images):
    model = vae()
    model.optimizer.learning_rate = 1e-4
    monitor = CollapseMonitor(model.encoder, model.decoder, images[:200], budget=1e9)
    history = model.fit(images, epochs=2, verbose=0, callbacks=[OwnNumbers(), monitor]).history
    assert history["kl"] == [100.0, 101.0]
    assert history["reconstruction_error"] == [-1.0, -1.0]
    found = monitor.measure()
    assert history["collapse_kl"][-1] == found["kl"]
    assert history["collapse_reconstruction_error"][-1] == found["reconstruction_error"]
    assert history["active_units"][-1] == found["active_units"]
    assert "collapse_active_units" not in history


def test_models_that_do_not_fit_are_refused_before_the_first_epoch(images):
    model, begun = vae(), []
    monitor = CollapseMonitor(model.encoder, model.encoder, images)
    note = keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: begun.append(epoch))
    with pytest.raises(ConfigError, match="decoder: expected"):
        model.fit(images, epochs=1, verbose=0, callbacks=[monitor, note])
    assert not begun


def test_plain_functions_will_do(images):
    def function(x):
        flat = ops.convert_to_numpy(x).reshape(len(x), -1)
        return flat[:, :2], np.zeros((len(x), 2))

    found = CollapseMonitor(function, None, images[:100]).measure()
    assert found["active_units"] == 2
    assert found["sigma_q50"] == 1
    assert "reconstruction_error" not in found


@pytest.mark.parametrize(
    ("images", "given", "message"),
    [
        (np.full((10, 4), np.nan), {}, "data: expected finite"),
        (np.zeros((1, 4)), {}, "n >= 2"),
        (np.eye(4), {"budget": 0}, "budget"),
        (np.eye(4), {"threshold": -1}, "threshold"),
        (np.eye(10), {"output": "sigmoid"}, "output: expected one of mean, logits, log_mean, received 'sigmoid'"),
    ],
)
def test_bad_input_is_refused_at_once(images, given, message):
    with pytest.raises(ConfigError, match=message):
        CollapseMonitor(lambda x: (x, x), None, images, **given)


@pytest.mark.parametrize("encoder", [True, None, "3", b"x", 1j])
def test_what_is_no_encoder_is_refused_at_once(images, encoder):
    with pytest.raises(ConfigError, match="encoder: expected a model, received"):
        CollapseMonitor(encoder, None, images)


def test_data_in_the_place_of_the_decoder_are_refused_at_once(images):
    with pytest.raises(ConfigError, match="received ndarray: the order is encoder, decoder, data"):
        CollapseMonitor(lambda x: (x, x), images, lambda z: z)
