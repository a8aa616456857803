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
    monitor = CollapseMonitor(model.encoder, images[:200], model.decoder, budget=1e9)
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
    monitor = CollapseMonitor(model.encoder, images[:200], budget=1e9)
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


def test_it_keeps_within_its_budget_and_never_leaves_a_hole_in_the_logs(images, monkeypatch):
    clock, model = Clock(), vae()
    model.optimizer.learning_rate = 1e-3
    monkeypatch.setattr("tfcollapse.diagnosis.monitor.time", clock)
    monitor = CollapseMonitor(model.encoder, images, model.decoder)
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
    assert all(len(history[name]) == 25 for name in KEYS)


def test_plain_functions_will_do(images):
    def function(x):
        flat = ops.convert_to_numpy(x).reshape(len(x), -1)
        return flat[:, :2], np.zeros((len(x), 2))

    found = CollapseMonitor(function, images[:100]).measure()
    assert found["active_units"] == 2
    assert found["sigma_q50"] == 1
    assert "reconstruction_error" not in found


@pytest.mark.parametrize(
    ("images", "given", "message"),
    [
        (np.full((10, 4), 2.0), {}, r"images: expected uint8, or numbers in \[0, 1\]"),
        (np.zeros((1, 4)), {}, "n >= 2"),
        (np.zeros((10, 4)), {"budget": 0}, "budget"),
        (np.zeros((10, 4)), {"threshold": -1}, "threshold"),
    ],
)
def test_bad_input_is_refused_at_once(images, given, message):
    with pytest.raises(ConfigError, match=message):
        CollapseMonitor(lambda x: (x, x), images, **given)
