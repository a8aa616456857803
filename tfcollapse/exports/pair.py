"""Read any encoder and decoder of TensorFlow's that `tfcollapse.diagnose` takes as functions that can be exported."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfcollapse.diagnosis.adapter.frameworks import KerasModel, Part, PlainFunction, part
from tfcollapse.diagnosis.adapter.model_adapter import BLOCK, ModelAdapter
from tfcollapse.diagnosis.examples import read_examples
from tfcollapse.errors import ConfigError, line_of
from tfcollapse.exports.functions import Functions, Tensors
from tfcollapse.models.contract import log_variance_of
from tfcollapse.models.outputs import decoder_outputs, encoder_outputs

_MEANS = {"mean": lambda values: values, "logits": tf.sigmoid, "log_mean": tf.exp}
"""The mean of the examples, from each kind of output."""


def of_pair(
    encoder: Any, decoder: Any, examples: Any, spread: str | None, joined: bool, output: str | None
) -> Functions:
    """Return the functions of an encoder and a decoder, checked on examples.

    Args:
      encoder, decoder, spread, joined: as `tfcollapse.diagnose` takes them.
      examples: a few or all of the data, as `diagnose` takes them; None where the encoder declares the shape.
      output: what the decoder's output is: "mean", which is the default, "logits" or "log_mean".

    Raises:
      ConfigError: no shape is known, shapes that do not fit, or functions that are not TensorFlow's.
    """
    _check_kinds(encoder, decoder, output)
    sample = _sample(encoder, examples)
    adapter = ModelAdapter(encoder, decoder, sample[:2], spread=spread, joined=joined)
    if spread is None and examples is not None:
        _check_spread(adapter, sample)
    mean_of = _MEANS[output or "mean"]

    def encode(values: Any) -> Tensors:
        chosen = encoder_outputs(_call(adapter.encoder, values), joined)
        return {
            "mean": _number(chosen.mean),
            "log_variance": log_variance_of(_number(chosen.spread), adapter.spread),
        }

    def decode(latents: Any, *values: Any) -> Tensors:
        chosen = decoder_outputs(_call(adapter.decoder, latents, *values))
        decoded = {"reconstructions": mean_of(_number(chosen.mean))}
        if chosen.spread is None:
            return decoded
        return decoded | {"reconstructions_log_variance": log_variance_of(_number(chosen.spread), chosen.reading)}

    functions = Functions(
        encode=encode,
        decode=decode,
        examples="examples",
        example_shape=sample.shape[1:],
        latent_shape=adapter.latent_shape,
        variational=True,
        reads_examples=adapter.autoregressive,
        owners=(_owner(encoder), _owner(decoder)),
        facts={
            "example_shape": list(sample.shape[1:]),
            "latent_shape": list(adapter.latent_shape),
            "encoder_spread": adapter.spread,
            "decoder_output": output or "mean",
        },
    )
    _check_traced("encoder", encode, sample)
    _check_traced("decoder", decode, np.zeros((2, *adapter.latent_shape), np.float32), *_read(functions, sample))
    return functions


def _check_kinds(encoder: Any, decoder: Any, output: str | None) -> None:
    """Check the name of the output, and that the functions are TensorFlow's. Raises ConfigError."""
    if output not in (None, *_MEANS):
        raise ConfigError(f"output: expected one of {', '.join(_MEANS)}, received {output!r}")
    for name, function in (("encoder", encoder), ("decoder", decoder)):
        if not isinstance(part(name, function), (KerasModel, PlainFunction)):
            kind = type(function).__name__
            raise ConfigError(f"export: {name}: expected a model or function of Keras or TensorFlow, received {kind}")


def _sample(encoder: Any, examples: Any) -> np.ndarray:
    """Return examples, or draws from [0, 1] of the shape that the encoder declares. Raises ConfigError."""
    if examples is not None:
        taken = read_examples(examples, None)
        return taken.as_float(taken.array[:: max(1, len(taken) // BLOCK)][:BLOCK])
    shape = _declared_shape(encoder)
    if shape is None or None in shape:
        raise ConfigError(
            f"export: expected an encoder that declares its input's shape, received {type(encoder).__name__}"
            f"{f' of {shape}' if shape else ''}: give some of the data, export(..., examples=data[:1000])"
        )
    return np.random.default_rng(0).random((2, *shape), np.float32)


def _declared_shape(encoder: Any) -> tuple[int | None, ...] | None:
    """Return the shape of one example, where a Keras model or a `tf.function` says it."""
    for declared in (getattr(encoder, "inputs", None), getattr(encoder, "input_signature", None)):
        if declared:
            return tuple(declared[0].shape)[1:]
    built = encoder.get_build_config() if isinstance(encoder, keras.Layer) and encoder.built else None
    shape = (built or {}).get("input_shape")
    return tuple(shape)[1:] if shape and not isinstance(shape, dict) else None


def _check_spread(adapter: ModelAdapter, sample: np.ndarray) -> None:
    """Refuse a second output that looks like something else than a log variance, and is not said to be. ConfigError."""
    if adapter.spread_recognised:  # by its name
        return
    adapter.recognise_spread(sample)
    if adapter.spread_recognised:
        raise ConfigError(
            f"encoder: expected spread= with a second output that looks like {adapter.spread}, received none: say "
            f"spread='{adapter.spread}', or spread='log_variance' that it is not"
        )


def _call(called: Part, *tensors: Any) -> Any:
    """Call a part on tensors, symbolic ones too. A Keras graph takes several inputs as a list."""
    graph = bool(getattr(called.function, "inputs", None))
    return called.function(list(tensors)) if graph and len(tensors) > 1 else called.function(*tensors)


def _number(values: Any) -> Any:
    return tf.cast(tf.convert_to_tensor(values), tf.float32)


def _owner(function: Any) -> Any:
    """Return what holds the variables of a function: itself, or the object whose method it is."""
    return getattr(function, "__self__", function)


def _read(functions: Functions, sample: np.ndarray) -> list[np.ndarray]:
    return [sample[:2]] if functions.reads_examples else []


def _check_traced(name: str, function: Any, *arrays: np.ndarray) -> None:
    """Check that a function can become a graph of TensorFlow. Raises ConfigError."""
    specs = [tf.TensorSpec((None, *array.shape[1:]), tf.float32) for array in arrays]
    try:
        tf.function(function, input_signature=specs, autograph=False).get_concrete_function()
    except ConfigError:
        raise
    except Exception as error:  # noqa: BLE001 - a user's own code may raise anything
        raise ConfigError(
            f"export: {name}: expected a function of TensorFlow's or Keras' operations for any number of examples, "
            f"received one that cannot be traced: {line_of(error)}"
        ) from None
