import dataclasses

import numpy as np
import pytest
from examples import tiny

from tfcollapse import load_model
from tfcollapse.config.declaration import Data, Network, Objective
from tfcollapse.config.overrides import replace
from tfcollapse.data import random_streams as draws
from tfcollapse.data.dataset import MINI, load
from tfcollapse.errors import ConfigError
from tfcollapse.models import networks
from tfcollapse.models.build import build
from tfcollapse.models.description import describe
from tfcollapse.models.networks.convolutional import scales
from tfcollapse.training.tensorflow_engine import TensorFlowEngine, use_xla
from tfcollapse.training.trainer import train


def _conv(size, inputs, outputs):
    """Parameters of a convolution with bias: also of a transposed one."""
    return size * size * inputs * outputs + outputs


def _encoder_parameters(side, channels, t, base, latent=64):
    total, inputs = 0, channels
    while side >= 4:
        outputs = base * 32 // side
        total += _conv(3, inputs, outputs) + (t - 1) * _conv(3, outputs, outputs)
        inputs, side = outputs, side // 2
    return total + 2 * (inputs * latent + latent)


def _decoder_parameters(side, channels, t, base, latent=64):
    total, inputs, at = latent * 4 * 16 * base + 4 * 16 * base, 16 * base, 4
    while at <= side:
        outputs = base * 32 // at
        total += _conv(3, inputs, outputs) + (t - 1) * _conv(3, outputs, outputs)
        inputs, at = outputs, at * 2
    return total + _conv(3, inputs, channels)


@pytest.mark.parametrize("t", [1, 2, 5])
@pytest.mark.parametrize("shape", [(32, 32, 3), (64, 64, 3), (32, 32, 1), (8, 8, 1)])
def test_convolutional_parameters_and_shapes(t, shape):
    network = Network(architecture="convolutional", depth=t, base_channels=8)
    encoder, decoder = networks.build(network, shape, variational=True, seed=0)
    assert encoder.count_params() == _encoder_parameters(shape[0], shape[2], t, 8)
    assert decoder.count_params() == _decoder_parameters(shape[0], shape[2], t, 8)
    mean, log_variance = encoder(np.zeros((2, *shape), np.float32))
    assert mean.shape == log_variance.shape == (2, 64)
    assert decoder(mean).shape == (2, *shape)


def test_the_paper_s_network_at_its_own_width():
    facts = describe(dataclasses.replace(tiny(), network=Network(architecture="convolutional", depth=1)), (32, 32, 3))
    assert facts["encoder"]["parameters"] == _encoder_parameters(32, 3, 1, 64)
    assert facts["decoder"]["parameters"] == _decoder_parameters(32, 3, 1, 64)


@pytest.mark.parametrize(("side", "first"), [(32, 64), (64, 32)])
def test_every_layer_stands_where_appendix_a_has_it(side, first):
    network = Network(architecture="convolutional", depth=2)
    run = dataclasses.replace(tiny(), network=network)
    facts = describe(run, (side, side, 3))
    sides = [s for s in (64, 32, 16, 8, 4) if s <= side]
    channels = dict(zip(sides, [first * 2**i for i in range(len(sides))], strict=True))
    assert channels[32] == 64
    assert channels[4] == 512
    encoder = [(layer["kind"], *layer["output"]) for layer in facts["encoder"]["layers"]]
    expected = []
    for s in sides:
        expected += [("Conv2D", s, s, channels[s])] * 2
        expected.append(("GlobalAveragePooling2D", 512) if s == 4 else ("MaxPooling2D", s // 2, s // 2, channels[s]))
    assert encoder == [*expected, ("Dense", 64), ("Dense", 64)]
    decoder = [(layer["kind"], *layer["output"]) for layer in facts["decoder"]["layers"]]
    expected = [("Dense", 4096), ("Reshape", 2, 2, 1024)]
    for s in sides[::-1]:
        expected += [("Conv2DTranspose", s, s, channels[s]), ("Conv2D", s, s, channels[s])]
    assert decoder == [*expected, ("Conv2D", side, side, 3)]


def test_activations_are_relu_but_where_none_is_stated():
    encoder, decoder = networks.build(
        Network(architecture="convolutional", depth=2, base_channels=4), (8, 8, 1), variational=True, seed=0
    )
    found = {
        layer.name: layer.activation.__name__ for layer in [*encoder.body, *decoder.body] if hasattr(layer, "kernel")
    }
    linear = {name for name, activation in found.items() if activation == "linear"}
    assert linear == {"expand", "pixels"}
    assert set(found.values()) == {"relu", "linear"}


@pytest.mark.parametrize("shape", [(28, 28, 1), (32, 64, 3), (2, 2, 1), (48, 48, 3)])
def test_a_size_the_halving_cannot_reach_names_those_it_can(shape):
    with pytest.raises(ConfigError, match=r"whose side halves to 4 \(4, 8, 16, 32, 64, 128\), received"):
        networks.build(Network(architecture="convolutional"), shape, variational=True, seed=0)


def test_channels_that_cannot_be_halved_are_refused():
    with pytest.raises(
        ConfigError, match="Network.base_channels: expected a multiple of 2 for 64x64 images, received 3"
    ):
        scales((64, 64, 3), 3)
    assert scales((64, 64, 3), 64) == [(64, 32), (32, 64), (16, 128), (8, 256), (4, 512)]


def _block_parameters(inputs, outputs, c, projects, norm):
    total = _conv(3, inputs, outputs) + (c - 1) * _conv(3, outputs, outputs)
    return total + (_conv(1, inputs, outputs) if projects else 0) + (c * 4 * outputs if norm else 0)


@pytest.mark.parametrize("b", [1, 2])
@pytest.mark.parametrize("c", [1, 2, 5])
@pytest.mark.parametrize(("shortcut", "norm"), [("identity", False), ("projection", False), ("identity", True)])
def test_residual_parameters(b, c, shortcut, norm):
    network = Network(
        architecture="residual",
        depth=b,
        block_depth=c,
        shortcut=shortcut,
        batch_norm=norm,
        base_channels=8,
        latent_dim=5,
    )
    encoder, decoder = networks.build(network, (16, 16, 3), variational=False, seed=0)
    always = shortcut == "projection"
    expected, inputs = 64 * 5 + 5, 3
    for outputs in (16, 32, 64):  # at 16, 8 and 4
        expected += _block_parameters(inputs, outputs, c, True, norm)
        expected += (b - 1) * _block_parameters(outputs, outputs, c, always, norm)
        inputs = outputs
    assert encoder.count_params() == expected
    expected, inputs = 5 * 512 + 512, 128
    for outputs in (64, 32, 16):
        expected += _conv(3, inputs, outputs) + b * _block_parameters(outputs, outputs, c, always, norm)
        inputs = outputs
    assert decoder.count_params() == expected + _conv(3, 16, 3)


def test_a_block_is_its_convolutions_plus_the_shortcut():
    network = Network(architecture="residual", depth=2, block_depth=3, base_channels=4)
    encoder, _ = networks.build(network, (8, 8, 1), variational=True, seed=0)
    first, second = encoder.body[:2]
    images = np.random.default_rng(0).standard_normal((2, 8, 8, 1)).astype(np.float32)

    def naive(block, inputs):
        hidden = block.convolutions[0](inputs).numpy()
        for layer in block.convolutions[1:]:
            hidden = layer(np.maximum(hidden, 0)).numpy()
        return np.maximum(hidden + (block.projection(inputs).numpy() if block.projects else inputs), 0)

    assert (first.projects, second.projects) == (True, False)
    once = first(images).numpy()
    assert np.allclose(once, naive(first, images), atol=1e-5)
    assert np.allclose(second(once).numpy(), naive(second, once), atol=1e-5)


def _run(**network):
    return dataclasses.replace(
        tiny(objective=Objective(gamma="optimal"), steps=20),
        data=Data(name=MINI, train=64, test=20, resize=(8, 8)),
        network=Network(base_channels=4, latent_dim=4, **network),
    )


@pytest.mark.parametrize(
    "network",
    [
        {"architecture": "convolutional", "depth": 2},
        {"architecture": "residual", "depth": 1, "block_depth": 2},
        pytest.param(
            {"architecture": "residual", "depth": 1, "block_depth": 2, "batch_norm": True, "output": "sigmoid"},
            marks=pytest.mark.slow,
        ),
    ],
    ids=["convolutional", "residual", "batch norm"],
)
def test_they_train_resume_and_reload(network, tmp_path):
    run = _run(**network)
    result = train(run, tmp_path / "whole")
    assert result["status"] == "finished"
    folder = tmp_path / "whole" / run.run_id
    images = load(run.data).train / np.float32(255)
    error = np.mean((images - load_model(folder / "model.keras").reconstruct(images).numpy()) ** 2)
    assert result["train"]["reconstruction_error_at_mean"] == pytest.approx(float(error), rel=1e-4)
    (folder / "result.json").unlink()  # as if killed before the end: the last checkpoint holds batch statistics too
    assert train(run, tmp_path / "whole")["train"] == result["train"]


def test_batch_norm_learns_its_statistics_in_the_loop_and_uses_them_in_evaluation():
    run = _run(architecture="residual", depth=1, batch_norm=True)
    images = load(run.data).train
    engine = TensorFlowEngine(build(run, images.shape[1:]), run.training, jit=False)
    norm = engine.model.encoder.body[0].norms[0]
    before = norm.moving_mean.numpy().copy()
    noise = np.zeros((10, 16, 4), np.float32)
    engine.train_steps(np.stack([images[:16]] * 10), noise)
    assert np.abs(norm.moving_mean.numpy() - before).max() > 1e-6
    noise = draws.evaluation_noise(run.seed, 0, run.network.latent_dim)
    alone, among = engine.evaluate(images[:3], noise).mean, engine.evaluate(images[:50], noise).mean[:3]
    assert np.allclose(alone, among, atol=1e-5)  # an image's code does not depend on its neighbours


def test_fields_of_another_architecture_are_refused():
    with pytest.raises(ConfigError, match="a dense network takes no such field, received {'base_channels': 8}"):
        Network(base_channels=8)
    with pytest.raises(ConfigError, match="a convolutional network takes no such field, received {'width': 8}"):
        Network(architecture="convolutional", width=8)
    with pytest.raises(ConfigError, match="a convolutional network takes no such field"):
        Network(architecture="convolutional", batch_norm=True)
    for name in ("convolutional", "residual"):
        with pytest.raises(ConfigError, match=f"a {name} network takes no such field, received {{'norm': 'layer'}}$"):
            Network(architecture=name, norm="layer")


def test_xla_is_for_dense_networks_on_a_cpu():
    run = tiny()
    assert use_xla(run.training, run.network)
    assert not use_xla(run.training, Network(architecture="convolutional"))
    assert use_xla(replace(run, {"training.jit": "on"}).training, Network(architecture="residual"))
