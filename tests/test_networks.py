import zlib

import keras
import numpy as np
import pytest
import scipy.stats

from tfcollapse.config.architectures import ARCHITECTURES
from tfcollapse.config.declaration import Network, Objective, Run
from tfcollapse.errors import ConfigError
from tfcollapse.models import networks
from tfcollapse.models.description import describe
from tfcollapse.models.networks.initializers import Drawn

DEPTHS = (1, 2, 3, 4, 6, 8, 10)


def test_every_architecture_has_its_encoder_and_decoder():
    assert set(networks.NETWORKS) == set(ARCHITECTURES)


@pytest.mark.parametrize("spec", ARCHITECTURES.values(), ids=ARCHITECTURES)
def test_a_spec_speaks_of_fields_that_there_are(spec):
    network = Network(architecture=spec.name, depth=max(1, spec.least_depth))
    assert network.spec is spec
    assert spec.size_field in spec.fields
    assert list(network.own_fields) == list(spec.fields)
    assert network.absent_fields.isdisjoint(spec.fields)
    if spec.least_depth:
        with pytest.raises(ConfigError, match=f"expected >= {spec.least_depth} for a {spec.name} network"):
            Network(architecture=spec.name, depth=spec.least_depth - 1)


def _weights(model):
    return {variable.path: variable.numpy() for variable in model.weights}


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("shape", [(28, 28, 1), (8, 6, 3)])
def test_shapes_and_parameters_at_every_depth(depth, shape):
    d = shape[0] * shape[1] * shape[2]
    encoder, decoder = networks.build(Network(depth=depth), shape, variational=True, seed=0)
    mean, log_variance = encoder(np.zeros((5, *shape), np.float32))
    assert mean.shape == log_variance.shape == (5, 64)
    assert decoder(mean).shape == (5, *shape)
    between = (depth - 1) * (512 * 512 + 512)
    # first layer, the layers between, two heads of 64
    assert encoder.count_params() == (d * 512 + 512) + between + 2 * (512 * 64 + 64)
    # first layer from 64, the layers between, the pixels
    assert decoder.count_params() == (64 * 512 + 512) + between + (512 * d + d)
    plain, _ = networks.build(Network(depth=depth), shape, variational=False, seed=0)
    assert plain.count_params() == encoder.count_params() - (512 * 64 + 64)


def test_every_hidden_layer_is_relu_and_the_rest_is_linear():
    encoder, decoder = networks.build(Network(depth=3), (28, 28, 1), variational=True, seed=0)
    assert [layer.activation.__name__ for layer in [*encoder.body[1:], *decoder.body[:-2]]] == ["relu"] * 6
    heads = [encoder.mean, encoder.log_variance, decoder.body[-2]]
    assert [layer.activation.__name__ for layer in heads] == ["linear"] * 3
    _, bounded = networks.build(Network(output="sigmoid"), (4, 4, 1), variational=True, seed=0)
    images = bounded(np.full((1, 64), 50.0, np.float32))
    assert 0 <= float(np.min(images)) < float(np.max(images)) <= 1


def test_twins_start_at_the_same_weights_and_other_seeds_do_not():
    shape = (6, 6, 1)
    vae = _weights(networks.build(Network(), shape, variational=True, seed=4)[0])
    ae = _weights(networks.build(Network(), shape, variational=False, seed=4)[0])
    other = _weights(networks.build(Network(), shape, variational=True, seed=5)[0])
    assert set(vae) - set(ae) == {"encoder/log_variance/kernel", "encoder/log_variance/bias"}
    for path, value in ae.items():
        assert np.array_equal(value, vae[path]), path
        if path.endswith("kernel"):
            assert not np.array_equal(value, other[path]), path
    assert not np.array_equal(vae["encoder/mean/kernel"], vae["encoder/log_variance/kernel"])


@pytest.mark.parametrize(
    ("initializer", "variance"),
    [
        ("glorot_uniform", 2 / (300 + 400)),
        ("glorot_normal", 2 / (300 + 400)),
        ("he_normal", 2 / 300),
        ("he_uniform", 2 / 300),
        ("lecun_normal", 1 / 300),
        ("orthogonal", 1 / 400),  # rows of unit length over 400 columns
    ],
)
def test_initializers_have_their_variance(initializer, variance):
    network = Network(depth=1, width=400, initializer=initializer)
    encoder, _ = networks.build(network, (10, 10, 3), variational=True, seed=1)
    kernel = encoder.body[1].kernel.numpy()
    # 120,000 draws: the sample variance is within 3% of the truth at more than five standard errors.
    assert kernel.var() == pytest.approx(variance, rel=0.03)
    assert not encoder.body[1].bias.numpy().any()


SCHEMES = ["glorot_uniform", "glorot_normal", "he_uniform", "he_normal", "lecun_normal"]


@pytest.mark.parametrize("shape", [(150, 400), (3, 3, 40, 60)])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_scheme_draws_from_what_keras_draws_from(scheme, shape):
    own = np.array(Drawn(scheme, 3, "layer")(shape))
    keras_own = np.array(keras.initializers.get({"class_name": scheme, "config": {"seed": 0}})(shape))
    assert own.dtype == np.float32
    assert own.std() == pytest.approx(keras_own.std(), rel=0.03)
    assert np.abs(own).max() == pytest.approx(np.abs(keras_own).max(), rel=0.01)
    # Two samples of 20,000 and more from one distribution: Kolmogorov's distance has a p-value of its own.
    assert scipy.stats.ks_2samp(own.ravel(), keras_own.ravel()).pvalue > 1e-3


@pytest.mark.parametrize("shape", [(40, 24), (24, 40), (3, 3, 4, 20), (3, 3, 4, 80)])
def test_an_orthogonal_start_is_orthonormal(shape):
    kernel = np.array(Drawn("orthogonal", 3, "layer")(shape), np.float64).reshape(-1, shape[-1])
    small = kernel.T @ kernel if kernel.shape[0] >= kernel.shape[1] else kernel @ kernel.T
    np.testing.assert_allclose(small, np.eye(len(small)), atol=1e-6)


def test_starts_are_of_the_seed_and_the_name_alone_and_keep_their_bits():
    start = np.array(Drawn("glorot_uniform", 0, "encoder_1")((2, 3)))
    assert np.array_equal(start, np.array(Drawn("glorot_uniform", 0, "encoder_1")((2, 3))))
    assert not np.isin(start, np.array(Drawn("glorot_uniform", 0, "encoder_2")((2, 3)))).any()
    again = keras.initializers.deserialize(keras.initializers.serialize(Drawn("glorot_uniform", 0, "encoder_1")))
    assert np.array_equal(start, np.array(again((2, 3))))
    generator = np.random.Generator(np.random.Philox(key=[0, 3], counter=[0, zlib.crc32(b"encoder_1"), 0, 0]))
    limit = np.sqrt(6 / 5)
    np.testing.assert_array_equal(start, generator.uniform(-limit, limit, (2, 3)).astype(np.float32))


def test_describe_counts_what_the_closed_form_counts():
    facts = describe(Run(network=Network(depth=2)), (28, 28, 1))
    macs = 784 * 512 + 512 * 512 + 2 * 512 * 64 + 64 * 512 + 512 * 512 + 512 * 784
    assert facts["flops_per_image"] == 2 * macs
    assert facts["flops_per_step"] == 64 * 2 * (3 * macs - 784 * 512)
    assert facts["parameters"] == facts["encoder"]["parameters"] + facts["decoder"]["parameters"] + 1
    assert [layer["name"] for layer in facts["encoder"]["layers"]] == [
        "flatten",
        "encoder_1",
        "encoder_2",
        "mean",
        "log_variance",
    ]
    named = {norm: describe(Run(network=Network(norm=norm)), (28, 28, 1))["network"] for norm in ("none", "layer")}
    assert named == {"none": "dense, depth 2", "layer": "dense, depth 2, layer norm"}
    plain = describe(Run(objective=Objective(kind="ae")), (28, 28, 1))
    assert facts["parameters"] - plain["parameters"] == 512 * 64 + 64 + 1
