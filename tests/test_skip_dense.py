"""Dense networks whose decoder gets z at every layer."""

import numpy as np
import pytest
from examples import tiny

from tfcollapse import load_model
from tfcollapse.config.declaration import Network, Objective, Run
from tfcollapse.config.overrides import replace
from tfcollapse.errors import ConfigError
from tfcollapse.models import networks
from tfcollapse.models.build import build
from tfcollapse.models.description import describe
from tfcollapse.training.evaluation import initial_signal
from tfcollapse.training.tensorflow_engine import use_xla
from tfcollapse.training.trainer import train

SHAPE = (8, 6, 3)


def _network(depth=3, width=20, latent_dim=5, **fields):
    return Network(architecture="skip_dense", depth=depth, width=width, latent_dim=latent_dim, **fields)


def _parts(network=None, *, variational=True):
    return networks.build(network or _network(), SHAPE, variational=variational, seed=0)


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_shapes_and_parameters(depth):
    d, width, latent = 8 * 6 * 3, 20, 5
    encoder, decoder = _parts(_network(depth))
    mean, log_variance = encoder(np.zeros((2, *SHAPE), np.float32))
    assert mean.shape == log_variance.shape == (2, latent)
    assert decoder(mean).shape == (2, *SHAPE)
    between = (depth - 1) * (width * width + width)
    assert encoder.count_params() == (d * width + width) + between + 2 * (width * latent + latent)
    # a dense decoder, and z into every layer but the first: depth - 1 hidden ones and the pixels
    dense = (latent * width + width) + between + (width * d + d)
    assert decoder.count_params() == dense + latent * ((depth - 1) * width + d)
    plain, _ = _parts(_network(depth), variational=False)
    assert plain.count_params() == encoder.count_params() - (width * latent + latent)


def test_the_decoder_computes_what_is_written_out_in_numpy():
    z = np.random.default_rng(0).standard_normal((4, 5))
    _, decoder = _parts()
    *hidden_layers, pixels, _ = decoder.body
    hidden = z
    for number, layer in enumerate(hidden_layers):
        taken = np.concatenate([z, hidden], axis=1) if number else z
        hidden = np.maximum(taken @ layer.kernel.numpy().astype(float), 0.0)  # biases start at zero
    expected = np.concatenate([z, hidden], axis=1) @ pixels.kernel.numpy().astype(float)
    assert decoder(z.astype(np.float32)).numpy().reshape(4, -1) == pytest.approx(expected, rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("open_layer", range(4))
def test_z_reaches_every_layer_by_itself(open_layer):
    """With z's weights at zero in all layers but one, another z still gives another image."""
    _, decoder = _parts()
    layers = decoder.latent_layers()
    assert [layer.name for layer in layers] == ["decoder_1", "decoder_2", "decoder_3", "pixels"]
    for number, layer in enumerate(layers):
        kernel = layer.kernel.numpy()
        if number != open_layer:
            kernel[:5] = 0.0
        layer.kernel.assign(kernel)
    one, other = decoder(np.eye(5, dtype=np.float32)[:2]).numpy()
    assert np.abs(one - other).max() > 1e-3
    layers[open_layer].kernel.assign(np.zeros_like(layers[open_layer].kernel.numpy()))
    one, other = decoder(np.eye(5, dtype=np.float32)[:2]).numpy()
    assert np.array_equal(one, other)


def test_it_starts_as_the_dense_network_where_the_shapes_are_the_same():
    skip = _parts()
    dense = networks.build(Network(depth=3, width=20, latent_dim=5), SHAPE, variational=True, seed=0)
    for ours, theirs in zip(skip[0].weights, dense[0].weights, strict=True):
        assert ours.path == theirs.path
        assert np.array_equal(ours.numpy(), theirs.numpy())
    assert np.array_equal(skip[1].body[0].kernel.numpy(), dense[1].body[0].kernel.numpy())
    assert [weight.path for weight in skip[1].weights] == [weight.path for weight in dense[1].weights]


def test_twins_start_at_the_same_weights():
    vae, ae = _parts(), _parts(variational=False)
    shared = {weight.path: weight.numpy() for weight in vae[0].weights}
    for weight in ae[0].weights:
        assert np.array_equal(weight.numpy(), shared[weight.path])
    for ours, theirs in zip(vae[1].weights, ae[1].weights, strict=True):
        assert np.array_equal(ours.numpy(), theirs.numpy())


def test_without_a_hidden_layer_there_is_nothing_to_skip():
    with pytest.raises(ConfigError, match="Network.depth: expected >= 1 for a skip_dense network, received 0"):
        _network(depth=0)


def test_the_description_lists_each_layer_once_in_order():
    facts = describe(Run(network=_network()), SHAPE)
    table = facts["decoder"]["layers"]
    assert [layer["name"] for layer in table] == ["decoder_1", "decoder_2", "decoder_3", "pixels", "unflatten"]
    macs = [5 * 20, 25 * 20, 25 * 20, 25 * 144, 0]
    assert [layer["flops"] for layer in table] == [2 * count for count in macs]
    assert [layer["output"] for layer in table] == [[20], [20], [20], [144], list(SHAPE)]


def test_the_signal_of_the_start_is_that_of_each_layer_s_own_output():
    model = build(Run(network=_network()), SHAPE)
    images = np.random.default_rng(0).integers(0, 256, (30, *SHAPE), np.uint8)
    signals = initial_signal(model, images)
    assert [len(signals[part]) for part in ("encoder", "decoder")] == [4, 4]
    output = np.asarray(model.reconstruct(images / np.float32(255.0))).reshape(30, -1)
    assert signals["decoder"][-1] == pytest.approx(np.sqrt(output.var(axis=0).mean()), rel=1e-4)


@pytest.mark.parametrize("objective", [Objective(kind="ae"), Objective(gamma="optimal")], ids=["ae", "vae"])
def test_it_trains_and_its_file_loads_as_it_was(objective, tmp_path):
    run = replace(tiny(objective=objective), {"network": _network(depth=2)})
    assert use_xla(run.training, run.network)
    result = train(run, tmp_path)
    assert result["status"] == "finished"
    with (tmp_path / run.run_id / "metrics.csv").open() as file:
        first, *_, last = [line.split(",") for line in file.read().splitlines()[1:]]
    assert float(last[2]) < float(first[2])
    model = load_model(tmp_path / run.run_id / "model.keras")
    assert type(model.decoder).__name__ == "SkipDenseDecoder"
    again = tmp_path / "again.keras"
    model.save(again)
    images = np.random.default_rng(0).uniform(size=(3, 28, 28, 1)).astype(np.float32)
    assert np.array_equal(model.reconstruct(images).numpy(), load_model(again).reconstruct(images).numpy())
