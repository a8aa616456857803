import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfcollapse.config import Data
from tfcollapse.data import MINI, load
from tfcollapse.diagnostics import posterior, reconstruction


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


def test_the_spectrum_is_that_of_the_centred_covariance():
    images = np.random.default_rng(0).integers(0, 256, (500, 3, 2, 2), dtype=np.uint8)
    flat = images.reshape(500, -1) / 255.0
    expected = np.linalg.eigvalsh(np.cov(flat.T, bias=True))[::-1]
    found = reconstruction.spectrum(images, latent_dim=3)
    assert found.eigenvalues == pytest.approx(expected, abs=1e-12)
    assert found.total == pytest.approx(expected.sum(), rel=1e-12)


def test_the_pca_floor_is_what_a_pca_reaches_and_the_ceiling_what_the_mean_does():
    images = load(Data(name=MINI, train=400)).train
    flat = images.reshape(400, -1) / 255.0
    centred = flat - flat.mean(axis=0)
    _, _, axes = np.linalg.svd(centred, full_matrices=False)
    for latent in (1, 8):
        rest = centred - centred @ axes[:latent].T @ axes[:latent]
        lines = reconstruction.spectrum(images, latent)
        assert lines.pca(latent) == pytest.approx(np.mean(rest**2), rel=1e-9)
        assert lines.mean_predictor == pytest.approx(np.mean(centred**2), rel=1e-9)
