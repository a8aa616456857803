"""Train a rival in a process that imports PyTorch and NumPy alone. TensorFlow and Triton abort in one process."""

from __future__ import annotations

import contextlib
import functools
import logging
import tempfile
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

Layer = tuple[Any, ...]
"""A layer: the name of a torch module, its arguments, and whether a ReLU follows."""


class Task(NamedTuple):
    """Say what a rival trains, and how.

    Attributes:
      encoder, heads, decoder: the layers of the networks.
      parameters: the number of their parameters.
      pixels: float32 [n, c, h, w] in [0, 1].
    """

    encoder: list[Layer]
    heads: list[Layer]
    decoder: list[Layer]
    parameters: int
    pixels: np.ndarray
    latent_dim: int
    batch: int
    learning_rate: float
    epsilon: float

    @property
    def variational(self) -> bool:
        """Return whether the networks are a VAE's, which has two heads."""
        return len(self.heads) == 2


def serve(connection: Any, name: str, task: Task) -> None:
    """Do as many steps as each message asks for, until the other end of the connection closes."""
    call = {"pytorch": pytorch, "pythae": pythae}[name](task)
    connection.send("ready")
    with contextlib.suppress(EOFError):
        while True:
            call(connection.recv())
            connection.send("done")


def pytorch(task: Task) -> Callable[[int], Any]:
    """Make a plain eager loop: images gathered from a float tensor, eq. (4) with a learned gamma, `optim.Adam`."""
    import torch

    encoder, heads, decoder = _parts(task)
    log_gamma = torch.nn.Parameter(torch.zeros(()))
    weights = [*encoder.parameters(), *heads.parameters(), *decoder.parameters(), log_gamma]
    optimizer = torch.optim.Adam(weights, lr=task.learning_rate, eps=task.epsilon)
    pixels, dimensions = torch.from_numpy(task.pixels), task.pixels[0].size

    def loss(batch: Any) -> Any:
        hidden = encoder(batch)
        mean = heads[0](hidden)
        if not task.variational:
            return torch.nn.functional.mse_loss(decoder(mean), batch)
        log_variance = heads[1](hidden)
        latents = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)
        error = (batch - decoder(latents)).square().flatten(1).sum(1)
        energy = (mean.square() + log_variance.exp() - log_variance).sum(1)
        return (error / log_gamma.exp() + dimensions * log_gamma + energy).mean()

    def call(steps: int) -> None:
        for _ in range(steps):
            batch = pixels[torch.randint(len(pixels), (task.batch,))]
            optimizer.zero_grad()
            loss(batch).backward()
            optimizer.step()

    return call


def pythae(task: Task) -> Callable[[int], Any]:
    """Make a loop of pythae's trainer on its own AE or VAE with these networks, whose gamma is 1."""
    import torch
    from pythae.data.datasets import BaseDataset
    from pythae.models import AE, VAE, AEConfig, VAEConfig
    from pythae.trainers import BaseTrainer, BaseTrainerConfig

    logging.getLogger(BaseTrainer.__module__).setLevel(logging.ERROR)
    encoder, decoder = _pythae_parts(task)
    kind, config = (VAE, VAEConfig) if task.variational else (AE, AEConfig)
    settings = config(input_dim=task.pixels.shape[1:], latent_dim=task.latent_dim)
    model, pixels = kind(settings, encoder=encoder, decoder=decoder), torch.from_numpy(task.pixels)

    @functools.lru_cache(maxsize=1)
    def trainer_of(steps: int) -> Any:
        data = pixels[torch.arange(steps * task.batch) % len(pixels)]
        with tempfile.TemporaryDirectory() as folder:
            config = BaseTrainerConfig(
                output_dir=folder, per_device_train_batch_size=task.batch, learning_rate=task.learning_rate
            )
            trainer = BaseTrainer(model, BaseDataset(data, torch.zeros(len(data))), training_config=config)
            trainer.prepare_training()
        trainer.callback_handler.callbacks = []  # this removes its progress bar
        return trainer

    return lambda steps: trainer_of(steps).train_step(1)


def _pythae_parts(task: Task) -> tuple[Any, Any]:
    """Return encoder and decoder as pythae's models take them."""
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseEncoder

    encoder, heads, decoder = _parts(task)
    names = ("embedding", "log_covariance")

    class Encoder(BaseEncoder):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.heads = encoder, heads

        def forward(self, x: Any) -> Any:
            hidden = self.body(x)
            return ModelOutput(**{name: head(hidden) for name, head in zip(names, self.heads, strict=False)})

    class Decoder(BaseDecoder):
        def __init__(self) -> None:
            super().__init__()
            self.body = decoder

        def forward(self, z: Any) -> Any:
            return ModelOutput(reconstruction=self.body(z))

    return Encoder(), Decoder()


def _parts(task: Task) -> tuple[Any, Any, Any]:
    """Build the encoder, the heads and the decoder as torch modules."""
    from torch import nn

    def modules(layers: list[Layer]) -> list[Any]:
        built = []
        for name, arguments, relu in layers:
            built += [getattr(nn, name)(**arguments), *([nn.ReLU()] if relu else [])]
        return built

    parts = (
        nn.Sequential(*modules(task.encoder)),
        nn.ModuleList(modules(task.heads)),
        nn.Sequential(*modules(task.decoder)),
    )
    assert sum(p.numel() for part in parts for p in part.parameters()) == task.parameters, "the networks differ"
    return parts
