"""Solve min_u |x - A u|^2 + gamma eta(u), the analogy of section 5.1, to see which penalties eta prune exactly.

The paper compares the l1 norm, which prunes at a finite gamma, with "the l2 norm", which never does. This is true of
the SQUARED l2 norm. The l2 norm itself prunes as well, all coefficients at once.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from tfcollapse.theory import arguments

Penalty = Literal["l1", "l2", "l2 squared"]


def pruning_gamma(design: np.ndarray, target: np.ndarray, penalty: Penalty) -> float:
    """Return the gamma from which u = 0 minimises |x - A u|^2 + gamma eta(u).

    It is 2 max |A'x| for l1, 2 |A'x| for l2, and infinite for the square of l2.

    Args:
      design: A, [d, k].
      target: x, [d].
      penalty: eta.

    Example:
      >>> from tfcollapse.theory import shrinkage
      >>> design, target = np.eye(2), np.array([3.0, 4.0])
      >>> [shrinkage.pruning_gamma(design, target, penalty) for penalty in ("l1", "l2", "l2 squared")]
      [8.0, 10.0, inf]
    """
    slope = 2 * design.T @ target
    norms = {"l1": np.abs(slope).max(), "l2": np.linalg.norm(slope), "l2 squared": np.inf}
    return float(norms[penalty])


def solve(design: np.ndarray, target: np.ndarray, gamma: float, penalty: Penalty, steps: int = 4_000) -> np.ndarray:
    """Return the u that minimises |x - A u|^2 + gamma eta(u), [k].

    It is computed in closed form for the squared norm, and by accelerated proximal steps for the others.

    Args:
      design: A, [d, k].
      target: x, [d].
      gamma: the weight of the penalty, >= 0.
      penalty: eta.
      steps: the number of proximal steps.

    Raises:
      ConfigError: arrays of other shapes or with numbers that are not finite, or gamma < 0.

    Example:
      >>> from tfcollapse.theory import shrinkage
      >>> design, target = np.eye(2), np.array([3.0, 4.0])
      >>> [shrinkage.solve(design, target, 7.0, penalty).round(2).tolist() for penalty in ("l1", "l2", "l2 squared")]
      [[0.0, 0.5], [0.9, 1.2], [0.38, 0.5]]
    """
    design, target = arguments.finite("design", design, None, None), arguments.finite("target", target, len(design))
    arguments.non_negative("gamma", gamma)
    gram, slope = design.T @ design, design.T @ target
    if penalty == "l2 squared":
        return np.linalg.solve(gram + gamma * np.eye(len(gram)), slope)
    rate = 1 / (2 * np.linalg.eigvalsh(gram)[-1])
    u = before = np.zeros(len(gram))
    for step in range(steps):
        ahead = u + step / (step + 3) * (u - before)
        before, u = u, _shrink(ahead - 2 * rate * (gram @ ahead - slope), rate * gamma, penalty)
    return u


def _shrink(u: np.ndarray, amount: float, penalty: Penalty) -> np.ndarray:
    if penalty == "l1":
        return np.sign(u) * np.maximum(np.abs(u) - amount, 0.0)
    size = np.linalg.norm(u)
    return u * max(0.0, 1 - amount / size) if size > 0 else u
