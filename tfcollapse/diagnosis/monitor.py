"""A Keras callback that watches the posterior of anyone's VAE while it trains."""

from __future__ import annotations

import time
import warnings
from typing import Any

import keras
import numpy as np

from tfcollapse.diagnosis.model_adapter import ModelAdapter, as_float, check_images
from tfcollapse.diagnosis.probes import squared_errors
from tfcollapse.errors import ConfigError
from tfcollapse.metrics import posterior

_QUANTILES = (0.1, 0.5, 0.9)


class CollapseWarning(UserWarning):
    """Latent units have died during training."""


class CollapseMonitor(keras.callbacks.Callback):
    """Adds the state of the posterior to the logs of every epoch, so that History, CSVLogger and TensorBoard have it.

    The logs get `active_units` (Var[mu_j] > threshold over the images), `kl` (nats, summed over units, averaged over
    images), `sigma_q10`, `sigma_q50`, `sigma_q90` (quantiles of sigma_z over images and units) and, where there is a
    decoder, `reconstruction_error` (squared error per pixel at the posterior's mean). Put it before callbacks that read
    the logs. It warns once, with CollapseWarning, when fewer units are active than were.

    Args:
      encoder: as for `tfcollapse.diagnose`: a Keras model or a function to (mean, log_variance).
      images: a sample, [n >= 2, ...], uint8 or in [0, 1]; 512 are plenty, and only the first 1,024 are used.
      decoder: None leaves the reconstruction error out.
      threshold: of the variance of the mean.
      budget: the share of the training time that it may cost; epochs that would exceed it repeat the last numbers.

    Attributes:
      seconds: what it has cost.

    Raises:
      ConfigError: images or encoder that do not fit.

    Example:
      >>> vae.fit(images, epochs=30, callbacks=[CollapseMonitor(vae.encoder, images[:512], vae.decoder)])
    """

    def __init__(
        self,
        encoder: Any,
        images: np.ndarray,
        decoder: Any = None,
        threshold: float = posterior.ACTIVE_VARIANCE,
        budget: float = 0.02,
    ):
        super().__init__()
        if threshold <= 0 or budget <= 0:
            raise ConfigError(f"threshold, budget: expected numbers > 0, received {threshold} and {budget}")
        self.images = as_float(check_images(images)[:1_024])
        self._given, self.threshold, self.budget = (encoder, decoder), threshold, budget
        self._subject: ModelAdapter | None = None
        self.seconds, self._last, self._most, self._warned = 0.0, {}, 0, False

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        self._began, self._spent, self._cost = time.perf_counter(), 0.0, 0.0
        self._last, self._most, self._warned = {}, 0, False

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        begun = time.perf_counter()
        if not self._last or self._spent + self._cost <= self.budget * (begun - self._began):
            self._last = self.measure()
            self._warn(epoch)
            self._cost = time.perf_counter() - begun
            self._spent, self.seconds = self._spent + self._cost, self.seconds + self._cost
        if logs is not None:
            logs.update(self._last)

    def measure(self) -> dict[str, float]:
        """The numbers as they are now."""
        if self._subject is None:
            encoder, decoder = self._given
            self._subject = ModelAdapter(
                encoder, decoder or (lambda latents: self.images[: len(latents)]), self.images[:2]
            )
        mean, log_variance = self._subject.encode(self.images)
        found = {
            "active_units": float(posterior.active_units(mean.var(axis=0), self.threshold).sum()),
            "kl": float(posterior.kl_per_dimension(mean, log_variance).sum()),
        }
        for share, value in zip(_QUANTILES, np.quantile(np.exp(0.5 * log_variance), _QUANTILES), strict=True):
            found[f"sigma_q{round(100 * share)}"] = float(value)
        if self._given[1] is not None:
            output = self._subject.decode(mean, self.images).mean
            found["reconstruction_error"] = float(squared_errors(self.images, output).mean() / output.shape[1])
        return found

    def _warn(self, epoch: int) -> None:
        alive = int(self._last["active_units"])
        if alive < self._most and not self._warned:
            self._warned = True
            warnings.warn(
                f"epoch {epoch + 1}: {alive} latent units are active, {self._most} were: posterior collapse; "
                "tfcollapse.diagnose says which kind",
                CollapseWarning,
                stacklevel=2,
            )
        self._most = max(self._most, alive)
