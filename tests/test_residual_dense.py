"""Dense networks with identity shortcuts around their hidden layers, and layer normalisation in all dense networks."""

import json
import zipfile

import numpy as np
import pytest
from examples import tiny

from tfcollapse import load_model
from tfcollapse.cli.main import main
from tfcollapse.config.architectures import ARCHITECTURES
from tfcollapse.config.declaration import Network, Objective, Run
from tfcollapse.config.overrides import replace
from tfcollapse.diagnosis.blame.arms import arms_of
from tfcollapse.models import networks
from tfcollapse.models.build import build
from tfcollapse.models.networks.hidden import HiddenLayer
from tfcollapse.training.evaluation import initial_signal
from tfcollapse.training.tensorflow_engine import use_xla
from tfcollapse.training.trainer import train

SHAPE = (8, 6, 3)
NORMALISED = [name for name, spec in ARCHITECTURES.items() if "norm" in spec.fields]


def _network(depth=4, architecture="residual_dense", width=20, latent_dim=5, **fields):
    return Network(architecture=architecture, depth=depth, width=width, latent_dim=latent_dim, **fields)


def _parts(network, *, variational=True):
    return networks.build(network, SHAPE, variational=variational, seed=0)


def _shifted(part):
    """The part with other weights than those of the start, whose biases are 0 and whose gains are 1."""
    random = np.random.default_rng(1)
    for variable in part.weights:
        variable.assign(variable + 0.3 * random.standard_normal(variable.shape))
    return part


def _hidden(part, taken, name, depth, *, shortcuts, norm, takes_z=False):
    """The features after the hidden layers, written out in NumPy from the part's weights by their paths."""
    found = {weight.path: weight.numpy().astype(float) for weight in part.weights}
    hidden = taken
    for number in range(1, depth + 1):
        place = f"{part.name}/{name}_{number}"
        inputs = np.concatenate([taken, hidden], axis=1) if takes_z and number > 1 else hidden
        summed = inputs @ found[f"{place}/kernel"] + found[f"{place}/bias"]
        if norm:
            centred = summed - summed.mean(axis=1, keepdims=True)
            summed = centred / np.sqrt((centred**2).mean(axis=1, keepdims=True) + 1e-3)
            inner = f"{place}/{name}_{number}_norm"
            summed = summed * found[f"{inner}/gamma"] + found[f"{inner}/beta"]
        branch = np.maximum(summed, 0.0)
        hidden = hidden + branch if shortcuts and number > 1 else branch
    return hidden


@pytest.mark.parametrize("norm", ["none", "layer"])
@pytest.mark.parametrize("architecture", NORMALISED)
def test_a_network_computes_what_is_written_out_in_numpy(architecture, norm):
    """Of width 20 with 20 latents: the decoder's first layer keeps the width, and has no shortcut even so."""
    network = _network(3, architecture, latent_dim=20, norm=norm)
    encoder, decoder = map(_shifted, _parts(network))
    random = np.random.default_rng(0)
    options = {"shortcuts": architecture == "residual_dense", "norm": norm == "layer"}
    images, z = random.uniform(size=(4, *SHAPE)).astype(np.float32), random.standard_normal((4, 20)).astype(np.float32)
    features = _hidden(encoder, images.reshape(4, -1).astype(float), "encoder", 3, **options)
    for head, found in zip((encoder.mean, encoder.log_variance), encoder(images), strict=True):
        assert found.numpy() == pytest.approx(features @ head.kernel.numpy() + head.bias.numpy(), rel=1e-4, abs=1e-4)
    takes_z = architecture == "skip_dense"
    features = _hidden(decoder, z.astype(float), "decoder", 3, takes_z=takes_z, **options)
    *_, pixels, _ = decoder.body
    taken = np.concatenate([z, features], axis=1) if takes_z else features
    expected = taken @ pixels.kernel.numpy() + pixels.bias.numpy()
    assert decoder(z).numpy().reshape(4, -1) == pytest.approx(expected, rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("kind", ["ae", "vae"])
@pytest.mark.parametrize("norm", ["none", "layer"])
@pytest.mark.parametrize("depth", [0, 1, 10])
def test_shapes_and_parameters(depth, norm, kind):
    d, width, latent, heads = 8 * 6 * 3, 20, 5, 2 if kind == "vae" else 1
    model = build(Run(network=_network(depth, norm=norm), objective=Objective(kind=kind)), SHAPE)
    assert model(np.zeros((2, *SHAPE), np.float32)).shape == (2, *SHAPE)
    gains = 2 * width * depth if norm == "layer" else 0
    between = (depth - 1) * (width * width + width) + gains if depth else 0
    features = width if depth else d
    first = d * width + width if depth else 0
    assert model.encoder.count_params() == first + between + heads * (features * latent + latent)
    first, features = (latent * width + width, width) if depth else (0, latent)
    assert model.decoder.count_params() == first + between + (features * d + d)


@pytest.mark.parametrize("depth", [0, 1])
def test_without_a_second_hidden_layer_it_is_the_dense_network(depth):
    ours, dense = (_parts(_network(depth, architecture)) for architecture in ("residual_dense", "dense"))
    assert not any(isinstance(layer, HiddenLayer) for part in ours for layer in part.body)
    z = np.random.default_rng(0).standard_normal((3, 5)).astype(np.float32)
    assert np.array_equal(ours[1](z).numpy(), dense[1](z).numpy())


@pytest.mark.parametrize("architecture", NORMALISED)
def test_it_starts_at_the_weights_of_the_plain_network(architecture):
    """Shortcut and normalisation draw nothing: kernels have the same names, and so the same start."""
    plain_architecture = "dense" if architecture == "residual_dense" else architecture
    for ours, plain in zip(
        _parts(_network(architecture=architecture, norm="layer")),
        _parts(_network(architecture=plain_architecture)),
        strict=True,
    ):
        start = {weight.path: weight.numpy() for weight in ours.weights}
        for weight in plain.weights:
            assert np.array_equal(start.pop(weight.path), weight.numpy()), weight.path
        assert {path.rpartition("/")[2]: set(value) for path, value in start.items()} == {"gamma": {1.0}, "beta": {0.0}}


def test_a_bias_lets_a_normalised_layer_tell_bright_images_from_dark_ones():
    encoder, _ = _parts(_network(1, "dense", norm="layer"))
    layer, taken = encoder.body[1], np.random.default_rng(0).uniform(1, 2, size=(1, 144)).astype(np.float32)

    def change():
        one, twice = layer(taken).numpy(), layer(2 * taken).numpy()
        return np.abs(twice - one).max() / np.abs(one).max()

    assert change() < 0.01  # the bias is 0: epsilon alone tells them apart
    layer.bias.assign(np.linspace(-1, 1, 20))
    assert change() > 0.05


def test_kernels_under_a_shortcut_start_divided_by_the_number_of_shortcuts():
    for ours, dense in zip(_parts(_network(5)), _parts(_network(5, "dense")), strict=True):
        for layer, plain in zip(ours.body, dense.body, strict=True):
            share = 4 if layer.name[-1] in "2345" else 1
            for found, start in zip(layer.get_weights(), plain.get_weights(), strict=True):
                assert found == pytest.approx(start / share, rel=1e-6)


@pytest.mark.parametrize("norm", ["none", "layer"])
def test_the_signal_of_the_start_has_one_number_a_layer_and_survives_depth_10(norm):
    images = np.random.default_rng(0).integers(0, 256, (30, *SHAPE), np.uint8)
    signals, dense = (
        initial_signal(build(Run(network=network), SHAPE), images)
        for network in (_network(10, width=64, norm=norm), _network(10, "dense", width=64))
    )
    assert [len(signals[part]) for part in ("encoder", "decoder")] == [11, 11]
    assert 100 * dense["decoder"][-1] < signals["decoder"][-1] < 1


def test_the_gradient_passes_by_a_layer_that_is_shut():
    """With every unit of a layer off, the shortcut alone leads back to the input."""
    _, decoder = _parts(_network(2))
    decoder.body[1].bias.assign(np.full(20, -1e3))
    one, other = decoder(np.eye(5, dtype=np.float32)[:2]).numpy()
    assert np.abs(one - other).max() > 1e-3


def _written(model, path):
    model.save(path)
    with zipfile.ZipFile(path) as archive:
        return json.loads(archive.read("config.json"))["config"]


def test_the_file_of_a_plain_network_names_no_normalisation(tmp_path):
    config = _written(build(tiny(), (28, 28, 1)), tmp_path / "plain.keras")
    assert {"width", "norm"} & set(config["encoder"]["config"]) == {"width"}
    normed = build(replace(tiny(), {"network.norm": "layer"}), (28, 28, 1))
    assert _written(normed, tmp_path / "normed.keras")["decoder"]["config"]["norm"] == "layer"
    written = Run(network=Network(norm="none"))
    assert written.run_id == Run().run_id != Run(network=Network(norm="layer")).run_id


@pytest.mark.parametrize(
    "network",
    [_network(3), _network(3, norm="layer"), _network(2, "dense", norm="layer")],
    ids=["residual", "residual normed", "dense normed"],
)
@pytest.mark.parametrize("objective", [Objective(kind="ae"), Objective(gamma="optimal")], ids=["ae", "vae"])
def test_it_trains_and_its_file_loads_as_it_was(network, objective, tmp_path):
    run = replace(tiny(objective=objective), {"network": network})
    assert use_xla(run.training, run.network)
    result = train(run, tmp_path)
    assert result["status"] == "finished"
    with (tmp_path / run.run_id / "metrics.csv").open() as file:
        first, *_, last = [line.split(",") for line in file.read().splitlines()[1:]]
    assert float(last[2]) < float(first[2])
    model = load_model(tmp_path / run.run_id / "model.keras")
    assert type(model.decoder) is networks.NETWORKS[network.architecture][1]
    gains = [weight for weight in model.trainable_variables if weight.path.endswith("_norm/gamma")]
    assert len(gains) == (2 * network.depth if network.norm == "layer" else 0)
    assert all(np.ptp(gain.numpy()) > 0 for gain in gains)  # they are trained, and kept
    model.save(tmp_path / "again.keras")
    images = np.random.default_rng(0).uniform(size=(3, 28, 28, 1)).astype(np.float32)
    again = load_model(tmp_path / "again.keras")
    assert np.array_equal(model.reconstruct(images).numpy(), again.reconstruct(images).numpy())


def test_blame_tries_shallower_networks_of_the_same_kind():
    run = replace(tiny(), {"network": _network(4, norm="layer")})
    assert {(arm.network.architecture, arm.network.norm) for arm in arms_of(run).values()} == {
        ("residual_dense", "layer")
    }
    assert {arm.network.depth for arm in arms_of(run).values()} == {2, 4}
    assert arms_of(run, shallower=0)


def test_norm_on_a_convolutional_network_is_one_line(tmp_path, capsys):
    settings = ["--set", "network.architecture=convolutional", "--set", "network.norm=layer"]
    assert main(["train", *settings, "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err.strip()
    assert said.endswith("a convolutional network takes no such field, received {'norm': 'layer'}")
    assert "\n" not in said
    assert not (tmp_path / "out").exists()
