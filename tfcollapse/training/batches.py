"""What a run is made of: its untrained model, and what each step takes."""

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
    """What an engine's `train_steps` takes for `count` steps from `step` on, a row a step: images and noise.

    Of images that the engine has been given to `put_on_device`, their indices are enough.
    """
    batch = run.training.batch
    indices = draws.batch_indices(run.seed, step, count, batch, len(images))
    noise = draws.noise(run.seed, step, count, batch, run.network.latent_dim)
    return (indices.astype(np.int32) if on_device else gather(images, indices)), noise


class BatchPrefetcher:
    """Chunks of a run, the next one drawn while an accelerator computes.

    Args:
      on_device: the engine holds the images.
      ahead: draw ahead; on a CPU it would take time from the training itself.
    """

    def __init__(self, run: Run, images: np.ndarray, *, on_device: bool, ahead: bool):
        self._batches = functools.partial(batches_for_steps, run, images, on_device=on_device)
        self._steps, self._log_every = run.training.steps, run.training.log_every
        self._threads = concurrent.futures.ThreadPoolExecutor(1) if ahead else None
        self._next: tuple[tuple[int, int], concurrent.futures.Future] | None = None

    def batches(self, step: int, count: int) -> tuple[np.ndarray, np.ndarray]:
        """`batches_for_steps` of these steps."""
        if self._threads is None:
            return self._batches(step, count)
        drawn = self._next[1].result() if self._next and self._next[0] == (step, count) else self._batches(step, count)
        then = step + count
        following = then, min(self._log_every - then % self._log_every, self._steps - then)
        self._next = (following, self._threads.submit(self._batches, *following)) if following[1] > 0 else None
        return drawn

    def close(self) -> None:
        """Draw no more."""
        if self._threads is not None:
            self._threads.shutdown(cancel_futures=True)
