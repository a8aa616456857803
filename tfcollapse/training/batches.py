"""What a run is made of: its untrained model, and what each step takes."""

from __future__ import annotations

import concurrent.futures
import functools

import numpy as np

from tfcollapse.config.declaration import Run
from tfcollapse.data import random_streams as draws
from tfcollapse.data.memory_mapped import gather
from tfcollapse.models import networks
from tfcollapse.models.autoencoder import Autoencoder
from tfcollapse.models.memory import TRAINING_COPIES, check_fits


def build(run: Run, image_shape: tuple[int, int, int]) -> Autoencoder:
    """The untrained model that `run` declares. Raises ConfigError where training it would not fit into memory."""
    check_fits("network", lambda: _made(run, image_shape), TRAINING_COPIES)
    return _made(run, image_shape)


def _made(run: Run, image_shape: tuple[int, int, int]) -> Autoencoder:
    variational = run.objective.kind == "vae"
    encoder, decoder = networks.build(run.network, image_shape, variational=variational, seed=run.seed)
    # Named, as the variables' paths in a checkpoint must not depend on what else the process built before.
    return Autoencoder(encoder, decoder, run.objective, seed=run.seed, name="autoencoder")


def chunk(run: Run, images: np.ndarray, step: int, count: int, *, held: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """What an engine's `advance` takes for `count` steps from `step` on, a row a step: images and noise.

    Of images that the engine has been given to `hold`, their indices are enough.
    """
    batch = run.training.batch
    indices = draws.batch_indices(run.seed, step, count, batch, len(images))
    noise = draws.noise(run.seed, step, count, batch, run.network.latent_dim)
    return (indices.astype(np.int32) if held else gather(images, indices)), noise


class Supply:
    """Chunks of a run, the next one drawn while an accelerator computes.

    Args:
      held: the engine holds the images.
      ahead: draw ahead; on a CPU it would take time from the training itself.
    """

    def __init__(self, run: Run, images: np.ndarray, *, held: bool, ahead: bool):
        self._chunk = functools.partial(chunk, run, images, held=held)
        self._steps, self._log_every = run.training.steps, run.training.log_every
        self._threads = concurrent.futures.ThreadPoolExecutor(1) if ahead else None
        self._next: tuple[tuple[int, int], concurrent.futures.Future] | None = None

    def take(self, step: int, count: int) -> tuple[np.ndarray, np.ndarray]:
        """`chunk` of these steps."""
        if self._threads is None:
            return self._chunk(step, count)
        drawn = self._next[1].result() if self._next and self._next[0] == (step, count) else self._chunk(step, count)
        then = step + count
        following = then, min(self._log_every - then % self._log_every, self._steps - then)
        self._next = (following, self._threads.submit(self._chunk, *following)) if following[1] > 0 else None
        return drawn

    def close(self) -> None:
        """Draw no more."""
        if self._threads is not None:
            self._threads.shutdown(cancel_futures=True)
