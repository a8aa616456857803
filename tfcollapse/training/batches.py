"""Draw the batches of a run: the images and the noise of each step."""

from __future__ import annotations

import concurrent.futures
import functools

import numpy as np

from tfcollapse.config.declaration import Run
from tfcollapse.data import random_streams as draws
from tfcollapse.data.memory_mapped import gather


def batches_for_steps(
    run: Run, images: np.ndarray, step: int, count: int, *, on_device: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Return what `Engine.train_steps` takes for `count` steps from `step` on.

    Args:
      run: the declaration: seed, batch and latent dimension count here.
      images: the training images, uint8 [n, h, w, c].
      step, count: the steps done before, and the number of steps.
      on_device: the engine holds the images, so that indices are enough.

    Returns:
      Images, uint8 [count, batch, h, w, c], or their indices, int32 [count, batch]; and noise, float32
      [count, batch, latent times importance_samples].
    """
    batch = run.training.batch
    indices = draws.batch_indices(run.seed, step, count, batch, len(images))
    noise_dim = run.network.latent_dim * run.objective.importance_samples
    noise = draws.noise(run.seed, step, count, batch, noise_dim)
    return (indices.astype(np.int32) if on_device else gather(images, indices)), noise


class BatchPrefetcher:
    """Draw the batches of a run, and the next ones in advance while an accelerator computes.

    Args:
      run, images, on_device: as for `batches_for_steps`.
      ahead: whether to draw in advance. On a CPU this would take time from the training itself.
    """

    def __init__(self, run: Run, images: np.ndarray, *, on_device: bool, ahead: bool):
        self._batches = functools.partial(batches_for_steps, run, images, on_device=on_device)
        self._steps, self._log_every = run.training.steps, run.training.log_every
        self._threads = concurrent.futures.ThreadPoolExecutor(1) if ahead else None
        self._next: tuple[tuple[int, int], concurrent.futures.Future] | None = None

    def batches(self, step: int, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Return `batches_for_steps` of `count` steps from `step` on."""
        if self._threads is None:
            return self._batches(step, count)
        drawn = self._next[1].result() if self._next and self._next[0] == (step, count) else self._batches(step, count)
        end = step + count
        following = end, min(self._log_every - end % self._log_every, self._steps - end)
        self._next = (following, self._threads.submit(self._batches, *following)) if following[1] > 0 else None
        return drawn

    def close(self) -> None:
        """Stop the thread that draws."""
        if self._threads is not None:
            self._threads.shutdown(cancel_futures=True)
