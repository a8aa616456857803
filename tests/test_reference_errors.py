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
