import math

import numpy as np
import pytest
import scipy.special
import scipy.stats
from examples import tiny
from hypothesis import given
from hypothesis import strategies as st

from tfcollapse.config.declaration import Data, Network, Objective, Run
from tfcollapse.data import random_streams as draws
from tfcollapse.data.dataset import MINI, load
from tfcollapse.metrics import posterior
from tfcollapse.metrics import spectrum as reconstruction
from tfcollapse.metrics.layer_signal import signal
from tfcollapse.models.build import build
from tfcollapse.theory import affine
from tfcollapse.training.evaluation import Block, evaluate, initial_signal
from tfcollapse.training.tensorflow_engine import TensorFlowEngine


def test_active_units_are_those_whose_mean_varies():
    mean = np.zeros((4, 3))
    mean[:, 0] = [1, -1, 1, -1]  # variance 1
    mean[:, 1] = [0.0999, -0.0999, 0.0999, -0.0999]  # variance 0.00998, below the threshold of 0.01
    mean[:, 2] += 5.0  # constant, however large
    assert posterior.active_units(mean.var(axis=0)).tolist() == [True, False, False]
    assert posterior.active_units(mean.var(axis=0), threshold=0.009).tolist() == [True, True, False]


def test_kl_per_dimension_is_the_closed_form_averaged_over_images():
    mean = np.array([[0.0, 1.0], [0.0, 3.0]])
    log_variance = np.array([[0.0, 0.0], [math.log(2.0), 0.0]])
    # dimension 0: (0 + (2 - log 2 - 1) / 2) / 2; dimension 1: (1/2 + 9/2) / 2
    expected = [(1 - math.log(2)) / 4, 2.5]
    assert posterior.kl_per_dimension(mean, log_variance) == pytest.approx(expected)


@given(st.integers(0, 2**32 - 1), st.floats(-3, 3), st.floats(0.1, 3))
def test_kl_agrees_with_sampling(seed, mean, sigma):
    random = np.random.default_rng(seed)
    z = mean + sigma * random.standard_normal(20_000)
    log_ratio = -np.log(sigma) - 0.5 * ((z - mean) / sigma) ** 2 + 0.5 * z**2  # log q - log p
    exact = posterior.kl_per_dimension(np.array([[mean]]), np.array([[2 * math.log(sigma)]]))[0]
    assert abs(log_ratio.mean() - exact) < 6 * log_ratio.std() / math.sqrt(len(z)) + 1e-12


def test_the_sigma_histogram_counts_every_pair_once():
    sigma = np.array([[0.01, 0.5], [0.99, 7.0]])
    shares = posterior.sigma_histogram(2 * np.log(sigma), bins=np.array([0.0, 0.25, 0.75, 1.0, 1.2]))
    assert shares.tolist() == [0.25, 0.25, 0.25, 0.25]  # what lies above the last edge counts to the last bin
    assert posterior.sigma_histogram(2 * np.log(sigma)).sum() == pytest.approx(1.0)


def test_the_spectrum_of_few_float32_examples_is_taken_in_float64():
    data = np.random.default_rng(1).uniform(0, 255, (8, 12)).astype(np.float32)
    expected = np.linalg.eigvalsh(np.cov(data.T.astype(np.float64) / 255, bias=True))[::-1]
    assert reconstruction.spectrum(data, 3, scale=255.0).eigenvalues == pytest.approx(expected, abs=1e-13)


@pytest.mark.parametrize("count", [500, 8])  # more and fewer than there are numbers in an image
def test_the_spectrum_is_that_of_the_centred_covariance(count):
    images = np.random.default_rng(0).integers(0, 256, (count, 3, 2, 2), dtype=np.uint8)
    flat = images.reshape(count, -1) / 255.0
    expected = np.linalg.eigvalsh(np.cov(flat.T, bias=True))[::-1]
    found = reconstruction.spectrum(images, 3, scale=255.0)
    assert found.eigenvalues == pytest.approx(expected, abs=1e-12)
    assert found.total == pytest.approx(expected.sum(), rel=1e-12)


def test_the_pca_floor_is_what_a_pca_reaches_and_the_ceiling_what_the_mean_does():
    images = load(Data(name=MINI, train=400)).train
    flat = images.reshape(400, -1) / 255.0
    centred = flat - flat.mean(axis=0)
    _, _, axes = np.linalg.svd(centred, full_matrices=False)
    for latent in (1, 8):
        rest = centred - centred @ axes[:latent].T @ axes[:latent]
        lines = reconstruction.spectrum(images, latent, scale=255.0)
        assert lines.pca(latent) == pytest.approx(np.mean(rest**2), rel=1e-9)
        assert lines.mean_predictor == pytest.approx(np.mean(centred**2), rel=1e-9)


def test_the_largest_eigenvalues_by_iteration_are_the_exact_ones(monkeypatch):
    images = load(Data(name=MINI, train=2_000)).train
    exact = reconstruction.spectrum(images, 16)
    monkeypatch.setattr(reconstruction, "_EXACT", 0)
    found = reconstruction.spectrum(images, 16)
    assert len(found.eigenvalues) == 16
    assert found.eigenvalues == pytest.approx(exact.eigenvalues[:16], rel=1e-4)
    assert found.pca(16) == pytest.approx(exact.pca(16), rel=1e-4)
    assert found.total == exact.total


@pytest.mark.parametrize("gamma", [0.05, 1.5, 6.0, 50.0])
def test_the_affine_vae_keeps_the_eigenvalues_above_gamma_and_errs_as_its_matrices_say(gamma):
    """Against probabilistic PCA at a fixed noise variance, written out (Tipping and Bishop 1999; Lucas et al. 2019)."""
    random = np.random.default_rng(3)
    variances = np.array([9.0, 4.0, 2.0, 1.0, 0.5, 0.1])
    axes, _ = np.linalg.qr(random.standard_normal((6, 6)))
    covariance, latent = axes @ np.diag(variances) @ axes.T, 4
    weights = axes[:, :latent] * np.sqrt(np.maximum(variances[:latent] - gamma, 0.0))
    precision = weights.T @ weights / gamma + np.eye(latent)
    encoder = np.linalg.solve(precision, weights.T / gamma)
    left = np.eye(6) - weights @ encoder
    # With a posterior of independent dimensions, which this one is, for the columns of W are orthogonal.
    error = np.trace(left @ covariance @ left.T) + np.trace(weights @ np.diag(1 / np.diag(precision)) @ weights.T)
    data = affine.Spectrum(variances, variances.sum(), 6)
    assert data.error(latent, gamma) == pytest.approx(error / 6, rel=1e-12)
    assert data.active_units(latent, gamma) == int((np.abs(weights).sum(axis=0) > 0).sum())


def test_signal_is_the_spread_over_images_and_not_the_size():
    activations = np.full((4, 3), 100.0, np.float32)
    assert signal(activations) == 0.0
    activations[:, 0] += [1, -1, 1, -1]  # variance 1 in one unit of three
    assert signal(activations.reshape(4, 3, 1)) == pytest.approx(math.sqrt(1 / 3))


def test_the_signal_of_a_start_is_measured_layer_by_layer():
    """Against the forward pass written out in NumPy."""
    run = Run(network=Network(depth=3, width=40, latent_dim=5), objective=Objective(kind="ae"))
    model, images = build(run, (28, 28, 1)), load(Data(name=MINI)).train[:100]
    layers = [*model.encoder.body[1:], model.encoder.mean, *model.decoder.body[:-1]]
    hidden, expected = images.reshape(100, -1) / 255.0, []
    for number, layer in enumerate(layers):
        hidden = hidden @ layer.kernel.numpy().astype(float)
        if number not in (3, 7):  # the heads are linear
            hidden = np.maximum(hidden, 0.0)
        expected.append(np.sqrt(hidden.var(axis=0).mean()))
    found = initial_signal(model, images)
    assert found["encoder"] + found["decoder"] == pytest.approx(expected, rel=1e-4)
    assert len(found["encoder"]) == 4


def test_evaluation_in_blocks_is_the_measurement_of_the_whole(monkeypatch):
    run = tiny()
    images = load(run.data).train
    engine = TensorFlowEngine(build(run, images.shape[1:]), run.training, jit=False)
    monkeypatch.setattr(draws, "EVALUATION_BLOCK", 64)  # 200 images: three whole blocks and a part
    numbers = evaluate(engine, run, images)
    blocks = [
        engine.evaluate(images[start : start + 64], draws.evaluation_noise(run.seed, number, 6))
        for number, start in enumerate(range(0, 200, 64))
    ]
    whole = Block(*(np.concatenate(parts) for parts in zip(*blocks, strict=True)))
    kl = posterior.kl_per_dimension(whole.mean, whole.log_variance)
    assert numbers["images"] == 200
    assert numbers["reconstruction_error"] == pytest.approx(whole.sampled_error.mean(dtype=float) / 784, rel=1e-12)
    assert numbers["latent_variance"] == pytest.approx(np.var(whole.mean, axis=0, dtype=float), rel=1e-9)
    assert numbers["kl_per_dimension"] == pytest.approx(kl, rel=1e-9)
    assert numbers["sigma_histogram"] == pytest.approx(posterior.sigma_histogram(whole.log_variance), abs=1e-12)
    assert numbers["sigma_above_0.9"] == pytest.approx((np.exp(whole.log_variance / 2) > 0.9).mean())
    covariance = np.cov(whole.mean.astype(float), rowvar=False, bias=True)
    assert numbers["effective_rank"] == pytest.approx(posterior.effective_rank(covariance), rel=1e-9)
    mean, sigma = whole.mean.astype(float), np.exp(whole.log_variance.astype(float) / 2)
    drawn = mean[:64] + sigma[:64] * draws.evaluation_noise(run.seed, 0, 6)[:64]  # the first block's
    log_q = scipy.stats.norm.logpdf(drawn[:, None], mean, sigma).sum(axis=2)  # [draws, images]
    aggregate = scipy.special.logsumexp(log_q, axis=1) - math.log(200)
    assert numbers["mutual_information"] == pytest.approx((np.diag(log_q) - aggregate).mean(), rel=1e-6)
    assert 0 < numbers["mutual_information"] < math.log(200)


@pytest.mark.parametrize("bad", [np.inf, np.nan])
def test_the_evaluation_of_a_diverged_model_is_not_finite_and_warns_of_nothing(bad):
    class Diverged:
        def evaluate(self, images, noise):
            numbers = np.random.default_rng(0).standard_normal((2, len(images), 6)).astype(np.float32)
            numbers[:, 0, 0] = bad
            return Block(np.full(len(images), bad, np.float32), np.ones(len(images), np.float32), *numbers)

    numbers = evaluate(Diverged(), tiny(), np.zeros((draws.EVALUATION_BLOCK + 9, 2, 2, 1), np.uint8))
    assert not math.isfinite(numbers["reconstruction_error"])
    assert not math.isfinite(numbers["kl"])
    assert numbers["reconstruction_error_at_mean"] == 0.25
    assert np.isfinite(numbers["latent_variance"]).tolist() == [False] + [True] * 5
