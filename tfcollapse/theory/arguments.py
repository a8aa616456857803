"""What the closed forms take, checked: one line that names the argument."""

from __future__ import annotations

import numpy as np

from tfcollapse.errors import ConfigError


def positive(name: str, value: float) -> float:
    """A finite number > 0. Raises ConfigError, a ValueError."""
    if not (np.isfinite(value) and value > 0):
        raise ConfigError(f"{name}: expected a finite number > 0, received {value}")
    return float(value)


def non_negative(name: str, value: float) -> float:
    """A finite number >= 0. Raises ConfigError."""
    if not (np.isfinite(value) and value >= 0):
        raise ConfigError(f"{name}: expected a finite number >= 0, received {value}")
    return float(value)


def whole(name: str, value: int, least: int, most: int, whose: str) -> int:
    """A whole number from `least` to `most`, which is `whose`. Raises ConfigError."""
    if int(value) != value or not least <= value <= most:
        raise ConfigError(f"{name}: expected a whole number from {least} to {most} ({whose}), received {value}")
    return int(value)


def finite(name: str, value: object, *shape: int | None) -> np.ndarray:
    """A float64 array without NaN or infinity, of this shape (None: any size). Raises ConfigError."""
    array = np.asarray(value, np.float64)
    if array.ndim != len(shape) or any(want not in (None, got) for want, got in zip(shape, array.shape, strict=True)):
        wanted = " x ".join("any" if size is None else str(size) for size in shape)
        raise ConfigError(f"{name}: expected an array of shape {wanted}, received shape {array.shape}")
    if not np.isfinite(array).all():
        raise ConfigError(f"{name}: expected finite numbers, received NaN or infinity")
    return array


def points(name: str, value: object) -> np.ndarray:
    """A data set, float64 [n, d]: n >= 2 finite points that are not all the same. Raises ConfigError."""
    data = finite(name, value, None, None)
    if len(data) < 2:
        raise ConfigError(f"{name}: expected at least two data points, received {len(data)}")
    if np.ptp(data, axis=0).max(initial=0.0) == 0:
        raise ConfigError(f"{name}: expected points that differ, received {len(data)} times the same one")
    return data
