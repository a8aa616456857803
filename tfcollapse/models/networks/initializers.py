"""Draw Keras' initialisers from `tfcollapse.data.random_streams`: the same bits on every backend and device."""

from __future__ import annotations

import math
import zlib
from typing import Any

import keras
import numpy as np
from scipy.special import ndtr, ndtri

from tfcollapse.data import random_streams as draws

_SCALING = {
    "glorot_uniform": (1.0, "average", "uniform"),
    "glorot_normal": (1.0, "average", "normal"),
    "he_uniform": (2.0, "in", "uniform"),
    "he_normal": (2.0, "in", "normal"),
    "lecun_normal": (1.0, "in", "normal"),
}
_CUT = 2.0
"""Standard deviations at which a normal start is cut off."""


@keras.saving.register_keras_serializable("tfcollapse")
class Drawn(keras.initializers.Initializer):
    """Initial weights from the distribution of Keras' initialiser of that name, a pure function of seed and layer name.

    Args:
      scheme: "orthogonal", or one of the variance scalings: Glorot and Bengio (2010), He et al. (2015), LeCun et al.
        (1998); normal ones are cut at two standard deviations, and widened so that the variance is the scheme's.
      seed: the run's.
      name: the layer's.
      scale: what the drawn weights are multiplied by.
    """

    def __init__(self, scheme: str, seed: int, name: str, scale: float = 1.0):
        self.scheme, self.seed, self.name, self.scale = scheme, seed, name, scale

    def __call__(self, shape: Any, dtype: Any = None, **options: Any) -> Any:
        generator = draws.weights(self.seed, zlib.crc32(self.name.encode()))
        values = _orthogonal(generator, shape) if self.scheme == "orthogonal" else self._scaled(generator, shape)
        return keras.ops.convert_to_tensor(self.scale * values, dtype=dtype or keras.config.floatx())

    def _scaled(self, generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        scale, mode, kind = _SCALING[self.scheme]
        field = math.prod(shape[:-2])
        fan_in, fan_out = field * shape[-2], field * shape[-1]
        variance = scale / (fan_in if mode == "in" else (fan_in + fan_out) / 2)
        if kind == "uniform":
            limit = math.sqrt(3 * variance)
            return generator.uniform(-limit, limit, shape)
        inside = ndtr(_CUT) - ndtr(-_CUT)
        # of a normal cut at c: 1 - 2 c phi(c) / P(|z| < c)
        narrower = 1 - 2 * _CUT * math.exp(-(_CUT**2) / 2) / math.sqrt(2 * math.pi) / inside
        return math.sqrt(variance / narrower) * ndtri(ndtr(-_CUT) + inside * generator.random(shape))

    def get_config(self) -> dict[str, Any]:
        scaled = {} if self.scale == 1 else {"scale": self.scale}  # as files of earlier versions have it
        return {"scheme": self.scheme, "seed": self.seed, "name": self.name} | scaled


def _orthogonal(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Draw as Saxe et al. (2014): orthonormal rows or columns of the kernel as a matrix [everything else, outputs]."""
    rows, columns = math.prod(shape[:-1]), shape[-1]
    normal = generator.standard_normal((max(rows, columns), min(rows, columns)))
    q, r = np.linalg.qr(normal)
    q *= np.sign(np.diag(r))  # else the signs are the routine's, and not uniform
    return (q if rows >= columns else q.T).reshape(shape)
