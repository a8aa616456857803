"""Try whether a few prototypes code what is left of the data: structure that no single direction shows.

The spectrum of the residuals is a second-order criterion. Where the data are one bright pixel on a grid, the spectrum
is flat, but a decoder that is not linear could still code which pixel it is. A codebook of K entries tells: coding an
example by the nearest entry costs at most log K nats, and gains the fall of its squared error over 2 gamma.
"""

from __future__ import annotations

import warnings

import numpy as np
from scipy.cluster.vq import kmeans2, vq

SIZES = (4, 16, 64)
_EXAMPLES_A_ENTRY = 8
"""A codebook is tried where every entry has at least so many examples to be found from."""
_LARGEST = 1_024
"""Residuals in each half."""


def codebook_reductions(residuals: np.ndarray) -> tuple[tuple[int, float], ...]:
    """Return how much codebooks lower the squared error of residuals that they were not made from.

    The entries are found by k-means on one half; the error is measured on the other half, and the halves change roles.

    Args:
      residuals: [n, d], in random order: every other one belongs to the second half.

    Returns:
      (K, mean over examples of |r|^2 - |r - nearest entry|^2) for every size K that n allows.
    """
    halves = residuals[::2][:_LARGEST], residuals[1::2][:_LARGEST]
    sizes = [size for size in SIZES if len(halves[1]) >= size * _EXAMPLES_A_ENTRY]
    return tuple((size, (_reduction(*halves, size) + _reduction(*halves[::-1], size)) / 2) for size in sizes)


def gain(reductions: tuple[tuple[int, float], ...], gamma: float) -> tuple[int, float]:
    """Return the size K of the codebook that gains most nats an example at this gamma, and its gain; (0, 0) for none.

    The gain is the fall of the squared error over 2 gamma, less log K.
    """
    gains = [(reduction / (2 * gamma) - np.log(size), size) for size, reduction in reductions]
    best, size = max(gains, default=(0.0, 0))
    return size, float(best)


def _reduction(known: np.ndarray, held_out: np.ndarray, size: int) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an entry that no example is near to
        entries = kmeans2(known, size, minit="++", iter=10, rng=np.random.default_rng(0))[0]
    distances = vq(held_out, entries)[1]
    return float((np.square(held_out, dtype=np.float64).sum(axis=1) - np.square(distances, dtype=np.float64)).mean())
