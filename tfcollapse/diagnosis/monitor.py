"""Watch the posterior of anyone's VAE while Keras' fit trains it."""

from __future__ import annotations

import contextlib
import math
import time
import warnings
from typing import Any

import keras
import numpy as np

from tfcollapse.config.annotations import arguments_checked
from tfcollapse.diagnosis.adapter.model_adapter import ModelAdapter
from tfcollapse.diagnosis.examples import read_examples
from tfcollapse.diagnosis.likelihoods import LINKS
from tfcollapse.diagnosis.probes import squared_errors
from tfcollapse.errors import ConfigError, DivergedError
from tfcollapse.metrics import posterior

_EXAMPLES = 1_024
_QUANTILES = (0.1, 0.5, 0.9)
_SIGMAS = tuple(f"sigma_q{round(100 * share)}" for share in _QUANTILES)
_PREFIX = "collapse_"
_DIAGNOSE = "tfcollapse.diagnose says which kind, and what to do"
_PATIENCE = 3
"""Measured epochs without an active unit after which a VAE counts as dead from the start.

Units that will come alive mostly do so in the first epoch; with a KL weight that grows from 0, before that.
"""


class CollapseWarning(UserWarning):
    """Latent units are dead: they have died during training, or none was ever active; or the model has diverged.

    Example:
      >>> import warnings
      >>> with warnings.catch_warnings():
      ...     warnings.simplefilter("error", tc.CollapseWarning)  # in here a collapse ends the training
      ...     try:
      ...         warnings.warn("2 latent units are active, 4 were", tc.CollapseWarning)
      ...     except tc.CollapseWarning as warning:
      ...         print(warning)
      2 latent units are active, 4 were
    """


@arguments_checked
class CollapseMonitor(keras.callbacks.Callback):
    """Add the state of the posterior to the logs of every epoch, so that History, CSVLogger and TensorBoard have it.

    The logs get `active_units` (Var[mu_j] > threshold over the examples), `kl` (nats, summed over units, averaged over
    examples), `sigma_q10`, `sigma_q50`, `sigma_q90` (quantiles of sigma_z over examples and units) and, where there is
    a decoder, `reconstruction_error` (squared error at the posterior's mean, averaged over the numbers of an example).
    A name that the model logs itself keeps the model's value: ours is then `collapse_` and the name, `collapse_kl`.

    A number in the logs was measured at the end of that epoch. NaN stands for an epoch that was not measured, and for a
    number that is not finite. The first and the last epoch are always measured. Put the monitor before callbacks that
    read the logs. Where one of these ends the training, the last epoch is measured after it: History gets the numbers,
    files that are already written do not.

    It warns with CollapseWarning, once each: when no unit is active after 3 measured epochs, or at the end of the
    training; when fewer units are active than were; when the model gives NaN or infinity. Training goes on.

    Args:
      encoder, decoder, data: as `tfcollapse.diagnose` takes them. A decoder of None leaves the reconstruction error
        out. 512 examples are enough; only the first 1,024 are used.
      output: what the decoder's output is: "mean", "logits" or "log_mean".
      spread, joined: as `tfcollapse.diagnose` takes them; nothing is recognised while a model trains.
      threshold: a unit is active above this variance of its mean.
      budget: the share of the training time that measuring may cost. Epochs that would exceed it are not measured.

    Attributes:
      seconds: what measuring has cost so far.

    Raises:
      ConfigError: data or models that do not fit, before the first epoch; a threshold or budget that is not above 0.

    Example:
      >>> vae = tc.build(tc.Run(network=tc.Network(depth=1, width=16, latent_dim=2)), (28, 28, 1))
      >>> images = tc.load(tc.Data(name="fashion_mnist_mini", train=512)).train
      >>> monitor = tc.CollapseMonitor(vae.encoder, vae.decoder, images)
      >>> vae.compile("adam")
      >>> history = vae.fit(images, epochs=2, verbose=0, callbacks=[monitor]).history
      >>> history["active_units"]
      [2.0, 2.0]
    """

    def __init__(
        self,
        encoder: Any,
        decoder: Any,
        data: Any,
        *,
        output: str = "mean",
        spread: str = "log_variance",
        joined: bool = False,
        threshold: float = posterior.ACTIVE_VARIANCE,
        budget: float = 0.02,
    ):
        super().__init__()
        if not (threshold > 0 and budget > 0):
            raise ConfigError(f"threshold, budget: expected numbers > 0, received {threshold} and {budget}")
        if output not in LINKS:
            raise ConfigError(f"output: expected one of {', '.join(LINKS)}, received {output!r}")
        for name, model, wanted in (("encoder", encoder, "a model"), ("decoder", decoder, "a model or None")):
            if not (callable(model) or (name == "decoder" and model is None)):
                raise ConfigError(
                    f"{name}: expected {wanted}, received {type(model).__name__}: the order is encoder, decoder, data"
                )
        self.threshold, self.budget, self.seconds = threshold, budget, 0.0
        examples = read_examples(data, _EXAMPLES)
        self._examples = examples.as_float(examples.array)
        self._encoder, self._decoder, self._link = encoder, decoder, LINKS[output]
        self._spread, self._joined = spread, joined
        self._adapter: ModelAdapter | None = None
        self._names = ["active_units", "kl", *_SIGMAS, *["reconstruction_error"] * (decoder is not None)]

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Check that data and models fit. Keras calls it. Raises ConfigError."""
        self._began, self._spent, self._cost = time.perf_counter(), 0.0, 0.0
        self._keys: dict[str, str] = {}
        self._epoch, self._measured, self._most, self._warned = 0, 0, 0, set[str]()
        with contextlib.suppress(DivergedError):
            self._adapt()  # so that what does not fit is refused before the first epoch

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Measure the posterior, and add the numbers to the logs. Keras calls it."""
        logs = {} if logs is None else logs
        self._keys = self._keys or {name: _free_key(name, logs) for name in self._names}
        self._epoch = epoch + 1
        within_budget = self._spent + self._cost <= self.budget * (time.perf_counter() - self._began)
        self._is_measured = not self._measured or within_budget or self._is_last()
        numbers = self._timed_measurement() if self._is_measured else dict.fromkeys(self._names, math.nan)
        logs.update({self._keys[name]: value for name, value in numbers.items()})

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        """Measure the last epoch where another callback has ended the training after this one's turn."""
        if not self._epoch or self._is_measured:
            return
        history = self.model.history.history
        for name, value in self._timed_measurement().items():
            history[self._keys[name]][-1] = value

    def measure(self) -> dict[str, float]:
        """Measure the posterior as it is now, and return the numbers by their names; NaN for what is not finite."""
        numbers = dict.fromkeys(self._names, math.nan)
        with np.errstate(over="ignore", invalid="ignore"), contextlib.suppress(DivergedError):
            encoded = self._adapt().encode(self._examples)
            variance = encoded.mean.var(axis=0, dtype=np.float64)
            numbers["active_units"] = float(posterior.active_units(variance, self.threshold).sum())
            numbers["kl"] = float(posterior.kl_per_dimension(encoded.mean, encoded.log_variance).sum())
            numbers |= zip(_SIGMAS, map(float, np.quantile(encoded.sigma, _QUANTILES)), strict=True)
            if self._decoder is not None:
                output = self._adapt().decode(encoded.mean, self._examples).mean
                numbers["reconstruction_error"] = float(squared_errors(self._examples, output).mean() / output.shape[1])
        return {name: value if math.isfinite(value) else math.nan for name, value in numbers.items()}

    def _adapt(self) -> ModelAdapter:
        """Return the models with their shapes checked. Raises ConfigError."""
        if self._adapter is None:
            decoder = self._decoder or (lambda latents: self._examples[: len(latents)])
            spread, joined = self._spread, self._joined
            self._adapter = ModelAdapter(self._encoder, decoder, self._examples[:2], spread=spread, joined=joined)
            self._adapter.link = self._link
        return self._adapter

    def _is_last(self) -> bool:
        """Tell whether training ends with this epoch, as far as is known by now."""
        epochs = (self.params or {}).get("epochs", math.inf)
        return self._epoch >= epochs or getattr(self.model, "stop_training", False)

    def _timed_measurement(self) -> dict[str, float]:
        """Measure, warn where there is reason, and count the time."""
        begun = time.perf_counter()
        numbers = self.measure()
        self._measured += 1
        self._warn_of(numbers)
        self._cost = time.perf_counter() - begun
        self._spent, self.seconds = self._spent + self._cost, self.seconds + self._cost
        return numbers

    def _warn_of(self, numbers: dict[str, float]) -> None:
        """Warn of what the numbers show, of each kind once in a training."""
        if any(map(math.isnan, numbers.values())):
            self._warn("not finite", "the encoder or the decoder gives NaN or infinity: training has diverged")
        if math.isnan(numbers["active_units"]):
            return
        active = int(numbers["active_units"])
        if active < self._most:
            units = "1 latent unit is" if active == 1 else f"{active} latent units are"
            self._warn("died", f"{units} active, {self._most} were: posterior collapse; {_DIAGNOSE}")
        self._most = max(self._most, active)
        if not self._most and (self._measured >= _PATIENCE or self._is_last()):
            self._warn("never alive", f"no latent unit is active yet, KL {numbers['kl']:.2g} nats: {_DIAGNOSE}")

    def _warn(self, kind: str, message: str) -> None:
        if kind not in self._warned:
            self._warned.add(kind)
            warnings.warn(f"epoch {self._epoch}: {message}", CollapseWarning, stacklevel=2)


def _free_key(name: str, logs: dict[str, float]) -> str:
    """Return the name, with `collapse_` before it where the logs have it already."""
    while name in logs:
        name = f"{_PREFIX}{name}"
    return name
