"""Compute the errors that a trained model is held against, from its images alone."""

from __future__ import annotations

from typing import Any

import numpy as np

from tfcollapse.config.declaration import Run
from tfcollapse.metrics.spectrum import spectrum
from tfcollapse.theory.affine import Spectrum

_spectra: dict[tuple[Any, ...], Spectrum] = {}
"""The spectra that were computed last, two at most. A worker of a sweep trains many runs on the same images."""


def reference_errors(run: Run, images: np.ndarray, gamma: float | None) -> dict[str, float | None]:
    """Return the errors per pixel that need no training.

    Args:
      run: the declaration; its latent dimension counts here.
      images: the training images of `run.data`, uint8 [n, h, w, c].
      gamma: the decoder variance that decides which latent units an affine VAE keeps; None for an AE.

    Returns:
      `mean_predictor_error` and `pca_error`; with a gamma also `affine_active_units` and `affine_error`, of the
      optimal affine VAE (section 4). These two are None for a gamma of 0, as that of a VAE without a KL term, which
      decides nothing. Latent dimensions beyond the pixels are left out: no linear autoencoder has a use for them.
    """
    data = _spectrum(run, images)
    latent = min(run.network.latent_dim, data.dimensions)
    numbers: dict[str, float | None] = {"mean_predictor_error": data.mean_predictor, "pca_error": data.pca(latent)}
    if gamma == 0:
        numbers |= {"affine_active_units": None, "affine_error": None}
    elif gamma is not None:
        numbers["affine_active_units"] = data.active_units(latent, gamma)
        numbers["affine_error"] = data.error(latent, gamma)
    return numbers


def _spectrum(run: Run, images: np.ndarray) -> Spectrum:
    # The image cache names its files after their content, so declaration and file name identify the images.
    key = run.data, getattr(images, "filename", None), run.network.latent_dim
    if key not in _spectra:
        while len(_spectra) > 1:
            del _spectra[next(iter(_spectra))]
        _spectra[key] = spectrum(images, run.network.latent_dim, scale=255.0)
    return _spectra[key]
