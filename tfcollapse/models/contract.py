"""State what an autoencoder expects of an encoder and a decoder of anybody's, and read what they return."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
from keras import ops

from tfcollapse.errors import ConfigError
from tfcollapse.models.fit_inputs import Range, written
from tfcollapse.models.outputs import encoder_outputs, unwrapped

_LEAST = 1e-12
_LOG_VARIANCE: dict[str | None, Callable[[Any], Any]] = {
    "sigma": lambda values: 2 * ops.log(ops.maximum(values, _LEAST)),
    "variance": lambda values: ops.log(ops.maximum(values, _LEAST)),
    "log_sigma": lambda values: 2 * values,
}
"""What makes a log variance of a spread, by the reading that `encoder_outputs` gives."""


def log_variance_of(spread: Any, reading: str | None) -> Any:
    """Return the log variance of a tensor. `reading` is a key of `outputs.SPREADS`, None for a log variance."""
    return _LOG_VARIANCE.get(reading, lambda values: values)(spread)


def moments(outputs: Any, variational: bool, latent_dim: int) -> tuple[Any, Any]:
    """Return the posterior's mean and log variance, [batch, latent], of what an encoder returned.

    Args:
      outputs: (mean, log_variance), where a third output, the encoder's own sample, is ignored; or a dictionary with
        names of both. For an AE the mean alone, or the first of several.
      variational: whether this is a VAE. An AE's log variance is None.
      latent_dim: kappa.

    Raises:
      ConfigError: something else.
    """
    outputs = unwrapped(outputs)
    parts = list(outputs) if isinstance(outputs, (tuple, list)) else [outputs]
    if outputs is None or not parts:
        raise ConfigError("encoder: expected (mean, log_variance), or a mean for an AE, received no output")
    if not variational and not isinstance(outputs, Mapping):
        return _latent("a mean", parts[0], latent_dim), None
    if len(parts) == 1 and hasattr(parts[0], "shape"):
        raise ConfigError(
            f"encoder: expected (mean, log_variance) for a VAE, received one output of {written(parts[0].shape)}: add "
            "a second head, split it with keras.Model(e.inputs, keras.ops.split(e.output, 2, axis=-1)), or choose an AE"
        )
    mean, spread, reading = encoder_outputs(outputs, joined=False)
    mean = _latent("a mean", mean, latent_dim)
    if not variational:
        return mean, None
    return mean, _latent("a log variance", log_variance_of(spread, reading), latent_dim)


def _latent(what: str, values: Any, latent_dim: int) -> Any:
    """Return `values`. Raises ConfigError where their shape is known and is not [batch, latent]."""
    shape = _shape(values)
    if shape is not None and (len(shape) != 2 or shape[1] not in (None, latent_dim)):
        raise ConfigError(
            f"encoder: expected {what} of {written((None, latent_dim))}, received {written(shape)}: flatten it, or set "
            "latent_dim"
        )
    return values


def image(outputs: Any, image_shape: tuple[int, ...]) -> Any:
    """Return the images, [batch, *image_shape], of what a decoder returned. Raises ConfigError for something else."""
    if isinstance(outputs, Mapping):
        outputs = list(outputs.values())
    parts = list(outputs) if isinstance(outputs, (tuple, list)) else [outputs]
    if len(parts) != 1:
        raise ConfigError(
            f"decoder: expected one output, the images, received {len(parts)}: take one, such as "
            "keras.Model(d.inputs, d.outputs[0])"
        )
    shape = _shape(parts[0])
    if shape is not None and (
        len(shape) != 1 + len(image_shape)
        or any(size not in (None, wanted) for size, wanted in zip(shape[1:], image_shape, strict=True))
    ):
        raise ConfigError(
            f"decoder: expected images of {written((None, *image_shape))}, received {written(shape)}: end it with "
            f"keras.layers.Reshape({tuple(image_shape)})"
        )
    return parts[0]


def _shape(values: Any) -> tuple[int | None, ...] | None:
    """Return a tensor's shape, with None for a size that is not known; None where not even the rank is."""
    return None if getattr(values.shape, "rank", 0) is None else tuple(values.shape)


def checked_range(value_range: Any) -> Range | None:
    """Return the range of values of float images, None where there is none. Raises ConfigError."""
    if value_range is None:
        return None
    if not isinstance(value_range, (tuple, list)) or len(value_range) != 2 or not value_range[0] < value_range[1]:
        raise ConfigError(f"value_range: expected (least, most) such as (0.0, 1.0), or None, received {value_range!r}")
    return float(value_range[0]), float(value_range[1])


def image_shape_of(encoder: keras.Layer, decoder: keras.Layer, received: Any) -> tuple[int, ...]:
    """Return the shape of one image: as `received`, else as the networks say. Raises ConfigError where they do not."""
    known = [getattr(encoder, "image_shape", None), _sizes(encoder, "input_shape"), _sizes(decoder, "output_shape")]
    shape = received if received is not None else next(filter(None, known), None)
    if shape is None:
        raise ConfigError("encoder: its input has no known shape: give image_shape=(height, width, channels)")
    if not isinstance(shape, (tuple, list)) or not shape or not all(_is_size(size) for size in shape):
        raise ConfigError(f"image_shape: expected such as (28, 28, 1), received {shape!r}")
    if known[1] not in (None, tuple(shape)):
        raise ConfigError(f"image_shape: expected {known[1]}, which the encoder takes, received {tuple(shape)}")
    return tuple(int(size) for size in shape)


def latent_dim_of(encoder: keras.Layer, decoder: keras.Layer, received: Any) -> int:
    """Return the latent dimension: as `received`, else as the networks say. Raises ConfigError where they do not."""
    taken = (_sizes(decoder, "input_shape") or (None,))[-1]
    known = [getattr(encoder, "latent_dim", None), taken]
    latent_dim = received if received is not None else next(filter(None, known), None)
    if latent_dim is None:
        raise ConfigError("decoder: its input has no known shape: give latent_dim=, the number of latent units")
    if not _is_size(latent_dim):
        raise ConfigError(f"latent_dim: expected a whole number above 0, received {latent_dim!r}")
    if taken not in (None, latent_dim):
        raise ConfigError(f"latent_dim: expected {taken}, which the decoder takes, received {latent_dim}")
    return int(latent_dim)


def _is_size(value: Any) -> bool:
    return hasattr(value, "__index__") and not isinstance(value, bool) and value > 0


def _sizes(part: keras.Layer, attribute: str) -> tuple[int, ...] | None:
    """Return the shape that a layer of Keras has for one example; None where it does not know all of it."""
    try:
        shape = getattr(part, attribute)
    except (AttributeError, ValueError):  # not called yet
        return None
    whole = isinstance(shape, tuple) and all(_is_size(size) for size in shape[1:]) and len(shape) > 1
    return shape[1:] if whole else None


def check_floor(encoder: Any, floor: float) -> None:
    """Check that the encoder bounds its log variance as a floor under the KL needs it. Raises ConfigError."""
    found = getattr(encoder, "kl_floor", 0.0)
    if found != floor:
        raise ConfigError(
            f"encoder: expected one whose sigma keeps every KL at {floor:g} nats or more, as the objective's "
            f"kl_constraint says, received one with a floor of {found:g}: tfcollapse.build makes one that has it; an "
            "encoder of your own needs an attribute kl_floor, and gives its log variance through "
            "tfcollapse.models.objectives.bounded_log_variance"
        )
