"""The same affine VAE as functions of NumPy, torch and JAX, and as Keras models: one diagnosis."""

import functools
import json
import logging
import os
import subprocess
import sys
import types

import numpy as np
import pytest
from processes import ROOT

import tfcollapse as tc
from tfcollapse.diagnosis.adapter.frameworks import KerasModel
from tfcollapse.diagnosis.adapter.model_adapter import ModelAdapter
from tfcollapse.diagnosis.amortization_gap import amortization_gap
from tfcollapse.diagnosis.likelihoods import BERNOULLI, LINKS
from tfcollapse.errors import ConfigError
from tfcollapse.theory import affine

torch = pytest.importorskip("torch")
jnp = pytest.importorskip("jax.numpy")

GAMMA, LATENT = 0.3, 3
EIGENVALUES = np.array([4.0, 2.0, 1.0, *[0.1] * 5])


@functools.cache
def data():
    """[600, 8] around -3, whose covariance has these eigenvalues."""
    draws = np.random.default_rng(0).standard_normal((600, 8))
    draws -= draws.mean(axis=0)
    white = draws @ np.linalg.inv(np.linalg.cholesky(draws.T @ draws / 600)).T
    axes = np.linalg.qr(np.random.default_rng(1).standard_normal((8, 8)))[0]
    return (white * np.sqrt(EIGENVALUES) @ axes.T - 3).astype(np.float32)


@functools.cache
def best():
    return affine.optimum(data().astype(np.float64), LATENT, GAMMA)


def weights():
    """The encoder's matrix, [8, latent], the bias of data, log variances and the decoder's matrix, [latent, 8]."""
    found = best()
    parts = found.encoder.T, found.bias, np.log(found.latent_variance), found.weights.T
    return [np.asarray(part, np.float32) for part in parts]


def in_numpy():
    down, bias, log_variance, up = weights()
    return (
        lambda x: ((x - bias) @ down, np.tile(log_variance, (len(x), 1))),
        lambda z: z @ up + bias,
    )


class TorchVAE(torch.nn.Module):
    """With dropout and a batch norm, which are to be seen in eval mode."""

    def __init__(self):
        super().__init__()
        down, bias, log_variance, up = (torch.tensor(part) for part in weights())
        self.down, self.bias, self.up = (torch.nn.Parameter(part) for part in (down, bias, up))
        self.log_variance, self.noise = torch.nn.Parameter(log_variance), torch.nn.Dropout(0.5)

    def encode(self, x):
        return self.noise((x - self.bias) @ self.down), self.log_variance.expand(len(x), -1)

    def decode(self, z):
        return self.noise(z) @ self.up + self.bias

    forward = encode


class TorchDecoder(TorchVAE):
    def forward(self, z):
        return self.decode(z)


def in_torch():
    return TorchVAE(), TorchDecoder()


def in_torch_methods():
    vae = TorchVAE()
    return vae.encode, vae.decode


def in_torch_functions():
    vae = TorchVAE()
    return tc.from_torch(lambda x: vae.encode(x)), tc.from_torch(lambda z: vae.decode(z))


def in_torch_distributions():
    vae = TorchVAE()

    def encode(x):
        mean, log_variance = vae.encode(x)
        return torch.distributions.Normal(mean, torch.exp(log_variance / 2))

    return tc.from_torch(encode), tc.from_torch(
        lambda z: torch.distributions.Bernoulli(vae.decode(z), validate_args=False)
    )


def in_jax():
    down, bias, log_variance, up = (jnp.asarray(part) for part in weights())
    return (
        tc.from_jax(lambda x: {"mu": (x - bias) @ down, "logvar": jnp.tile(log_variance, (len(x), 1))}),
        tc.from_jax(lambda z: z @ up + bias),
    )


def in_bare_jax():
    encoder, decoder = in_jax()
    return encoder.function, decoder.function


def numbers(encoder, decoder):
    found = tc.diagnose(encoder, decoder, data(), GAMMA)
    return found.verdict.categories, found.measurements


@functools.cache
def of_numpy():
    return numbers(*in_numpy())


@pytest.mark.parametrize(
    "parts", [in_torch, in_torch_methods, in_torch_functions, in_torch_distributions, in_jax, in_bare_jax]
)
def test_every_framework_gives_the_numbers_of_numpy_and_a_gap(parts):
    categories, found = numbers(*parts())
    expected_categories, expected = of_numpy()
    assert categories == expected_categories
    assert found.error == pytest.approx(expected.error, rel=1e-4)
    assert found.kl_per_dimension == pytest.approx(expected.kl_per_dimension, rel=1e-3, abs=1e-5)
    assert found.implied_gamma == pytest.approx(GAMMA, rel=1e-3)
    assert expected.amortization_gap is None
    assert found.amortization_gap == pytest.approx(0, abs=1e-3)  # the optimum's posterior is the true one


def test_modules_are_set_back_as_they_were_and_keep_no_gradient():
    vae = TorchVAE().train()
    vae.noise.eval()
    tc.diagnose(vae.encode, vae.decode, data()[:100], GAMMA)
    assert vae.training
    assert not vae.noise.training
    assert all(part.grad is None for part in vae.parameters())


@pytest.mark.parametrize("parts", [in_torch_functions, in_jax])
def test_the_gap_of_logits_is_the_fall_of_their_cross_entropy(parts):
    encoder, decoder = parts()
    x = (data() > -3).astype(np.float32)
    adapter = ModelAdapter(encoder, decoder, x[:2])
    adapter.link = LINKS["logits"]
    encoded = adapter.encode(x[:16])
    found = amortization_gap(adapter, encoded, 1.0, seed=0, likelihood=BERNOULLI)
    # The derivative is a likelihood's own: one by finite differences tells whether the descent followed it.
    z = encoded.mean.astype(np.float64)
    raw, pull_back = adapter.vjp(encoded.mean, encoded.examples)
    cotangent = -(encoded.examples - 1 / (1 + np.exp(-raw)))
    up, bias = weights()[3].astype(np.float64), weights()[1].astype(np.float64)

    def loss(latents):
        logits = latents @ up + bias
        return (np.logaddexp(0, logits) - encoded.examples * logits).sum()

    step = 1e-4 * np.eye(1, z.size).reshape(z.shape)
    assert pull_back(cotangent)[0, 0] == pytest.approx((loss(z + step) - loss(z - step)) / 2e-4, rel=1e-3)
    assert found > 0.1


def test_a_torch_decoder_with_variances_of_its_own_has_a_gap():
    down, bias, log_variance, up = (torch.tensor(part) for part in weights())
    lag = torch.tensor([0.5, 0.0, 0.0])

    def decode(z):
        return z @ up + bias, torch.full((len(z), 8), np.log(GAMMA))

    encoder = tc.from_torch(lambda x: ((x - bias) @ down + lag, log_variance.expand(len(x), -1)))
    adapter = ModelAdapter(encoder, tc.from_torch(decode), data()[:2])
    assert adapter.own_variance
    # Its log variances do not follow from z, so torch gives no gradient for them, unless they are tied to it.
    assert adapter.vjp(np.zeros((2, LATENT)), data()[:2]) is None
    tied = tc.from_torch(lambda z: (decode(z)[0], decode(z)[1] + 0 * z.sum()))
    adapter = ModelAdapter(encoder, tied, data()[:2])
    # A mean that is off by 0.5 costs 0.5^2 / (2 sigma^2) nats.
    expected = 0.125 / best().latent_variance[0]
    found = amortization_gap(adapter, adapter.encode(data()[:64]), 1.0, seed=0)
    assert found == pytest.approx(expected, rel=0.01)


def test_tensorflow_does_not_warn_when_models_are_compiled_one_after_the_other(monkeypatch):
    logger = logging.getLogger("tensorflow")
    monkeypatch.setattr(logger, "filters", [])
    warning = logging.makeLogRecord({"msg": "5 out of the last 9 calls triggered tf.function retracing."})
    assert logger.filter(warning)
    KerasModel(types.SimpleNamespace(predict_on_batch=None))
    assert not logger.filter(warning)
    assert logger.filter(logging.makeLogRecord({"msg": "another warning"}))


@pytest.mark.parametrize("wrap", [tc.from_torch, tc.from_jax])
def test_what_cannot_be_called_is_refused(wrap):
    with pytest.raises(ConfigError, match="expected a function( or a model, received int|, received 3)"):
        wrap(3)


WITHOUT = """
import sys
for name in {absent}:
    sys.modules[name] = None
import numpy as np
import tfcollapse as tc
rng = np.random.default_rng(0)
x = rng.normal(size=(500, 2)) @ rng.normal(size=(2, 6)) + 0.1 * rng.normal(size=(500, 6))
up = np.linalg.svd(x - x.mean(0), full_matrices=False)[2][:2] * 2
found = tc.diagnose(
    lambda x: ((x - 0) @ np.linalg.pinv(up), np.full((len(x), 2), -4.0)), lambda z: z @ up, x, gamma=0.02
)
print(len(str(found)) > 100, found.measurements.latent_dim)
try:
    tc.CollapseMonitor
except tc.UserError as error:
    print(error)
for name in {absent}:
    assert sys.modules[name] is None
"""


def test_functions_of_numpy_need_no_framework():
    answer = subprocess.run(
        [sys.executable, "-c", WITHOUT.format(absent=("tensorflow", "keras", "tensorflow_datasets", "torch", "jax"))],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert answer.returncode == 0, answer.stderr
    first, second = answer.stdout.splitlines()
    assert first == "True 2"
    assert second.startswith("CollapseMonitor: Keras is not installed")


PARTS = """
import numpy as np
up = np.eye(2, 6)
def encode(x):
    return np.concatenate([x @ up.T, np.full((len(x), 2), -4.0)], axis=1)
def decode(z):
    return z @ up
"""

COMMAND = """
import sys
for name in ("tensorflow", "keras", "tensorflow_datasets", "torch", "jax"):
    sys.modules[name] = None
from tfcollapse.cli.main import main
sys.exit(main(sys.argv[1:]))
"""


def test_functions_in_a_file_are_diagnosed_from_the_command_line_without_a_framework(tmp_path):
    (tmp_path / "parts.py").write_text(PARTS)
    np.savez(tmp_path / "x.npz", rows=np.random.default_rng(0).normal(size=(300, 6)))
    encoder, decoder = (f"{tmp_path}/parts.py:{name}" for name in ("encode", "decode"))
    question = ["diagnose", "--encoder", encoder, "--decoder", decoder, "--data", str(tmp_path / "x.npz")]

    def ask(*more):
        return subprocess.run(
            [sys.executable, "-c", COMMAND, *question, *more], cwd=ROOT, capture_output=True, text=True
        )

    answer = ask("--joined", "--gamma", "0.1", "--examples", "200", "--json")
    assert answer.returncode == 0, answer.stderr
    found = json.loads(answer.stdout)
    assert found["measurements"]["images"] == 200
    assert "200, evenly spread, of 300 examples" in str(found["verdict"]["notes"])
    refused = ask()
    assert refused.returncode == 2
    assert "joined=True" in refused.stderr
    assert refused.stderr.count("\n") == 1


KERAS = """
import sys
import numpy as np, keras
import tfcollapse as tc
down, bias, log_variance, up = np.load(sys.argv[1]).values()
x, z = keras.Input((8,)), keras.Input((3,))
mean, spread, out = keras.layers.Dense(3), keras.layers.Dense(3), keras.layers.Dense(8)
encoder, decoder = keras.Model(x, [mean(x), spread(x)]), keras.Model(z, out(z))
mean.set_weights([down, -bias @ down])
spread.set_weights([np.zeros((8, 3)), log_variance])
out.set_weights([up, bias])
found = tc.diagnose(encoder, decoder, np.load(sys.argv[2]), 0.3).measurements
print(keras.config.backend(), found.error, found.implied_gamma, found.amortization_gap, flush=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["tensorflow", "jax", "torch"])
def test_a_keras_model_under_every_backend(backend, tmp_path):
    np.savez(tmp_path / "weights.npz", *weights())
    np.save(tmp_path / "data.npy", data())
    answer = subprocess.run(
        [sys.executable, "-c", KERAS, str(tmp_path / "weights.npz"), str(tmp_path / "data.npy")],
        cwd=ROOT,
        env=os.environ | {"KERAS_BACKEND": backend},
        capture_output=True,
        text=True,
    )
    assert answer.returncode == 0, answer.stderr
    name, error, implied, gap = answer.stdout.split()
    assert name == backend
    assert float(error) == pytest.approx(of_numpy()[1].error, rel=1e-4)
    assert float(implied) == pytest.approx(GAMMA, rel=1e-3)
    assert float(gap) == pytest.approx(0, abs=1e-3)
