"""Measure how much of the differences between images is left after a layer."""

from __future__ import annotations

import numpy as np


def signal(activations: np.ndarray) -> float:
    """Return the standard deviation over images of a layer's output, as the root mean square over its units.

    A layer that gives the same output for every image has signal 0, however large that output is.

    Args:
      activations: [n, ...], the layer's outputs for n images.
    """
    flat = activations.reshape(len(activations), -1)
    return float(np.sqrt(np.var(flat, axis=0, dtype=np.float64).mean()))
