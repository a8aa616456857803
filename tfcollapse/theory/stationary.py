"""Find what kind of stationary point a collapsed unit is: the question that Proposition 4 leaves open."""

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
      lowest, highest: the two eigenvalues.
      error: within this distance of each of the two lies an eigenvalue of the matrix.
      kind: SADDLE where the lowest is below 0 by more than its error; MINIMUM where it is above 0 by more than its
        error; FLAT otherwise: no direction falls at second order, and some do not rise either.
      direction: a vector of unit length, [size], along which the matrix has the value `lowest`.

    Example:
      >>> from tfcollapse.theory import stationary
      >>> matrix = np.diag([3.0, 1.0, -2.0])
      >>> found = stationary.curvature(lambda vector: matrix @ vector, size=3)
      >>> found.kind, np.abs(found.direction).round(3)
      ('saddle', array([0., 0., 1.]))
    """

    lowest: float
    highest: float
    error: float
    kind: str
    direction: np.ndarray


def curvature(
    product: Callable[[np.ndarray], np.ndarray],
    size: int,
    *,
    steps: int = 60,
    tolerance: float = 0.0,
    seed: int = 0,
) -> Curvature:
    """Return the extreme eigenvalues of a symmetric matrix that is known by its products with vectors.

    The method is Lanczos'. SciPy's eigsh demands a relative accuracy that the many eigenvalues at 0 never reach here. A
    fixed number of steps with complete reorthogonalisation gives both ends and their error bounds (Parlett 1980,
    section 13.2).

    Args:
      product: a function from a vector [size] to the matrix times it, [size].
      size: the number of rows of the matrix.
      steps: the largest number of products.
      tolerance: the relative accuracy of both ends at which the method stops earlier.
      seed: the seed of the first vector.

    Raises:
      ConfigError: a product of another shape or with a number that is not finite, or steps < 1.

    Example:
      >>> from tfcollapse.theory import stationary
      >>> matrix = np.diag([3.0, 1.0, -2.0])
      >>> found = stationary.curvature(lambda vector: matrix @ vector, size=3)
      >>> round(found.lowest, 6), round(found.highest, 6), found.kind
      (-2.0, 3.0, 'saddle')
    """
    arguments.whole("steps", steps, 1, 10**6, "Lanczos steps")
    basis = [_unit(np.random.default_rng(seed).standard_normal(size))]
    diagonal, beside = list[float](), list[float]()
    for _ in range(min(steps, size)):
        image = np.asarray(product(basis[-1]), np.float64)
        if image.shape != (size,) or not np.isfinite(image).all():
            raise ConfigError(f"product: expected {size} finite numbers, received shape {image.shape}, or not finite")
        diagonal.append(float(basis[-1] @ image))
        known = np.array(basis)
        for _ in range(2):
            image = image - known.T @ (known @ image)
        beside.append(float(np.linalg.norm(image)))
        ends = _ends(diagonal, beside)
        if beside[-1] <= _ROUND_OFF * max(map(abs, diagonal)) or all(
            error <= tolerance * abs(value) for value, error in (ends[:2], ends[2:4])
        ):
            break
        basis.append(image / beside[-1])
    lowest, low_error, highest, high_error, weights = ends
    kind = SADDLE if lowest < -low_error else MINIMUM if lowest > low_error else FLAT
    return Curvature(lowest, highest, max(low_error, high_error), kind, np.array(basis[: len(weights)]).T @ weights)


def _ends(diagonal: list[float], beside: list[float]) -> tuple[float, float, float, float, np.ndarray]:
    """Return the lowest and the highest eigenvalue of the tridiagonal matrix, each with its error, and a vector.

    The vector is the eigenvector of the lowest eigenvalue.
    """
    inner = np.diag(diagonal) + np.diag(beside[:-1], 1) + np.diag(beside[:-1], -1)
    values, vectors = np.linalg.eigh(inner)
    floor = _ROUND_OFF * float(np.abs(values).max())
    errors = beside[-1] * np.abs(vectors[-1]) + floor
    return float(values[0]), float(errors[0]), float(values[-1]), float(errors[-1]), vectors[:, 0]


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)
