"""The forms in which encoders and decoders give their outputs, and shapes that do not fit, each said in one line."""

import types

import keras
import numpy as np
import pytest

import tfcollapse as tc
from tfcollapse.diagnosis.adapter.model_adapter import ModelAdapter
from tfcollapse.diagnosis.adapter.spread import recognised_spread
from tfcollapse.errors import ConfigError, DivergedError

IMAGES = np.random.default_rng(0).uniform(size=(40, 4, 6, 3)).astype(np.float32)
MEAN = np.random.default_rng(1).normal(size=(40, 2)).astype(np.float32)
SIGMA = np.float32(0.5)


def decoder(z):
    return np.zeros((len(z), *IMAGES.shape[1:]))


def adapter(outputs, decode=decoder, images=IMAGES, **declared):
    return ModelAdapter(lambda x: outputs, decode, images, **declared)


LOG_VARIANCE = np.full_like(MEAN, 2 * np.log(SIGMA))
SIGMAS = np.full_like(MEAN, SIGMA)


class Posterior:
    def __init__(self, **attributes):
        self.__dict__.update(attributes)


@pytest.mark.parametrize(
    ("outputs", "declared", "spread", "recognised"),
    [
        ((MEAN, LOG_VARIANCE), {}, "log_variance", False),
        ([MEAN, LOG_VARIANCE], {}, "log_variance", False),
        ([[MEAN, LOG_VARIANCE]], {}, "log_variance", False),
        ((MEAN, LOG_VARIANCE, MEAN + 1), {}, "log_variance", False),
        ({"z_log_var": LOG_VARIANCE, "z_mean": MEAN, "z": MEAN}, {}, "log_variance", False),
        ({"mu": MEAN, "logvar": LOG_VARIANCE}, {}, "log_variance", False),
        ({"z_mu": MEAN, "zLogVar": LOG_VARIANCE}, {}, "log_variance", False),
        ({"latent_mean": MEAN, "latent_log_variance": LOG_VARIANCE}, {}, "log_variance", False),
        ({"loc": MEAN, "scale": SIGMAS}, {}, "sigma", True),
        ({"mean": MEAN, "log_sigma": np.log(SIGMAS)}, {}, "log_sigma", True),
        ({"mean": MEAN, "variance": SIGMAS**2}, {}, "variance", True),
        ((MEAN, SIGMAS), {"spread": "sigma"}, "sigma", False),
        ((MEAN, SIGMAS**2), {"spread": "variance"}, "variance", False),
        ((MEAN, np.log(SIGMAS)), {"spread": "log_sigma"}, "log_sigma", False),
        (np.concatenate([MEAN, LOG_VARIANCE], 1), {"joined": True}, "log_variance", False),
        (np.concatenate([MEAN, SIGMAS], 1), {"joined": True, "spread": "sigma"}, "sigma", False),
        (Posterior(loc=MEAN, scale=SIGMAS), {}, "sigma", True),
        (Posterior(mean=lambda: MEAN, stddev=lambda: SIGMAS), {}, "sigma", True),
        (Posterior(mean=MEAN, logvar=LOG_VARIANCE, std=SIGMAS), {}, "log_variance", False),
    ],
)
def test_mean_and_log_variance_are_found(outputs, declared, spread, recognised):
    found = adapter(outputs, **declared)
    encoded = found.encode(IMAGES)
    assert encoded.mean == pytest.approx(MEAN)
    assert encoded.sigma == pytest.approx(SIGMAS)
    assert (found.spread, found.spread_recognised) == (spread, recognised)


@pytest.mark.parametrize(
    ("outputs", "declared", "message"),
    [
        ({"a": MEAN, "b": MEAN}, {}, r"names of a mean and a log_variance, received a dictionary with a, b: choose"),
        ({"mean": MEAN}, {}, "received a dictionary with mean"),
        (np.concatenate([MEAN, MEAN], 1), {}, r"one output of shape \(40, 4\): .* joined=True, or split it: .*:, :2\]"),
        (MEAN[:, :1], {"joined": True}, r"one output of shape \(40, 1\)"),
        ((MEAN, MEAN), {"joined": True}, "one output .* as joined=True says, received 2"),
        ((MEAN,) * 4, {}, "received 4 outputs: choose two"),
        (([[1.0], [2.0, 3.0]], MEAN), {}, "outputs: expected tensors of numbers, received list"),
        ((MEAN, -SIGMAS), {"spread": "sigma"}, "expected sigma > 0 as the second output, received -0.5"),
        ((MEAN, MEAN), {"spread": "width"}, "spread: expected one of log_variance, sigma"),
        (Posterior(loc=MEAN), {}, "received a mean alone"),
    ],
)
def test_outputs_that_say_nothing_are_refused_in_one_line(outputs, declared, message):
    with pytest.raises(ConfigError, match=message) as raised:
        adapter(outputs, **declared)
    assert "\n" not in str(raised.value)


def test_a_sample_in_the_place_of_the_mean_is_refused():
    random = np.random.default_rng(0)
    with pytest.raises(ConfigError, match=r"may be the sample z \(then give encoder=lambda x: model\(x\)\[1:\]\)"):
        ModelAdapter(lambda x: (MEAN + random.normal(size=MEAN.shape), MEAN, LOG_VARIANCE), decoder, IMAGES)


@pytest.mark.parametrize("spread", ["log_variance", "log_sigma"])
def test_the_encoder_is_named_where_its_variance_overflows(spread):
    with pytest.raises(DivergedError, match=f"encoder's {spread}: expected a log variance .* received one of 2"):
        adapter((MEAN, np.full_like(MEAN, 200 if spread == "log_variance" else 100)), spread=spread).encode(IMAGES)


def test_half_precision_is_widened():
    found = adapter((MEAN.astype(np.float16), LOG_VARIANCE.astype(np.float16))).encode(IMAGES)
    assert found.mean.dtype == found.log_variance.dtype == np.float32


def at_the_optimum(sigma, units=6, dead=2, count=1_000):
    """mu and sigma with E[mu^2 + sigma^2] = 1 for every unit."""
    sigmas = np.full((count, units), sigma)
    sigmas[:, :dead] = 0.999
    draws = np.random.default_rng(0).standard_normal((count, units))
    return draws * np.sqrt(1 - sigmas**2), sigmas


@pytest.mark.parametrize("sigma", [0.1, 0.4, 0.6])
def test_sigma_and_its_logarithm_are_recognised_at_a_stationary_point(sigma):
    mean, sigmas = at_the_optimum(sigma)
    assert recognised_spread(mean, 2 * np.log(sigmas)) == "log_variance"
    assert recognised_spread(mean, sigmas) == "sigma"
    if sigma > 0.1:  # below, sigma is small under either reading
        assert recognised_spread(mean, np.log(sigmas)) == "log_sigma"


def test_a_variance_is_told_from_a_sigma():
    mean, sigmas = at_the_optimum(0.6)
    assert recognised_spread(mean, sigmas**2) == "variance"
    assert recognised_spread(*at_the_optimum(0.9999, dead=6)) == "sigma"  # all dead


def test_nothing_is_recognised_away_from_a_stationary_point_or_behind_a_relu():
    mean, sigmas = at_the_optimum(0.1)
    log_variance = 2 * np.log(sigmas)
    assert recognised_spread(mean, np.maximum(log_variance, 0)) == "log_variance"
    assert recognised_spread(3 * mean, sigmas) == "log_variance"
    assert recognised_spread(mean, np.log1p(np.exp(log_variance + 1))) == "log_variance"  # softplus on the head


def test_a_recognised_sigma_is_named_and_gives_the_diagnosis_of_its_logarithm():
    draws = np.random.default_rng(0).standard_normal((800, 5)) * [3, 2, 1, 0.1, 0.1]
    scale = np.sqrt(np.array([9, 4, 1.0]) - 0.01)
    sigma = np.sqrt(0.01 / np.array([9, 4, 1.0]))

    def encoder(x):
        return x[:, :3] * scale / [9, 4, 1.0], np.tile(sigma, (len(x), 1))

    def decode(z):
        return np.pad(z * scale, ((0, 0), (0, 2)))

    named = tc.diagnose(encoder, decode, draws, 0.01)
    declared = tc.diagnose(lambda x: (encoder(x)[0], 2 * np.log(encoder(x)[1])), decode, draws, 0.01)
    assert any("taken for sigma: spread='log_variance'" in note for note in named.verdict.notes)
    assert named.measurements.kl == pytest.approx(declared.measurements.kl, rel=1e-5)
    assert named.verdict.categories == declared.verdict.categories
    told = tc.diagnose(encoder, decode, draws, 0.01, spread="sigma")
    assert not any("taken for" in note for note in told.verdict.notes)


def test_counts_in_uint8_are_not_divided_in_silence():
    counts = np.random.default_rng(0).poisson(3, (50, 72)).astype(np.uint8)

    def encoder(x):
        return x[:, :2] / 10, np.zeros((len(x), 2))

    def rate(z):
        return 3 + 0 * z @ np.ones((2, 72))

    with pytest.raises(ConfigError, match=r"expected counts .* give data.astype\('int64'\)"):
        tc.diagnose(encoder, rate, counts, likelihood="poisson")
    found = tc.diagnose(encoder, rate, counts.astype("int64"), likelihood="poisson").measurements
    assert found.error_at_mean == pytest.approx(((counts - 3.0) ** 2).mean(), rel=1e-5)


def flat_encoder(size):
    """An encoder that takes [n, size] alone."""
    return lambda x: (x @ np.ones((size, 2)), np.zeros((len(x), 2)))


def convolution(*shape):
    """A Keras encoder of images of this shape."""
    x = keras.Input(shape)
    hidden = keras.layers.Flatten()(keras.layers.Conv2D(2, 2)(x))
    return keras.Model(x, [keras.layers.Dense(2)(hidden), keras.layers.Dense(2)(hidden)])


@pytest.mark.parametrize(
    ("encoder", "data", "message"),
    [
        (flat_encoder(72), IMAGES, r"\(2, 4, 6, 3\), received a model of \(2, 72\): .* x.reshape\(len\(x\), -1\)"),
        (convolution(4, 6, 3), IMAGES.transpose(0, 3, 1, 2), r"\(2, 3, 4, 6\), .* \(2, 4, 6, 3\): .*\(0, 2, 3, 1\)"),
        (convolution(5, 5, 3), IMAGES.reshape(40, 72)[:, :75], r"\(2, 72\), received a model of \(None, 5, 5, 3\)"),
        (convolution(6, 6, 2), IMAGES.reshape(40, 72), r"\(2, 72\), .* \(2, 6, 6, 2\): .* x.reshape\(-1, 6, 6, 2\)"),
        (convolution(4, 6, 3), IMAGES.reshape(40, 72), r"\(2, 72\), .* \(2, 4, 6, 3\): .* x.reshape\(-1, 4, 6, 3\)"),
        (convolution(6, 6, 1), IMAGES.reshape(80, 36), r"\(2, 36\), .* \(2, 6, 6, 1\): .* x.reshape\(-1, 6, 6, 1\)"),
    ],
)
def test_shapes_that_an_encoder_does_not_take_are_said_with_what_to_write(encoder, data, message):
    with pytest.raises(ConfigError, match=f"encoder: expected to take {message}") as raised:
        tc.diagnose(encoder, decoder, data)
    assert "\n" not in str(raised.value)


def test_channels_first_is_named_for_torch_too():
    torch = pytest.importorskip("torch")
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 2, 2), torch.nn.Flatten())
    encoder = tc.from_torch(lambda x: (network(x), network(x)))
    with pytest.raises(ConfigError, match=r"received a model of \(2, 3, 4, 6\): .* x.transpose\(0, 3, 1, 2\)"):
        tc.diagnose(encoder, decoder, IMAGES)
    with pytest.raises(ConfigError, match=r"take \(2, 4, 1, 3\), received a model of \(None, 3, None, None\)"):
        tc.diagnose(network, decoder, IMAGES[:, :, :1])
    with pytest.raises(ConfigError, match=r"tfcollapse.from_torch\(encoder\)"):
        tc.diagnose(lambda x: (network(x), network(x)), decoder, IMAGES.transpose(0, 3, 1, 2))


@pytest.mark.parametrize(
    ("decode", "message"),
    [
        (lambda z: decoder(z).transpose(0, 3, 1, 2), r"\(2, 4, 6, 3\), received \(2, 3, 4, 6\), .*\(0, 2, 3, 1\)"),
        (lambda z: decoder(z)[..., :2], r"\(2, 4, 6, 3\), .* received \(2, 4, 6, 2\)"),
        (lambda z: (decoder(z),) * 3, "received 3 outputs: choose"),
        (lambda z: {"a": decoder(z), "b": decoder(z)}, "the name of a mean, received a dictionary with a, b"),
    ],
)
def test_a_decoder_s_output_must_be_the_examples_in_their_order(decode, message):
    with pytest.raises(ConfigError, match=f"decoder: expected .*{message}") as raised:
        adapter((MEAN[:2], MEAN[:2]), decode, IMAGES[:2])
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "decode",
    [
        lambda z: decoder(z).reshape(len(z), -1),
        lambda z: decoder(z)[:, None],
        lambda z: {"reconstruction": decoder(z), "z": z},
        lambda z: types.SimpleNamespace(mean=decoder(z)),
    ],
)
def test_flat_outputs_axes_of_one_and_names_are_taken(decode):
    assert adapter((MEAN, MEAN), decode).decode(MEAN, IMAGES).mean.shape == (40, 72)


def test_latents_with_axes_of_their_own_reach_the_decoder_as_they_were():
    latents = MEAN.reshape(10, 2, 2, 2)

    def decode(z):
        assert z.shape[1:] == (2, 2, 2)
        return decoder(z)

    found = adapter((latents, latents), decode, IMAGES[:10])
    assert found.latent_dim == 8
    assert found.encode(IMAGES[:10]).mean.shape == (10, 8)


def conditional(*shape):
    z, condition = keras.Input((2,)), keras.Input(shape)
    flat = keras.layers.Flatten()(condition)
    return keras.Model([z, condition], keras.layers.Dense(72)(keras.layers.Concatenate()([z, flat])))


def test_a_condition_is_no_autoregressive_input():
    with pytest.raises(ConfigError, match=r"\(2,\) and \(10,\): .*decoder=lambda z: model\(\[z, np.tile") as raised:
        adapter((MEAN, MEAN), conditional(10))
    assert "\n" not in str(raised.value)
    assert adapter((MEAN, MEAN), conditional(4, 6, 3)).autoregressive
    x, condition = keras.Input((72,)), keras.Input((10,))
    model = keras.Model([x, condition], [x, x])
    with pytest.raises(ConfigError, match=r"\(72,\) and \(10,\): .*encoder=lambda x: model\(\[x, np.tile"):
        ModelAdapter(model, decoder, IMAGES.reshape(40, 72))
    # What the message says works.
    model, condition = conditional(10), np.eye(10, dtype=np.float32)[3]
    fixed = adapter((MEAN, MEAN), lambda z: model([z, np.tile(condition, (len(z), 1))]))
    assert not fixed.autoregressive


def test_a_condition_of_a_function_is_told_when_the_call_fails():
    with pytest.raises(ConfigError, match="a second input is taken for the examples; a condition is fixed"):
        adapter((MEAN, MEAN), lambda z, label: decoder(z) + label @ np.ones((10, 1)))
