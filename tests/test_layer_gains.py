"""Signal and gradient per layer against products written out."""

import keras
import numpy as np
import pytest
from keras import layers

import tfcollapse as tc
from tfcollapse.config.architectures import ARCHITECTURES
from tfcollapse.diagnosis.blame.layer_gains import layer_gains
from tfcollapse.errors import ConfigError
from tfcollapse.models.autoencoder import Autoencoder
from tfcollapse.models.build import build
from tfcollapse.training.evaluation import initial_signal


def constant(value, name):
    return layers.Dense(1, use_bias=False, kernel_initializer=keras.initializers.Constant(value), name=name)


@pytest.fixture
def chain():
    """x of one pixel, times 0.5, 0.25 (the mean), then 2 and 3."""
    image, z = keras.Input((1,)), keras.Input((1,))
    hidden = constant(0.5, "first")(image)
    encoder = keras.Model(image, [constant(0.25, "mean")(hidden), constant(7.0, "log_variance")(hidden)])
    return encoder, keras.Model(z, constant(3.0, "out")(constant(2.0, "up")(z)))


def test_of_a_chain_of_numbers(chain):
    images = np.random.default_rng(0).uniform(size=(200, 1))
    spread = images.std()
    # x_hat = 0.75 x, so the error is (0.25 x)^2 and its derivative by x_hat -0.5 x.
    slope = 0.5 * np.sqrt(np.square(images).mean())
    expected = {"first": (0.5, 1.5), "mean": (0.125, 6.0), "up": (0.25, 3.0), "out": (0.75, 1.0)}
    found = layer_gains(*chain, images)
    assert [each.part for each in found] == ["encoder", "encoder", "decoder", "decoder"]
    assert [each.layer for each in found] == list(expected)  # the log variance is not on the way
    for each in found:
        product, back = expected[each.layer]
        assert each.signal == pytest.approx(product * spread, rel=1e-5)
        assert each.gradient == pytest.approx(back * slope, rel=1e-5)


def test_it_leaves_the_models_as_they_were(chain):
    images = np.random.default_rng(0).uniform(size=(8, 1)).astype(np.float32)
    before = chain[1](chain[0](images)[0]).numpy()
    first = layer_gains(*chain, images)
    assert first == layer_gains(*chain, images)
    assert chain[1](chain[0](images)[0]).numpy() == pytest.approx(before)
    assert all("call" not in vars(layer) for part in chain for layer in part.layers)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_it_agrees_with_what_records_keep_of_our_networks(architecture):
    size_field = ARCHITECTURES[architecture].size_field
    small = {size_field: 16 if size_field == "width" else 2}
    network = tc.Network(architecture=architecture, depth=2, latent_dim=4, **small)
    shape = (32, 32, 3)
    model: Autoencoder = build(tc.Run(network=network), shape)
    images = np.random.default_rng(0).integers(0, 256, (16, *shape), np.uint8)
    kept = initial_signal(model, images)
    found = layer_gains(model.encoder, model.decoder, images)
    for part in ("encoder", "decoder"):
        signals = [each.signal for each in found if each.part == part]
        # A record has one number a block of a residual network, and here every layer that is no model of its own.
        assert signals[-1] == pytest.approx(kept[part][-1], rel=1e-4)
        if architecture != "residual":
            assert signals == pytest.approx(kept[part], rel=1e-4)


def test_depth_shrinks_both_and_he_s_start_does_not():
    images = np.random.default_rng(0).uniform(size=(64, 28, 28, 1))

    def first_and_last(**network):
        model = build(tc.Run(network=tc.Network(depth=10, width=128, latent_dim=16, **network)), (28, 28, 1))
        found = layer_gains(model.encoder, model.decoder, images)
        return found[-1].signal / found[0].signal, found[0].gradient / found[-1].gradient

    glorot, he = first_and_last(), first_and_last(initializer="he_normal")
    assert max(glorot) < 0.01
    assert he[0] > 30 * glorot[0]
    assert he[1] > 30 * glorot[1]


def test_plain_functions_have_no_layers(chain):
    with pytest.raises(ConfigError, match="decoder: expected a Keras model"):
        layer_gains(chain[0], lambda z: z, np.zeros((4, 1)))


def test_parts_that_do_not_fit_are_one_line(chain):
    other = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    with pytest.raises(ConfigError, match=r"decoder: expected to take \(.*\), received ValueError: "):
        layer_gains(chain[0], other, np.random.default_rng(0).uniform(size=(4, 1)))
