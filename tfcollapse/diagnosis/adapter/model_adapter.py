"""Call anyone's encoder and decoder as NumPy functions, and check what they are given and what they return."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from tfcollapse.diagnosis.adapter import layouts
from tfcollapse.diagnosis.adapter.frameworks import Part, part
from tfcollapse.diagnosis.adapter.gradients import to_numpy
from tfcollapse.diagnosis.adapter.spread import recognised_spread
from tfcollapse.diagnosis.likelihoods import LINKS
from tfcollapse.errors import ConfigError, DivergedError
from tfcollapse.models.outputs import SPREADS, Chosen, decoder_outputs, encoder_outputs

BLOCK = 1_024
"""The most examples that an encoder or a decoder is called with."""
_LARGEST_LOG_VARIANCE = 88.0
"""From 88.7 on the variance is infinite in float32, and z with it; the decoder would seem to be at fault."""
Vjp = tuple[np.ndarray, Callable[[np.ndarray], np.ndarray]]


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
    """What a decoder returns for a block of examples.

    Attributes:
      mean: [n, d], the mean of the examples, flattened, after the adapter's link.
      log_variance: [n, d] where the decoder has a variance of its own for every number, else None.
    """

    mean: np.ndarray
    log_variance: np.ndarray | None


class ModelAdapter:
    """An encoder and a decoder that are to be diagnosed.

    Args:
      encoder: a Keras model, a torch module, or a function, examples [n, ...] to (mean, spread), [n, latent] each; see
        `outputs.encoder_outputs` for the other forms.
      decoder: the same kinds, z [n, latent] to examples [n, ...], or to (mean, log_variance) of every number. A decoder
        of two inputs, (z, examples), is an autoregressive one and given the true examples.
      sample: examples [n, ...] on which the shapes are tried.
      spread: what the encoder's second output is, a key of `SPREADS`; None where `recognise_spread` is to find out.
      joined: whether the encoder has one output, [n, 2 latent]: means, then spreads.

    Attributes:
      latent_dim: how many latents the encoder has.
      autoregressive: whether the decoder reads the examples too.
      own_variance: whether the decoder gives a variance of its own for every number.
      spread: what the encoder's second output is taken for.
      spread_recognised: whether that was not declared, and is not the log variance.
      link: turns the decoder's output into the mean; the identity until another one is set.

    Raises:
      ConfigError: shapes that do not fit, outputs that are not finite, or something that cannot be called.
    """

    def __init__(
        self, encoder: Any, decoder: Any, sample: np.ndarray, *, spread: str | None = None, joined: bool = False
    ):
        if spread is not None and spread not in SPREADS:
            raise ConfigError(f"spread: expected one of {', '.join(SPREADS)}, received {spread!r}")
        self.encoder, self.decoder = part("encoder", encoder), part("decoder", decoder)
        self.link, self.joined = LINKS["mean"], joined
        self.spread, self.spread_recognised, self._declared = spread or "log_variance", False, spread is not None
        if self.encoder.inputs > 1:
            raise ConfigError(_condition("encoder", self.encoder, sample.shape[1:]))
        mean = self._posterior(sample)[0]
        if not np.allclose(mean, self._posterior(sample)[0], rtol=1e-3, atol=1e-3 * np.abs(mean).max()):
            raise ConfigError(
                "encoder: expected the same mean for the same examples, received another at a second call: its first "
                "output may be the sample z (then give encoder=lambda x: model(x)[1:]), or dropout is on"
            )
        self.latent_shape = mean.shape[1:]
        self.latent_dim = int(np.prod(self.latent_shape))
        self.autoregressive = self._reads_examples(sample.shape[1:])
        self.own_variance = False
        self.own_variance = self.decode(self.encode(sample).mean, sample).log_variance is not None

    def encode(self, examples: np.ndarray) -> Encoded:
        """Encode examples, [n, ...] with n at most BLOCK. Raises ConfigError where the outputs do not fit."""
        mean, spread = self._posterior(examples)
        if self.spread in ("sigma", "variance") and (spread < 0).any():
            raise ConfigError(
                f"encoder: expected {self.spread} > 0 as the second output, received {spread.min():.4g}: it may be "
                "spread='log_variance' or 'log_sigma'"
            )
        log_variance = SPREADS[self.spread].log_variance(spread)
        if log_variance.max() > _LARGEST_LOG_VARIANCE:
            raise DivergedError(
                f"encoder's {self.spread}: expected a log variance that float32 holds the exponential of, below "
                f"{_LARGEST_LOG_VARIANCE:g}, received one of {log_variance.max():.4g}: the model has diverged, or this "
                "output is none (spread= says what it is)"
            )
        return Encoded(examples, mean.reshape(len(mean), -1), log_variance.reshape(len(mean), -1))

    def recognise_spread(self, examples: np.ndarray) -> None:
        """Find out from some examples what the encoder's second output is, where it was neither declared nor named.

        Args:
          examples: up to BLOCK, spread over the data.
        """
        if not self._declared and not self.spread_recognised:
            mean, spread = (each.reshape(len(each), -1) for each in self._posterior(examples))
            self.spread = recognised_spread(mean, spread)
            self.spread_recognised = self.spread != "log_variance"

    def decode(self, latents: np.ndarray, examples: np.ndarray) -> Output:
        """Decode z, [n, latent], where an autoregressive decoder reads `examples`. Raises ConfigError."""
        latents = latents.astype(np.float32).reshape(len(latents), *self.latent_shape)
        chosen = decoder_outputs(_called("decoder", self.decoder, self._decoder_inputs(latents, examples)))
        flat = [
            _finite("decoder's output", _fitting(to_numpy(output)[: len(latents)], examples)).reshape(len(latents), -1)
            for output in _tensors(chosen)
        ]
        log_variance = SPREADS[chosen.reading or "log_variance"].log_variance(flat[1]) if len(flat) == 2 else None
        return Output(self.link.mean(flat[0]), log_variance)

    def vjp(self, latents: np.ndarray, examples: np.ndarray) -> Vjp | None:
        """Decode z, [n, latent], so that cotangents can be pulled back to it.

        Returns:
          The decoder's outputs before the link, [n, d], or [n, 2 d] with the log variances where they are its own; and
          a function from a cotangent of that shape to the one of z, [n, latent]. None where nothing can differentiate
          the decoder.
        """
        latents = latents.astype(np.float32).reshape(len(latents), *self.latent_shape)
        readings: list[str] = []

        def select(outputs: Any) -> list[Any]:
            chosen = decoder_outputs(outputs)
            readings[:] = ["log_variance", chosen.reading or "log_variance"]
            return _tensors(chosen)

        try:
            found = self.decoder.differentiate(latents, self._decoder_inputs(latents, examples)[1:], select)
        except Exception:  # noqa: BLE001 - a user's decoder may not take the tensors of its framework
            return None
        if found is None:
            return None
        raw, pull = found.outputs, found.pull_back
        forms = [SPREADS[reading] for reading in readings[: len(raw)]]
        flat = [form.log_variance(each).reshape(len(each), -1) for form, each in zip(forms, raw, strict=True)]

        def pull_back(cotangent: np.ndarray) -> np.ndarray:
            parts = np.split(cotangent, len(raw), axis=1)
            given = [
                each.reshape(one.shape) * form.slope(one) for form, each, one in zip(forms, parts, raw, strict=True)
            ]
            return pull(given).reshape(len(latents), -1)

        return np.concatenate(flat, axis=1), pull_back

    def _posterior(self, examples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the encoder's mean and spread as they are, checked. Raises ConfigError."""
        chosen = encoder_outputs(_called("encoder", self.encoder, [examples]), self.joined)
        if chosen.reading is not None and not self._declared:
            self.spread, self.spread_recognised = chosen.reading, chosen.reading != "log_variance"
        if chosen.spread is None:
            raise ConfigError("encoder: expected (mean, log_variance), received a mean alone")
        mean, spread = (to_numpy(output)[: len(examples)] for output in (chosen.mean, chosen.spread))
        if mean.ndim < 2 or mean.shape != spread.shape or len(mean) != len(examples):
            whole = mean.size == examples.size and mean.shape != spread.shape
            raise ConfigError(
                f"encoder: expected mean and log_variance of shape ({len(examples)}, latent_dim) each for "
                f"{len(examples)} examples, received {mean.shape} and {spread.shape}"
                + ": is this the whole VAE? Give its encoder alone"
                * whole
            )
        return _finite("encoder's mean", mean), _finite(f"encoder's {self.spread}", spread)

    def _reads_examples(self, shape: tuple[int, ...]) -> bool:
        """Return whether the decoder is autoregressive. Raises ConfigError where its second input is a condition."""
        if self.decoder.inputs < 2:
            return False
        declared = self.decoder.input_shapes
        if self.decoder.inputs > 2 or (len(declared) > 1 and not _fits(declared[1][1:], shape)):
            raise ConfigError(_condition("decoder", self.decoder, shape))
        return True

    def _decoder_inputs(self, latents: np.ndarray, examples: np.ndarray) -> list[np.ndarray]:
        return [latents, examples] if self.autoregressive else [latents]


def _tensors(chosen: Chosen) -> list[Any]:
    return [chosen.mean] if chosen.spread is None else [chosen.mean, chosen.spread]


def _called(name: str, function: Part, arrays: Sequence[np.ndarray]) -> Any:
    """Call an encoder or a decoder. Raises ConfigError where it fails."""
    try:
        return function(*arrays)
    except Exception as error:  # a user's own code may raise anything
        raise ConfigError(_failure(name, function, arrays, error)) from error


def _failure(name: str, function: Part, arrays: Sequence[np.ndarray], error: Exception) -> str:
    """Say in one line why a call failed: both shapes where they are known, and what to write."""
    shapes = " and ".join(str(array.shape) for array in arrays)
    line = (str(error).strip().splitlines() or [""])[0][:160]
    said = f"{name}: expected to take {shapes}, received {type(error).__name__}: {line}"
    declared = function.input_shapes
    if declared and not _fits(declared[0][1:], arrays[0].shape[1:]):
        said = f"{name}: expected to take {shapes}, received a model of {' and '.join(map(str, declared))}"
    if len(arrays) > 1:
        return f"{said}: a second input is taken for the examples; {_HOW_TO_FIX_A_CONDITION[name]}"
    meant = declared[0][1:] if declared else ()
    for shape, code, turn in layouts.turned(arrays[0].shape[1:], meant) if name == "encoder" else ():
        try:
            function(turn(arrays[0]))
        except Exception:  # noqa: BLE001 - this is not the shape it takes either
            continue
        return (
            f"encoder: expected to take {arrays[0].shape}, received a model of {(len(arrays[0]), *shape)}: turn the "
            f"data first: {code}"
        )
    if "torch" in sys.modules and ("ndarray" in line or "Tensor" in line):
        said += f": is it torch's? tfcollapse.from_torch({name})"
    return said


_HOW_TO_FIX_A_CONDITION = {
    "encoder": "a condition is fixed by a function that closes over it, and the data are those of this condition: "
    "encoder=lambda x: model([x, np.tile(condition, (len(x), 1))])",
    "decoder": "a condition is fixed by a function that closes over it, and the data are those of this condition: "
    "decoder=lambda z: model([z, np.tile(condition, (len(z), 1))])",
}


def _condition(name: str, function: Part, shape: tuple[int, ...]) -> str:
    """Say that a part has an input too many."""
    declared = [one[1:] for one in function.input_shapes]
    received = " and ".join(map(str, declared)) if declared else f"{function.inputs} inputs"
    wanted = f"one input of {shape}" if name == "encoder" else f"one input z, or z and the examples of {shape}"
    return f"{name}: expected {wanted}, received {received}: {_HOW_TO_FIX_A_CONDITION[name]}"


def _fits(declared: Sequence[int | None], shape: Sequence[int]) -> bool:
    """Return whether a declared shape, in which None is any number, takes a shape."""
    return len(declared) == len(shape) and all(one in (None, size) for one, size in zip(declared, shape, strict=True))


def _fitting(output: np.ndarray, examples: np.ndarray) -> np.ndarray:
    """Return a decoder's output. Raises ConfigError where it does not hold the numbers of the examples in order."""
    if len(output) != len(examples) or output.size != examples.size:
        raise ConfigError(
            f"decoder: expected examples of shape {examples.shape}, as were given to the encoder, received "
            f"{output.shape}"
        )
    given, wanted = output.shape[1:], examples.shape[1:]
    if not layouts.same_order(given, wanted):
        code = layouts.code_to(given, wanted)
        raise ConfigError(
            f"decoder: expected examples of shape {examples.shape}, received {output.shape}, which is "
            f"another order: turn its output"
            + (f", decoder=lambda z: {code.replace('x.', 'model(z).', 1)}" if code else "")
        )
    return output


def _finite(name: str, values: np.ndarray) -> np.ndarray:
    """Return the values, or raise DivergedError where one is NaN or infinite."""
    if not np.isfinite(values).all():
        rows = np.unique(np.argwhere(~np.isfinite(values))[:, 0]).size
        raise DivergedError(
            f"{name}: expected finite numbers, received NaN or infinity for {rows} of {len(values)} examples: "
            "the model has diverged, or its weights are damaged"
        )
    return values
