"""Find the mean and the spread among what an encoder or a decoder returns: tuples, dictionaries, distributions."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from tfcollapse.errors import ConfigError


class Chosen(NamedTuple):
    """The tensors that count among a model's outputs.

    Attributes:
      mean: of z, or of the examples.
      spread: of z, or of every number of the examples; None where there is none.
      reading: what the spread is, a key of `SPREADS`, where its name says so; else None.
    """

    mean: Any
    spread: Any | None
    reading: str | None = None


class Spread(NamedTuple):
    """What turns a spread into a log variance.

    Attributes:
      log_variance: elementwise.
      slope: the derivative of the log variance by the spread, elementwise.
    """

    log_variance: Callable[[np.ndarray], np.ndarray]
    slope: Callable[[np.ndarray], np.ndarray]


_LEAST = 1e-12
SPREADS = {
    "log_variance": Spread(lambda values: values, np.ones_like),
    "sigma": Spread(lambda values: 2 * np.log(np.maximum(values, _LEAST)), lambda values: 2 / values),
    "variance": Spread(lambda values: np.log(np.maximum(values, _LEAST)), lambda values: 1 / values),
    "log_sigma": Spread(lambda values: 2 * values, lambda values: np.full_like(values, 2.0)),
}
"""What a second output can be, by its name."""

_MEANS = ("mean", "means", "mu", "loc", "location")
_READINGS = {
    "log_variance": ("logvariance", "logvar", "logvars", "logsigma2", "logsigmasq", "logsigmasquared", "logsq", "lv"),
    "sigma": ("sigma", "std", "stddev", "scale", "sd", "stdev", "standarddeviation"),
    "variance": ("variance", "var", "sigma2", "sigmasq", "sigmasquared"),
    "log_sigma": ("logsigma", "logstd", "logstddev", "logscale", "logsd"),
}
_EXAMPLES = (
    *_MEANS,
    *("reconstruction", "reconstructions", "recon", "reconstructed", "xhat", "xrecon", "reconx", "decoded", "decoding"),
    *(
        "output",
        "outputs",
        "logits",
        "probs",
        "probabilities",
        "image",
        "images",
        "x",
        "xreconstructed",
        "pred",
        "rate",
    ),
)


def encoder_outputs(outputs: Any, joined: bool) -> Chosen:
    """Return the posterior's mean and spread.

    Args:
      outputs: (mean, spread); with a third output, which is ignored; a dictionary with names of a mean and a spread; a
        distribution with `mean` or `loc`, and `stddev` or `scale`; where `joined`, one tensor [n, 2 latent].

    Raises:
      ConfigError: something else.
    """
    outputs = unwrapped(outputs)
    if isinstance(outputs, Mapping):
        return _by_names("encoder", outputs)
    if _is_distribution(outputs):
        return _of_distribution(outputs)
    if not isinstance(outputs, (tuple, list)):
        return _halves(outputs, joined)
    parts = list(outputs)
    if not parts:
        raise ConfigError("encoder: expected (mean, log_variance), received no output")
    if joined:
        raise ConfigError(f"encoder: expected one output of (n, 2 latent), as joined=True says, received {len(parts)}")
    if len(parts) > 3:
        raise ConfigError(
            f"encoder: expected (mean, log_variance), received {len(parts)} outputs: choose two, such as "
            "encoder=lambda x: model(x)[:2]"
        )
    return Chosen(parts[0], parts[1])


def unwrapped(outputs: Any) -> Any:
    """Return what is in a list of one thing, however deep; anything else as it is."""
    while isinstance(outputs, (tuple, list)) and len(outputs) == 1:
        (outputs,) = outputs
    return outputs


def decoder_outputs(outputs: Any) -> Chosen:
    """Return the mean of the examples, and the spread of every number where the decoder has one.

    Args:
      outputs: one tensor, (mean, log_variance), a dictionary, or a distribution with a `mean`.

    Raises:
      ConfigError: something else.
    """
    if isinstance(outputs, Mapping):
        return Chosen(next(iter(outputs.values())), None) if len(outputs) == 1 else _by_names("decoder", outputs)
    if _is_distribution(outputs):
        chosen = _of_distribution(outputs)
        return chosen if "Normal" in _distribution_name(outputs) else Chosen(chosen.mean, None)
    parts = list(outputs) if isinstance(outputs, (tuple, list)) else [outputs]
    if len(parts) > 2:
        raise ConfigError(
            f"decoder: expected examples, or (mean, log_variance), received {len(parts)} outputs: choose, such as "
            "decoder=lambda z: model(z)[0]"
        )
    return Chosen(parts[0], parts[1] if len(parts) == 2 else None)


def _halves(output: Any, joined: bool) -> Chosen:
    """Split one output of an encoder. Raises ConfigError."""
    shape = tuple(output.shape) if hasattr(output, "shape") else np.shape(output)  # a traced tensor is no array
    if len(shape) < 2 or shape[-1] % 2:
        raise ConfigError(f"encoder: expected (mean, log_variance), received one output of shape {shape}")
    half = shape[-1] // 2
    if not joined:
        raise ConfigError(
            f"encoder: expected (mean, log_variance), received one output of shape {shape}: if it holds {half} means "
            f"and then {half} log variances, say joined=True, or split it: lambda x: (model(x)[:, :{half}], "
            f"model(x)[:, {half}:])"
        )
    return Chosen(output[..., :half], output[..., half:])


def _by_names(part: str, outputs: Mapping[Any, Any]) -> Chosen:
    """Choose among the values of a dictionary by their names. Raises ConfigError."""
    names = {_plain(str(name)): value for name, value in outputs.items()}
    wanted = _MEANS if part == "encoder" else _EXAMPLES
    mean = next((names[name] for name in wanted if name in names), None)
    spread, reading = next(
        ((names[name], reading) for reading, known in _READINGS.items() for name in known if name in names),
        (None, None),
    )
    if mean is None or (spread is None and part == "encoder"):
        what = "names of a mean and a log_variance" if part == "encoder" else "the name of a mean"
        call = "encoder=lambda x: (model(x)[MEAN], model(x)[LOG_VARIANCE])"
        raise ConfigError(
            f"{part}: expected {what}, received a dictionary with {', '.join(map(str, outputs)) or 'nothing'}: choose, "
            f"such as {call if part == 'encoder' else 'decoder=lambda z: model(z)[NAME]'}"
        )
    return Chosen(mean, spread, reading)


def _plain(name: str) -> str:
    """Return a name without case, signs, and the z, q, x or "latent" that it is of: z_log_var is logvar."""
    words = [word for word in re.split(r"[^a-z0-9]+", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()) if word]
    kept = [word for word in words if word not in ("z", "q", "qz", "latent", "latents", "posterior", "encoder")]
    if len(kept) > 1 and kept[0] in ("x", "px", "p") and kept[1] not in ("hat", "recon", "reconstructed"):
        kept = kept[1:]
    return "".join(kept)


def _is_distribution(output: Any) -> bool:
    """Return whether an object has a mean and a spread, as those of torch.distributions and others have."""
    if isinstance(output, (tuple, list, np.ndarray)) or hasattr(output, "__array__") or hasattr(output, "shape"):
        return False
    return _first(output, ("loc", "mean")) is not None


def _of_distribution(distribution: Any) -> Chosen:
    for reading, names in (
        ("log_variance", ("logvar", "log_variance")),
        ("sigma", ("stddev", "scale", "std")),
        ("variance", ("variance",)),
    ):
        spread = _first(distribution, names)
        if spread is not None:
            return Chosen(_first(distribution, ("mean", "loc")), spread, reading)
    return Chosen(_first(distribution, ("mean", "loc")), None)


def _distribution_name(distribution: Any) -> str:
    """Return the name of its class, and of the one inside where it wraps another."""
    return type(distribution).__name__ + type(getattr(distribution, "base_dist", None)).__name__


def _first(owner: Any, names: tuple[str, ...]) -> Any:
    """Return the first attribute that there is, called where it is a method; else None."""
    for name in names:
        value = getattr(owner, name, None)
        if value is not None:
            return value() if callable(value) else value
    return None
