"""Check the arguments of the closed forms. An error is one line that names the argument."""

from __future__ import annotations

import numpy as np

from tfcollapse.errors import ConfigError


def positive(name: str, value: float) -> float:
    """Return `value` as a float. Raises ConfigError where it is not a finite number > 0."""
    if not (np.isfinite(value) and value > 0):
        raise ConfigError(f"{name}: expected a finite number > 0, received {value}")
    return float(value)


def non_negative(name: str, value: float) -> float:
    """Return `value` as a float. Raises ConfigError where it is not a finite number >= 0."""
    if not (np.isfinite(value) and value >= 0):
        raise ConfigError(f"{name}: expected a finite number >= 0, received {value}")
    return float(value)


def whole(name: str, value: int, least: int, most: int, whose: str) -> int:
    """Return `value` as an int. Raises ConfigError where it is not a whole number from `least` to `most`.

    Args:
      name: the name of the argument, as the message gives it.
      value: the argument.
      least, most: the smallest and the largest value that is allowed.
      whose: what `most` counts, as the message gives it.
    """
    if int(value) != value or not least <= value <= most:
        raise ConfigError(f"{name}: expected a whole number from {least} to {most} ({whose}), received {value}")
    return int(value)


def finite(name: str, value: object, *shape: int | None) -> np.ndarray:
    """Return `value` as a float64 array without NaN or infinity.

    Args:
      name: the name of the argument, as the message gives it.
      value: the argument.
      shape: the shape that is expected; None stands for any size.

    Raises:
      ConfigError: the array has another shape, or a number that is not finite.
    """
    array = np.asarray(value, np.float64)
    if array.ndim != len(shape) or any(want not in (None, got) for want, got in zip(shape, array.shape, strict=True)):
        wanted = " x ".join("any" if size is None else str(size) for size in shape)
        raise ConfigError(f"{name}: expected an array of shape {wanted}, received shape {array.shape}")
    if not np.isfinite(array).all():
        raise ConfigError(f"{name}: expected finite numbers, received NaN or infinity")
    return array


def points(name: str, value: object) -> np.ndarray:
    """Return `value` as a data set: float64 [n, d] with n >= 2.

    Raises:
      ConfigError: another shape, fewer than two points, a number that is not finite, or points that are all the same.
    """
    data = finite(name, value, None, None)
    if len(data) < 2:
        raise ConfigError(f"{name}: expected at least two data points, received {len(data)}")
    if np.ptp(data, axis=0).max(initial=0.0) == 0:
        raise ConfigError(f"{name}: expected points that differ, received {len(data)} times the same one")
    return data
