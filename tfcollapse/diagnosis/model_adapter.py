"""Anyone's VAE as two NumPy functions: what the measurements are taken through."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from tfcollapse.errors import ConfigError

BLOCK = 1_024
_SIZES = (64, 256, BLOCK)


class Output(NamedTuple):
    """What a decoder says of a block of images.

    Attributes:
      mean: [n, d], the decoder's mean, flattened.
      log_variance: [n, d] where the decoder has a variance of its own for every pixel, else None.
    """

    mean: np.ndarray
    log_variance: np.ndarray | None


class ModelAdapter:
    """An encoder and a decoder under examination.

    Args:
      encoder: a Keras model or a function, images [n, ...] to (mean, log_variance), [n, latent] each; a third output,
        such as the sample of the keras.io example, is left alone.
      decoder: a Keras model or a function, z [n, latent] to images [n, ...], or to (mean, log_variance) of every pixel.
        One of two inputs, (z, images), is taken for an autoregressive decoder and given the true images.
      sample: images [n, ...] that the shapes are tried on.

    Raises:
      ConfigError: shapes that do not fit, outputs that are not finite, or something that cannot be called.
    """

    def __init__(self, encoder: Any, decoder: Any, sample: np.ndarray):
        for name, part in (("encoder", encoder), ("decoder", decoder)):
            if not callable(part):
                raise ConfigError(f"{name}: expected a Keras model or a function, received {type(part).__name__}")
        self.encoder, self.decoder = encoder, decoder
        self.autoregressive = _inputs(decoder) >= 2
        mean, _ = self.encode(sample)
        self.latent_dim = mean.shape[1]
        self.own_variance = self.decode(mean, sample).log_variance is not None

    def encode(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The posterior's mean and log variance, [n, latent] each."""
        found = _call("encoder", self.encoder, [images])
        if len(found) not in (2, 3):
            raise ConfigError(f"encoder: expected (mean, log_variance), received {len(found)} outputs")
        mean, log_variance = found[:2]
        if mean.ndim != 2 or mean.shape != log_variance.shape or len(mean) != len(images):
            raise ConfigError(
                f"encoder: expected mean and log_variance of shape ({len(images)}, latent_dim) each for {len(images)} "
                f"images, received {mean.shape} and {log_variance.shape}"
            )
        return _finite("encoder's mean", mean), _finite("encoder's log_variance", log_variance)

    def decode(self, latents: np.ndarray, images: np.ndarray) -> Output:
        """The decoder at z [n, latent]; `images` are those an autoregressive decoder reads."""
        latents = latents.astype(np.float32)
        found = _call("decoder", self.decoder, [latents, images] if self.autoregressive else [latents])
        if len(found) > 2:
            raise ConfigError(f"decoder: expected images, or (mean, log_variance), received {len(found)} outputs")
        for part in found:
            if len(part) != len(images) or part.size != images.size:
                raise ConfigError(
                    f"decoder: expected images of shape {images.shape}, as were given to the encoder, "
                    f"received {part.shape}"
                )
        flat = [_finite("decoder's output", part).reshape(len(part), -1) for part in found]
        return Output(flat[0], flat[1] if len(flat) == 2 else None)


def as_float(images: np.ndarray) -> np.ndarray:
    """A block of images as float32 in [0, 1]: uint8 is divided by 255."""
    return images.astype(np.float32) / 255.0 if images.dtype == np.uint8 else np.asarray(images, np.float32)


def check_images(images: np.ndarray) -> np.ndarray:
    """The images as an array of at least two, uint8 or in [0, 1]. Raises ConfigError."""
    try:
        images = np.asarray(images)
    except ValueError:
        raise ConfigError(
            "images: expected an array [n >= 2, ...] of numbers, received rows of unequal length"
        ) from None
    if images.dtype.kind not in "uif" or images.ndim < 2 or len(images) < 2 or not images.size:
        raise ConfigError(
            f"images: expected an array [n >= 2, ...] of numbers, received {images.dtype} of shape {images.shape}"
        )
    if images.dtype == np.uint8:
        return images
    low, high = images.min(), images.max()
    if not (np.isfinite(low) and np.isfinite(high)):
        raise ConfigError("images: expected finite numbers, received NaN or infinity")
    if low < 0 or high > 1:
        raise ConfigError(
            f"images: expected uint8, or numbers in [0, 1], received {low:g} to {high:g}: scale them as the model was "
            "trained on, then to [0, 1]"
        )
    return images


def _inputs(part: Any) -> int:
    """How many arrays a decoder takes: those without a default."""
    if _is_keras(part) and getattr(part, "inputs", None):
        return len(part.inputs)
    try:
        parameters = inspect.signature(part.call if _is_keras(part) else part).parameters.values()
    except (TypeError, ValueError):  # a builtin
        return 1
    plain = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(each.kind in plain and each.default is inspect.Parameter.empty for each in parameters)


def _is_keras(part: Any) -> bool:
    return hasattr(part, "predict_on_batch")


def apply(part: Callable[..., Any], given: Sequence[Any]) -> Any:
    """Call an encoder or decoder on arrays or tensors, as it takes them: a Keras graph of two inputs takes a list."""
    listed = len(given) > 1 and bool(getattr(part, "inputs", None))
    return part(list(given)) if listed else part(*given)


def _call(name: str, part: Callable[..., Any], given: Sequence[np.ndarray]) -> list[np.ndarray]:
    count = len(given[0])
    try:
        if _is_keras(part) and (len(given) == 1 or getattr(part, "inputs", None)):
            padded = [_padded(each) for each in given]  # as every new shape would compile the model again
            found = part.predict_on_batch(padded if len(given) > 1 else padded[0])
        else:
            found = apply(part, given)
    except Exception as error:  # whatever a stranger's code raises
        line = (str(error).strip().splitlines() or [""])[0][:160]
        shapes = " and ".join(str(each.shape) for each in given)
        raise ConfigError(f"{name}: expected to take {shapes}, received {type(error).__name__}: {line}") from error
    if isinstance(found, dict):
        found = list(found.values())
    parts = list(found) if isinstance(found, (tuple, list)) else [found]
    return [np.asarray(each)[:count] if _is_keras(part) else np.asarray(each) for each in parts]


def _padded(rows: np.ndarray) -> np.ndarray:
    """With the last row again, up to one of a few sizes."""
    most = next((size for size in _SIZES if len(rows) <= size), len(rows))
    return np.concatenate([rows, np.repeat(rows[-1:], most - len(rows), axis=0)])


def _finite(name: str, values: np.ndarray) -> np.ndarray:
    if not np.isfinite(values).all():
        rows = np.unique(np.argwhere(~np.isfinite(values))[:, 0]).size
        raise ConfigError(
            f"{name}: expected finite numbers, received NaN or infinity for {rows} of {len(values)} images: "
            "the model has diverged, or its weights are damaged"
        )
    return values
