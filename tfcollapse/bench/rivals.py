"""The same networks in PyTorch: a plain loop, and pythae's trainer. Both are the extra `bench`."""

from __future__ import annotations

import functools
import importlib.util
import logging
import tempfile
from typing import Any

import keras
import numpy as np

from tfcollapse import networks
from tfcollapse.bench.contenders import Contender, as_pixels
from tfcollapse.config import Run


def installed() -> list[str]:
    """Those of "pytorch", "pythae" that can be imported."""
    found = {"pytorch": "torch", "pythae": "pythae"}
    return [name for name, module in found.items() if importlib.util.find_spec(module)]


def pytorch(run: Run, images: np.ndarray) -> Contender:
    """A plain eager loop: images gathered from a float tensor, eq. (4) with a learned gamma, `optim.Adam`."""
    import torch

    encoder, heads, decoder = _parts(run, images.shape[1:])
    log_gamma = torch.nn.Parameter(torch.zeros(()))
    weights = [*encoder.parameters(), *heads.parameters(), *decoder.parameters(), log_gamma]
    training, dimensions, variational = run.training, images[0].size, run.objective.kind == "vae"
    optimizer = torch.optim.Adam(weights, lr=training.learning_rate, eps=training.epsilon)
    pixels = torch.from_numpy(np.moveaxis(as_pixels(images), -1, 1).copy())

    def loss(batch: Any) -> Any:
        hidden = encoder(batch)
        mean = heads[0](hidden)
        if not variational:
            return torch.nn.functional.mse_loss(decoder(mean), batch)
        log_variance = heads[1](hidden)
        latents = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)
        error = (batch - decoder(latents)).square().flatten(1).sum(1)
        energy = (mean.square() + log_variance.exp() - log_variance).sum(1)
        return (error / log_gamma.exp() + dimensions * log_gamma + energy).mean()

    def call(steps: int) -> None:
        for _ in range(steps):
            batch = pixels[torch.randint(len(pixels), (training.batch,))]
            optimizer.zero_grad()
            loss(batch).backward()
            optimizer.step()

    return call


def pythae(run: Run, images: np.ndarray) -> Contender:
    """The trainer of pythae, epoch by epoch, on its own AE or VAE with these networks (gamma 1 there)."""
    import torch
    from pythae.data.datasets import BaseDataset
    from pythae.models import AE, VAE, AEConfig, VAEConfig
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseEncoder
    from pythae.trainers import BaseTrainer, BaseTrainerConfig

    logging.getLogger(BaseTrainer.__module__).setLevel(logging.ERROR)
    encoder, heads, decoder = _parts(run, images.shape[1:])
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

    shape = (images.shape[-1], *images.shape[1:3])
    kind, config = (VAE, VAEConfig) if run.objective.kind == "vae" else (AE, AEConfig)
    model = kind(config(input_dim=shape, latent_dim=run.network.latent_dim), encoder=Encoder(), decoder=Decoder())
    pixels = torch.from_numpy(np.moveaxis(as_pixels(images), -1, 1).copy())
    batch = run.training.batch

    @functools.lru_cache(maxsize=1)
    def trainer(steps: int) -> Any:
        data = pixels[torch.arange(steps * batch) % len(pixels)]
        with tempfile.TemporaryDirectory() as folder:
            settings = BaseTrainerConfig(
                output_dir=folder, per_device_train_batch_size=batch, learning_rate=run.training.learning_rate
            )
            made = BaseTrainer(model, BaseDataset(data, torch.zeros(len(data))), training_config=settings)
            made.prepare_training()
        made.callback_handler.callbacks = []  # its progress bar
        return made

    return lambda steps: trainer(steps).train_step(1)


def _parts(run: Run, shape: tuple[int, ...]) -> tuple[Any, Any, Any]:
    """Encoder body, heads and decoder as torch modules, translated layer by layer; channels come first there."""
    import torch

    variational = run.objective.kind == "vae"
    encoder, decoder = networks.build(run.network, shape, variational=variational, seed=run.seed)
    body = torch.nn.Sequential(*[module for layer in encoder.body for module in _module(layer)])
    heads = torch.nn.ModuleList([_module(head)[0] for head in (encoder.mean, encoder.log_variance) if head])
    back = torch.nn.Sequential(*[module for layer in decoder.body for module in _module(layer)])
    count = sum(p.numel() for part in (body, heads, back) for p in part.parameters())
    assert count == encoder.count_params() + decoder.count_params(), "the networks differ"
    return body, heads, back


def _module(layer: keras.layers.Layer) -> list[Any]:
    from torch import nn

    match layer:
        case keras.layers.Flatten():
            return [nn.Flatten()]
        case keras.layers.Reshape():
            height, width, channels = layer.target_shape
            return [nn.Unflatten(1, (channels, height, width))]
        case keras.layers.MaxPooling2D():
            return [nn.MaxPool2d(2)]
        case keras.layers.GlobalAveragePooling2D():
            return [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
        case keras.layers.Dense():
            found = nn.Linear(*layer.kernel.shape)
        case keras.layers.Conv2DTranspose():
            *_, out, into = layer.kernel.shape
            found = nn.ConvTranspose2d(into, out, 3, stride=2, padding=1, output_padding=1)
        case keras.layers.Conv2D():
            *_, into, out = layer.kernel.shape
            found = nn.Conv2d(into, out, layer.kernel.shape[0], padding="same")
        case _:
            raise NotImplementedError(type(layer).__name__)
    return [found, nn.ReLU()] if layer.activation is keras.activations.relu else [found]
