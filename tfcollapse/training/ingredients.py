"""What a run is made of: its untrained model, and what each step takes."""

from __future__ import annotations

import numpy as np

from tfcollapse import draws, networks
from tfcollapse.allocation import TRAINING_COPIES, check_fits
from tfcollapse.autoencoder import Autoencoder
from tfcollapse.config import Run
from tfcollapse.mapped import gather


def build(run: Run, image_shape: tuple[int, int, int]) -> Autoencoder:
    """The untrained model that `run` declares. Raises ConfigError where training it would not fit into memory."""
    check_fits("network", lambda: _made(run, image_shape), TRAINING_COPIES)
    return _made(run, image_shape)


def _made(run: Run, image_shape: tuple[int, int, int]) -> Autoencoder:
    variational = run.objective.kind == "vae"
    encoder, decoder = networks.build(run.network, image_shape, variational=variational, seed=run.seed)
    # Named, as the variables' paths in a checkpoint must not depend on what else the process built before.
    return Autoencoder(encoder, decoder, run.objective, seed=run.seed, name="autoencoder")


def chunk(run: Run, images: np.ndarray, step: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """What an engine's `advance` takes for `count` steps from `step` on: images and noise, a row a step."""
    batch = run.training.batch
    indices = draws.batch_indices(run.seed, step, count, batch, len(images))
    return gather(images, indices), draws.noise(run.seed, step, count, batch, run.network.latent_dim)
