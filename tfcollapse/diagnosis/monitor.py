"""Watch the posterior of anyone's VAE while Keras' fit trains it."""

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
    """Add the state of the posterior to the logs of every epoch, so that History, CSVLogger and TensorBoard have it.

    The logs get `active_units` (Var[mu_j] > threshold over the images), `kl` (nats, summed over units, averaged over
    images), `sigma_q10`, `sigma_q50`, `sigma_q90` (quantiles of sigma_z over images and units) and, where there is a
    decoder, `reconstruction_error` (squared error per pixel at the posterior's mean). Put it before callbacks that read
    the logs. It warns once, with CollapseWarning, when fewer units are active than were.

    Args:
      encoder: a Keras model or a function to (mean, log_variance), as `tfcollapse.diagnose` takes it.
      images: a sample, [n >= 2, ...], uint8 or in [0, 1]. 512 are enough; only the first 1,024 are used.
      decoder: as `tfcollapse.diagnose` takes it. None leaves the reconstruction error out.
      threshold: a unit is active above this variance of its mean.
      budget: the share of the training time that measuring may cost. Epochs that would exceed it repeat the last
        numbers.

    Attributes:
      seconds: what measuring has cost so far.

    Raises:
      ConfigError: images or encoder that do not fit, a threshold or budget that is not above 0.

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
        self.threshold, self.budget = threshold, budget
        self._encoder, self._decoder = encoder, decoder
        self._adapter: ModelAdapter | None = None
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
        """Measure the posterior as it is now, and return what the logs get."""
        if self._adapter is None:
            decoder = self._decoder or (lambda latents: self.images[: len(latents)])
            self._adapter = ModelAdapter(self._encoder, decoder, self.images[:2])
        encoded = self._adapter.encode(self.images)
        numbers = {
            "active_units": float(posterior.active_units(encoded.mean.var(axis=0), self.threshold).sum()),
            "kl": float(posterior.kl_per_dimension(encoded.mean, encoded.log_variance).sum()),
        }
        for share, value in zip(_QUANTILES, np.quantile(encoded.sigma, _QUANTILES), strict=True):
            numbers[f"sigma_q{round(100 * share)}"] = float(value)
        if self._decoder is not None:
            output = self._adapter.decode(encoded.mean, self.images).mean
            numbers["reconstruction_error"] = float(squared_errors(self.images, output).mean() / output.shape[1])
        return numbers

    def _warn(self, epoch: int) -> None:
        """Warn the first time that fewer units are active than were."""
        active = int(self._last["active_units"])
        if active < self._most and not self._warned:
            self._warned = True
            warnings.warn(
                f"epoch {epoch + 1}: {active} latent units are active, {self._most} were: posterior collapse; "
                "tfcollapse.diagnose says which kind",
                CollapseWarning,
                stacklevel=2,
            )
        self._most = max(self._most, active)
