"""Build the untrained model that a run declares."""

from __future__ import annotations

from tfcollapse.config.annotations import arguments_checked
from tfcollapse.config.declaration import Run
from tfcollapse.models import networks
from tfcollapse.models.autoencoder import Autoencoder
from tfcollapse.models.memory import TRAINING_COPIES, check_fits


@arguments_checked
def build(run: Run, image_shape: tuple[int, int, int]) -> Autoencoder:
    """Build the untrained model that `run` declares. Raises ConfigError where training it would not fit into memory."""
    check_fits("network", lambda: _build(run, image_shape), TRAINING_COPIES)
    return _build(run, image_shape)


def _build(run: Run, image_shape: tuple[int, int, int]) -> Autoencoder:
    variational = run.objective.kind == "vae"
    encoder, decoder = networks.build(run.network, image_shape, variational=variational, seed=run.seed)
    # Named, as the variables' paths in a checkpoint must not depend on what else the process built before.
    return Autoencoder(encoder, decoder, run.objective, seed=run.seed, name="autoencoder")
