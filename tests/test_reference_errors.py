"""The errors that need no training: each set of images has its own, computed once."""

import numpy as np
import pytest

from tfcollapse.config.declaration import Network, Run
from tfcollapse.training import reference_errors as module
from tfcollapse.training.reference_errors import reference_errors

RUN = Run(network=Network(latent_dim=2))


@pytest.fixture
def images_of(tmp_path):
    """A function that writes 30 images of a seed to a file of their own, and maps it."""

    def mapped(seed):
        path = tmp_path / f"{seed}.npy"
        np.save(path, np.random.default_rng(seed).integers(0, 256, (30, 3, 3, 1), dtype=np.uint8))
        return np.load(path, mmap_mode="r")

    return mapped


def test_they_are_those_of_the_images_covariance(images_of):
    """With gamma between the second and the third eigenvalue an affine VAE keeps two units, as PCA does."""
    images = images_of(0)
    pixels = np.asarray(images).reshape(30, 9) / 255.0
    eigenvalues = np.linalg.eigvalsh(np.cov(pixels.T, bias=True))[::-1]
    errors = reference_errors(RUN, images, float(eigenvalues[1:3].mean()))
    assert errors["mean_predictor_error"] == pytest.approx(eigenvalues.sum() / 9)
    assert errors["pca_error"] == pytest.approx(eigenvalues[2:].sum() / 9)
    assert errors["affine_active_units"] == 2
    assert errors["affine_error"] > errors["pca_error"]
    assert set(reference_errors(RUN, images, None)) == {"mean_predictor_error", "pca_error"}


def test_two_sets_of_images_of_one_declaration_do_not_share_them(images_of, monkeypatch):
    """As two directories of TFDS may hold them. The last two spectra are kept, and not computed again."""
    computed = []
    monkeypatch.setattr(module, "_spectra", {})
    spectrum = module.spectrum
    monkeypatch.setattr(module, "spectrum", lambda *given, **named: computed.append(1) or spectrum(*given, **named))
    first, second, third = (reference_errors(RUN, images_of(seed), None) for seed in (1, 2, 1))
    assert first == third != second
    assert len(computed) == 2
    reference_errors(RUN, images_of(3), None)
    reference_errors(RUN, images_of(1), None)
    assert len(computed) == 4  # the oldest one, seed 1's, had been dropped


def test_more_latent_dimensions_than_pixels_add_nothing(images_of):
    run = Run(network=Network(latent_dim=5_000))
    errors = reference_errors(run, images_of(0), 1e-9)
    assert errors["pca_error"] == pytest.approx(0.0, abs=1e-12)
    assert errors["affine_active_units"] == 9


def test_a_gamma_of_zero_decides_nothing(images_of):
    """As that of a VAE whose KL has the weight 0: it is an AE with noise."""
    errors = reference_errors(RUN, images_of(0), 0.0)
    assert (errors["affine_active_units"], errors["affine_error"]) == (None, None)
    assert errors["pca_error"] == reference_errors(RUN, images_of(0), None)["pca_error"]


@pytest.mark.parametrize("value", [0, 77, 255])
def test_images_that_are_all_the_same_have_no_error(value, tmp_path):
    np.save(tmp_path / "same.npy", np.full((50, 3, 3, 1), value, np.uint8))
    errors = reference_errors(RUN, np.load(tmp_path / "same.npy", mmap_mode="r"), 0.5)
    assert all(0 <= error < 1e-12 for error in errors.values())
