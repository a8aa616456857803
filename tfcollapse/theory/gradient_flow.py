"""Follow the gradient flow of eq. (6) to its end, for Proposition 1.

The flow is on the symmetric slice of the paper's two points.
"""

from __future__ import annotations

import numpy as np

from tfcollapse.theory import arguments
from tfcollapse.theory.local_minimum import PAPER_DATA, collapsed, energy
from tfcollapse.theory.soft_threshold import expected_error

COLLAPSED, RECONSTRUCTED, PARTIAL, UNDECIDED = "collapsed", "reconstructed", "partial minimum", "undecided"
_STEP, _REACH, _STEPS = 0.04, 0.02, 12_000
_DEEP = -4.0
"""An energy relative to that of (7), far below (7) and the second local minimum. A flow below it ends at neither."""


def basin_map(
    weights: np.ndarray, means: np.ndarray, alpha: float, sigma: float = 1.0, gamma: float = 1.0
) -> np.ndarray:
    """Return how the gradient flow from each start ends.

    The flow is that of (W, b, log gamma, mu, log sigma) under the Euclidean metric. It starts at W_1 = W_2 = w, mu_1 =
    -mu_2 and b = 0, and stays on that slice by symmetry. gamma-bar is 1.

    Args:
      weights: the starts of w, [rows].
      means: the starts of mu, [columns].
      alpha: the threshold, >= 0.
      sigma, gamma: the starts of sigma_1 = sigma_2 and of gamma, > 0.

    Returns:
      str [rows, columns]: COLLAPSED where the mean ends at 0 (W may end at any value that sends no signal),
      RECONSTRUCTED where the energy falls below every other minimum, PARTIAL at the second local minimum, and UNDECIDED
      where the flow has not ended.

    Raises:
      ConfigError: alpha < 0, sigma <= 0 or gamma <= 0.

    Example:
      >>> from tfcollapse.theory import gradient_flow
      >>> gradient_flow.basin_map(weights=np.array([0.1, 2.0]), means=np.array([0.1, 2.0]), alpha=1.0)
      array([['collapsed', 'collapsed'],
             ['partial minimum', 'partial minimum']], dtype='<U16')
    """
    arguments.non_negative("alpha", alpha)
    w, mu = (np.ravel(axis) for axis in np.meshgrid(weights, means, indexing="ij"))
    logs = [
        np.full_like(w, np.log(arguments.positive(name, value))) for name, value in (("sigma", sigma), ("gamma", gamma))
    ]
    state = np.stack([w, mu, *logs]).astype(np.float64)
    base = energy(collapsed(PAPER_DATA), PAPER_DATA, alpha)
    running = np.arange(state.shape[1])
    for _ in range(_STEPS):
        slope, value = _slope(state[:, running], alpha)
        speed = np.linalg.norm(slope, axis=0)
        state[:, running] -= slope * np.minimum(_STEP, _REACH / np.maximum(speed, 1e-30))
        running = running[(value - base > _DEEP) & (speed > 1e-7)]
        if running.size == 0:
            break
    return _ends(state, alpha, base).reshape(len(weights), len(means))


def _ends(state: np.ndarray, alpha: float, base: float) -> np.ndarray:
    slope, value = _slope(state, alpha)
    still = np.linalg.norm(slope, axis=0) < 1e-4
    signal = np.abs(state[1]) > 0.05
    ends = np.full(value.shape, UNDECIDED, dtype="<U16")
    ends[still & ~signal] = COLLAPSED
    ends[still & signal] = PARTIAL
    ends[value - base <= _DEEP + 0.1] = RECONSTRUCTED
    return ends


def _slope(state: np.ndarray, alpha: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the derivatives of eq. (6) by (W_1, mu_1, log sigma_1, log gamma), and its value.

    The errors of all four pairs of a point and a coordinate are alike by symmetry.
    """
    w, mu, log_sigma, log_gamma = state
    variance, gamma = np.exp(2 * log_sigma), np.exp(log_gamma)
    error = expected_error(1.0, w * mu, w**2 * variance, alpha)
    value = 4 * error.value / gamma + 4 * log_gamma + 2 * (mu**2 + variance - 2 * log_sigma)
    slope = np.stack(
        [
            2 * (error.m1 * mu + error.m2 * w * variance) / gamma,
            2 * error.m1 * w / gamma + 2 * mu,
            2 * error.m2 * w**2 * variance / gamma + 2 * variance - 2,
            4 - 4 * error.value / gamma,
        ]
    )
    return slope, value
