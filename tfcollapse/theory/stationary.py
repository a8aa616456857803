"""Proposition 4 and the question it leaves open: what kind of stationary point a collapsed unit is."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from tfcollapse.errors import ConfigError
from tfcollapse.theory import arguments

SADDLE, MINIMUM, FLAT = "saddle", "minimum", "flat"
_ROUND_OFF = 1e-10


class Curvature(NamedTuple):
    """The extreme eigenvalues of a Hessian.

    Attributes:
      lowest, highest: eigenvalues.
      error: each of the two has an eigenvalue of the matrix within this distance.
      kind: SADDLE where the lowest is below 0 by more than its error; MINIMUM where it is above 0 by more; FLAT
        between the two: no direction falls at second order, and some do not rise either.
      direction: [size], of unit length, along which the matrix is `lowest`.
    """

    lowest: float
    highest: float
    error: float
    kind: str
    direction: np.ndarray


def curvature(product: Callable[[np.ndarray], np.ndarray], size: int, *, steps: int = 60, seed: int = 0) -> Curvature:
    """The extreme eigenvalues of a symmetric matrix known by its products with vectors, by Lanczos' method.

    SciPy's eigsh wants a relative accuracy, which the many eigenvalues at 0 here never reach; a fixed number of steps
    with complete reorthogonalisation gives both ends and their error bounds (Parlett 1980, section 13.2).

    Args:
      product: [size] to [size].
      steps: at most so many products.
    """
    arguments.whole("steps", steps, 1, 10**6, "Lanczos steps")
    basis = [_unit(np.random.default_rng(seed).standard_normal(size))]
    diagonal, beside = [], []
    for _ in range(min(steps, size)):
        image = np.asarray(product(basis[-1]), np.float64)
        if image.shape != (size,) or not np.isfinite(image).all():
            raise ConfigError(
                f"product: expected {size} finite numbers, received shape {image.shape} or not finite ones"
            )
        diagonal.append(float(basis[-1] @ image))
        known = np.array(basis)
        for _ in range(2):
            image = image - known.T @ (known @ image)
        beside.append(float(np.linalg.norm(image)))
        if beside[-1] <= _ROUND_OFF * max(map(abs, diagonal)):
            break
        basis.append(image / beside[-1])
    inner = np.diag(diagonal) + np.diag(beside[: len(diagonal) - 1], 1) + np.diag(beside[: len(diagonal) - 1], -1)
    values, vectors = np.linalg.eigh(inner)
    lowest, highest = float(values[0]), float(values[-1])
    error = beside[-1] * float(max(abs(vectors[-1, 0]), abs(vectors[-1, -1]))) + _ROUND_OFF * max(abs(values))
    low_error = beside[-1] * float(abs(vectors[-1, 0])) + _ROUND_OFF * max(abs(values))
    kind = SADDLE if lowest < -low_error else MINIMUM if lowest > low_error else FLAT
    direction = np.array(basis[: len(values)]).T @ vectors[:, 0]
    return Curvature(lowest, highest, error, kind, direction)


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)
