"""Check that a network, or a batch of images, fits into memory, before any of it is allocated."""

from __future__ import annotations

import math
import os
from collections.abc import Callable

import keras
from keras.src.backend.common import global_state

from tfcollapse.config.declaration import Run
from tfcollapse.errors import ConfigError

TRAINING_COPIES = 4
"""Weights, their gradients, and Adam's two moments."""


def parameters(make: Callable[[], keras.Model]) -> int:
    """Count the numbers in the variables of the model that `make` builds. No variable is allocated."""
    try:
        with keras.StatelessScope(initialize_variables=False):
            return sum(math.prod(variable.shape) for variable in make().variables)
    finally:  # else the next such scope would make them after all
        global_state.set_global_attribute("uninitialized_variables", [])


def check_fits(what: str, make: Callable[[], keras.Model], copies: int = 1) -> None:
    """Check that float32 variables of the model, `copies` times, fit into this machine's memory. Raises ConfigError."""
    count = parameters(make)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if 4 * copies * count > memory:
        raise ConfigError(
            f"{what}: expected a network that fits into this machine's {memory / 1e9:.0f} GB, received one of "
            f"{count:.3g} parameters: make it smaller"
        )


def check_batch(run: Run, shape: tuple[int, ...], pixel_bytes: int = 1) -> None:
    """Check that the images and the noise of `log_every` steps fit into a quarter of the memory. Raises ConfigError.

    With them go the reconstructions of one step, one for every importance sample. An image has `shape`, of so many
    bytes a pixel. The other numbers are float32.
    """
    samples, images = run.objective.importance_samples, run.training.log_every * run.training.batch
    noise = 4 * images * samples * run.network.latent_dim
    decoded = 4 * run.training.batch * samples * math.prod(shape)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if images * math.prod(shape) * pixel_bytes + noise + decoded > memory // 4:
        raise ConfigError(
            f"training: expected images of log_every steps, with their noise, that fit into a quarter of "
            f"{memory / 1e9:.0f} GB, received {images} images of {samples} sample{'s' * (samples > 1)} each: lower "
            "training.log_every, training.batch or objective.importance_samples"
        )
