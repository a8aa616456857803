"""Build the untrained model that a run declares."""

from __future__ import annotations

from tfcollapse.config.annotations import arguments_checked
from tfcollapse.config.declaration import Run
from tfcollapse.errors import ConfigError
from tfcollapse.models import networks
from tfcollapse.models.autoencoder import Autoencoder
from tfcollapse.models.memory import TRAINING_COPIES, check_fits


@arguments_checked
def build(run: Run, image_shape: tuple[int, int, int]) -> Autoencoder:
    """Build the untrained model that `run` declares.

    Args:
      run: the declaration.
      image_shape: (height, width, channels) of its images, each > 0.

    Returns:
      The model with the initial weights that `train` would start from.

    Raises:
      ConfigError: a size is 0, or training the model would not fit into memory.

    Example:
      >>> model = tc.build(tc.Run(network=tc.Network(depth=10, width=32, latent_dim=4)), (28, 28, 1))
      >>> images = tc.load(tc.Data(name="fashion_mnist_mini", train=5)).train
      >>> tuple(model.encode(images).mean.shape), tuple(model.reconstruct(images).shape)
      ((5, 4), (5, 28, 28, 1))
    """
    if min(image_shape) < 1:
        raise ConfigError(f"build: image_shape: expected sizes > 0, such as (28, 28, 1), received {image_shape}")
    check_fits("network", lambda: _build(run, image_shape), TRAINING_COPIES)
    return _build(run, image_shape)


def _build(run: Run, image_shape: tuple[int, int, int]) -> Autoencoder:
    variational, floor = run.objective.kind == "vae", run.objective.kl_floor
    encoder, decoder = networks.build(run.network, image_shape, variational=variational, seed=run.seed, kl_floor=floor)
    # Named, as the variables' paths in a checkpoint must not depend on what else the process built before.
    return Autoencoder(encoder, decoder, run.objective, seed=run.seed, name="autoencoder")
