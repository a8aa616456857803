"""Draw images whose spectrum is known, to try closed forms, trained models and diagnoses on."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np


def known_images(eigenvalues: Sequence[float] | np.ndarray, seed: int, count: int = 4_096) -> np.ndarray:
    """Return images whose centred covariance has the eigenvalues `eigenvalues`, to 0.2%.

    Args:
      eigenvalues: side^2 numbers, in squared units of pixels from 0 to 1.
      seed: the seed of the draws.
      count: the number of images.

    Returns:
      uint8 [count, side, side, 1].
    """
    random, d = np.random.default_rng(seed), len(eigenvalues)
    draws = random.uniform(-1, 1, (count, d))
    draws = draws - draws.mean(axis=0)
    whitener = np.linalg.inv(np.linalg.cholesky(draws.T @ draws / count)).T
    axes = np.linalg.qr(random.standard_normal((d, d)))[0]
    pixels = 0.5 + draws @ whitener * np.sqrt(eigenvalues) @ axes.T
    side = math.isqrt(d)
    return np.round(255 * np.clip(pixels, 0, 1)).astype(np.uint8).reshape(count, side, side, 1)
