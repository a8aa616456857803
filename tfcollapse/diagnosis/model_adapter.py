"""Call anyone's encoder and decoder as NumPy functions, and check what they are given and what they return."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from tfcollapse.diagnosis.likelihoods import LINKS
from tfcollapse.errors import ConfigError, DivergedError

BLOCK = 1_024
"""The most images that an encoder or a decoder is called with."""
_SIZES = (64, 256, BLOCK)


@dataclasses.dataclass(frozen=True)
class Encoded:
    """Examples with their posterior.

    Attributes:
      examples: float32 [n, ...].
      mean, log_variance: [n, latent].
    """

    examples: np.ndarray
    mean: np.ndarray
    log_variance: np.ndarray

    def __len__(self) -> int:
        return len(self.examples)

    @property
    def sigma(self) -> np.ndarray:
        """The posterior's standard deviation, [n, latent]."""
        return np.exp(0.5 * self.log_variance)

    def first(self, count: int) -> Encoded:
        """Return the first `count` examples with their posterior."""
        return Encoded(self.examples[:count], self.mean[:count], self.log_variance[:count])


class Output(NamedTuple):
    """What a decoder returns for a block of images.

    Attributes:
      mean: [n, d], the decoder's mean, flattened.
      log_variance: [n, d] where the decoder has a variance of its own for every pixel, else None.
    """

    mean: np.ndarray
    log_variance: np.ndarray | None


class ModelAdapter:
    """An encoder and a decoder that are to be diagnosed.

    Args:
      encoder: a Keras model or a function, images [n, ...] to (mean, log_variance), [n, latent] each; a third output,
        such as the sample of the keras.io example, is ignored.
      decoder: a Keras model or a function, z [n, latent] to images [n, ...], or to (mean, log_variance) of every pixel.
        A decoder of two inputs, (z, images), is taken for an autoregressive one and given the true images.
      sample: images [n, ...] on which the shapes are tried.

    Attributes:
      latent_dim: how many latents the encoder has.
      autoregressive: whether the decoder reads the images too.
      own_variance: whether the decoder gives a variance of its own for every pixel.
      link: what turns the decoder's output into the mean; the identity unless it is set.

    Raises:
      ConfigError: shapes that do not fit, outputs that are not finite, or something that cannot be called.
    """

    def __init__(self, encoder: Any, decoder: Any, sample: np.ndarray):
        for name, part in (("encoder", encoder), ("decoder", decoder)):
            if not callable(part):
                raise ConfigError(f"{name}: expected a Keras model or a function, received {type(part).__name__}")
        self.encoder, self.decoder, self.link = encoder, decoder, LINKS["mean"]
        self.autoregressive = _inputs(decoder) >= 2
        mean = self.encode(sample).mean
        self.latent_dim = mean.shape[1]
        self.own_variance = self.decode(mean, sample).log_variance is not None

    def encode(self, images: np.ndarray) -> Encoded:
        """Encode images, [n, ...] with n at most BLOCK. Raises ConfigError where the outputs do not fit."""
        outputs = _call("encoder", self.encoder, [images])
        if len(outputs) not in (2, 3):
            raise ConfigError(f"encoder: expected (mean, log_variance), received {len(outputs)} outputs")
        mean, log_variance = outputs[:2]
        if mean.ndim != 2 or mean.shape != log_variance.shape or len(mean) != len(images):
            raise ConfigError(
                f"encoder: expected mean and log_variance of shape ({len(images)}, latent_dim) each for {len(images)} "
                f"images, received {mean.shape} and {log_variance.shape}"
            )
        return Encoded(images, _finite("encoder's mean", mean), _finite("encoder's log_variance", log_variance))

    def decode(self, latents: np.ndarray, images: np.ndarray) -> Output:
        """Decode z, [n, latent]; an autoregressive decoder reads `images`. Raises ConfigError where they do not fit."""
        latents = latents.astype(np.float32)
        outputs = _call("decoder", self.decoder, [latents, images] if self.autoregressive else [latents])
        if len(outputs) > 2:
            raise ConfigError(f"decoder: expected images, or (mean, log_variance), received {len(outputs)} outputs")
        for output in outputs:
            if len(output) != len(images) or output.size != images.size:
                raise ConfigError(
                    f"decoder: expected images of shape {images.shape}, as were given to the encoder, "
                    f"received {output.shape}"
                )
        flat = [_finite("decoder's output", output).reshape(len(output), -1) for output in outputs]
        return Output(self.link.mean(flat[0]), flat[1] if len(flat) == 2 else None)


def _inputs(part: Any) -> int:
    """Count the arrays that a decoder takes: its arguments without a default."""
    if _is_keras(part) and getattr(part, "inputs", None):
        return len(part.inputs)
    try:
        parameters = inspect.signature(part.call if _is_keras(part) else part).parameters.values()
    except (TypeError, ValueError):  # a builtin
        return 1
    plain = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(one.kind in plain and one.default is inspect.Parameter.empty for one in parameters)


def _is_keras(part: Any) -> bool:
    return hasattr(part, "predict_on_batch")


def apply(part: Callable[..., Any], inputs: Sequence[Any]) -> Any:
    """Call an encoder or decoder on arrays or tensors. A Keras graph of two inputs takes them as one list."""
    listed = len(inputs) > 1 and bool(getattr(part, "inputs", None))
    return part(list(inputs)) if listed else part(*inputs)


def _call(name: str, part: Callable[..., Any], inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Call an encoder or decoder on arrays of n rows, and return its outputs as a list of arrays of n rows."""
    count = len(inputs[0])
    try:
        if _is_keras(part) and (len(inputs) == 1 or getattr(part, "inputs", None)):
            padded = [_padded(array) for array in inputs]  # as every new shape would compile the model again
            outputs = part.predict_on_batch(padded if len(inputs) > 1 else padded[0])
        else:
            outputs = apply(part, inputs)
    except Exception as error:  # a user's own code may raise anything
        line = (str(error).strip().splitlines() or [""])[0][:160]
        shapes = " and ".join(str(array.shape) for array in inputs)
        raise ConfigError(f"{name}: expected to take {shapes}, received {type(error).__name__}: {line}") from error
    if isinstance(outputs, dict):
        outputs = list(outputs.values())
    parts = list(outputs) if isinstance(outputs, (tuple, list)) else [outputs]
    return [np.asarray(output)[:count] if _is_keras(part) else np.asarray(output) for output in parts]


def _padded(rows: np.ndarray) -> np.ndarray:
    """Repeat the last row until the number of rows is one of a few sizes."""
    size = next((size for size in _SIZES if len(rows) <= size), len(rows))
    return np.concatenate([rows, np.repeat(rows[-1:], size - len(rows), axis=0)])


def _finite(name: str, values: np.ndarray) -> np.ndarray:
    """Return the values, or raise DivergedError where one is NaN or infinite."""
    if not np.isfinite(values).all():
        rows = np.unique(np.argwhere(~np.isfinite(values))[:, 0]).size
        raise DivergedError(
            f"{name}: expected finite numbers, received NaN or infinity for {rows} of {len(values)} images: "
            "the model has diverged, or its weights are damaged"
        )
    return values
