"""Call an encoder or a decoder of any framework on NumPy arrays, and pull cotangents back through it.

Nothing of a framework is imported before one of its models is here, so that none has to be installed.
"""

from __future__ import annotations

import abc
import contextlib
import functools
import inspect
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from tfcollapse.config.annotations import arguments_checked
from tfcollapse.diagnosis.adapter.gradients import Pullback, Select, by_autograd, by_jax, by_tape, graph_of
from tfcollapse.errors import ConfigError

_SIZES = (64, 256, 1_024)


class Part(abc.ABC):
    """An encoder or a decoder as a function of NumPy arrays, float32.

    Attributes:
      function: the user's model or function.
    """

    def __init__(self, function: Any):
        self.function = function

    @abc.abstractmethod
    def __call__(self, *arrays: np.ndarray) -> Any:
        """Return what the model returns, in tensors of its framework, or arrays."""

    @abc.abstractmethod
    def differentiate(self, latents: np.ndarray, others: Sequence[np.ndarray], select: Select) -> Pullback | None:
        """Call the model on the latents and other arrays, so that its selected outputs can be pulled back.

        Returns:
          None where the selected outputs do not follow from the latents by operations of the framework.
        """

    @property
    def inputs(self) -> int:
        """How many arrays the model takes: its arguments without a default."""
        try:
            parameters = inspect.signature(self._signed).parameters.values()
        except (TypeError, ValueError):  # a builtin
            return 1
        plain = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
        named = [one.name for one in parameters if one.kind in plain and one.default is inspect.Parameter.empty]
        return len([name for name in named if name not in ("training", "mask")])

    @property
    def input_shapes(self) -> list[tuple[int | None, ...]]:
        """The shapes that the model declares for its inputs, None for any number; none where it declares none."""
        return []

    @property
    def _signed(self) -> Any:
        """What has the arguments of the model."""
        return self.function


class PlainFunction(Part):
    """A function that takes NumPy arrays. TensorFlow's, JAX' and Keras' operations take them too."""

    def __call__(self, *arrays: np.ndarray) -> Any:
        return self.function(*arrays)

    def differentiate(self, latents: np.ndarray, others: Sequence[np.ndarray], select: Select) -> Pullback | None:
        framework = type(select(self.function(latents, *others))[0]).__module__.partition(".")[0]
        differentiate = {"tensorflow": by_tape, "torch": by_autograd, "jax": by_jax, "jaxlib": by_jax}.get(framework)
        return differentiate(self.function, latents, others, select) if differentiate else None


class KerasModel(Part):
    """A Keras model, under any backend."""

    def __init__(self, function: Any):
        from tfcollapse.backend import allow_retracing

        super().__init__(function)
        allow_retracing()  # an encoder and a decoder are compiled for a few sizes each

    def __call__(self, *arrays: np.ndarray) -> Any:
        if len(arrays) > 1 and not self.input_shapes:  # it takes its inputs as arguments
            return self.function(*arrays)
        padded = [_padded(array) for array in arrays]  # as every new shape would compile the model again
        return self.function.predict_on_batch(padded if len(arrays) > 1 else padded[0])

    def differentiate(self, latents: np.ndarray, others: Sequence[np.ndarray], select: Select) -> Pullback | None:
        import keras

        backend = keras.config.backend()
        if backend == "jax":
            state = [variable.value for variable in self.function.trainable_variables]
            rest = [variable.value for variable in self.function.non_trainable_variables]
            call = self.function.stateless_call
            return by_jax(lambda *z: call(state, rest, *self._given(z))[0], latents, others, select)
        if backend == "torch":
            device = next((weights.device for weights in self.function.parameters()), None)
            return by_autograd(self._call, latents, others, select, device)
        return by_tape(self._traced, latents, others, select) if backend == "tensorflow" else None

    @property
    def inputs(self) -> int:
        return len(self.input_shapes) or super().inputs

    @property
    def input_shapes(self) -> list[tuple[int | None, ...]]:
        return [tuple(one.shape) for one in getattr(self.function, "inputs", None) or []]

    @property
    def _signed(self) -> Any:
        return self.function.call

    @functools.cached_property
    def _traced(self) -> Callable[..., Any]:
        """The model as TensorFlow's graph, where `predict_on_batch` makes one of it too: layers cost no Python then."""
        eager = getattr(self.function, "run_eagerly", False) or (self.inputs > 1 and not self.input_shapes)
        return self._call if eager else graph_of(self._call)

    def _call(self, *tensors: Any) -> Any:
        return self.function(*self._given(tensors))

    def _given(self, arrays: Sequence[Any]) -> tuple[Any, ...]:
        """Return the arguments of a call: a graph of two inputs takes them as one list."""
        return (list(arrays),) if len(arrays) > 1 and self.input_shapes else tuple(arrays)


class TorchFunction(Part):
    """A torch module, or a function of torch tensors; what `from_torch` returns."""

    def __call__(self, *arrays: np.ndarray) -> Any:
        import torch

        with _in_eval_mode(self._modules), torch.no_grad():
            return self.function(*(torch.as_tensor(np.ascontiguousarray(one), device=self._device) for one in arrays))

    def differentiate(self, latents: np.ndarray, others: Sequence[np.ndarray], select: Select) -> Pullback | None:
        with _in_eval_mode(self._modules):
            return by_autograd(self.function, latents, others, select, self._device)

    @property
    def input_shapes(self) -> list[tuple[int | None, ...]]:
        """What the first layer of a module takes."""
        for layer in self.function.modules() if hasattr(self.function, "modules") else ():
            if hasattr(layer, "in_features"):
                return [(None, layer.in_features)]
            if hasattr(layer, "in_channels"):
                return [(None, layer.in_channels, *[None] * len(layer.kernel_size))]
        return []

    @property
    def _signed(self) -> Any:
        return getattr(self.function, "forward", self.function)

    @property
    def _modules(self) -> list[Any]:
        """The modules that are called: the one itself, a bound method's, or those that a function names."""
        import torch

        owner = getattr(self.function, "__self__", self.function)
        if isinstance(owner, torch.nn.Module):
            return [owner]
        try:
            names = inspect.getclosurevars(self.function)
        except TypeError:  # not a function of Python
            return []
        return [one for one in (*names.nonlocals.values(), *names.globals.values()) if isinstance(one, torch.nn.Module)]

    @property
    def _device(self) -> Any:
        for module in self._modules:
            for weights in module.parameters():
                return weights.device
        return None


class JaxFunction(Part):
    """A function of JAX arrays, compiled; what `from_jax` returns."""

    def __init__(self, function: Any):
        import jax

        super().__init__(function)
        self._compiled = jax.jit(function)

    def __call__(self, *arrays: np.ndarray) -> Any:
        return self._compiled(*arrays)

    def differentiate(self, latents: np.ndarray, others: Sequence[np.ndarray], select: Select) -> Pullback | None:
        return by_jax(self._compiled, latents, others, select)


@arguments_checked
def from_torch(function: Any) -> Callable[..., Any]:
    """Wrap a torch module, or a function of torch tensors, so that it takes NumPy arrays.

    It is called in eval mode, which is set back afterwards, without gradients, in float32, on the device of its
    weights. A bare torch.nn.Module, or a method of one, needs no wrapping.

    Args:
      function: a torch.nn.Module, a method of one, or a function that calls modules.

    Returns:
      What `diagnose` and `CollapseMonitor` take for an encoder or a decoder.

    Raises:
      ConfigError: not callable, or torch is not installed.

    Example:
      >>> import torch
      >>> network = torch.nn.Linear(4, 2)
      >>> encoder = tc.from_torch(lambda x: (network(x), torch.zeros(len(x), 2)))
      >>> mean, log_variance = encoder(np.ones((3, 4), np.float32))
      >>> tuple(mean.shape), tuple(log_variance.shape)
      ((3, 2), (3, 2))
    """
    return _wrapped_in(TorchFunction, "torch", function)


@arguments_checked
def from_jax(function: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a function of JAX arrays so that it is compiled once for each number of rows.

    Args:
      function: a pure function, which closes over its parameters.

    Returns:
      What `diagnose` and `CollapseMonitor` take for an encoder or a decoder.

    Raises:
      ConfigError: not callable, or JAX is not installed.

    Example:
      >>> import jax.numpy as jnp
      >>> encoder = tc.from_jax(lambda x: (x @ jnp.ones((4, 2)), jnp.zeros((len(x), 2))))
      >>> mean, log_variance = encoder(np.ones((3, 4), np.float32))
      >>> mean.shape, log_variance.shape
      ((3, 2), (3, 2))
    """
    return _wrapped_in(JaxFunction, "jax", function)


def _wrapped_in(kind: type[Any], framework: str, function: Any) -> Any:
    if not callable(function):
        raise ConfigError(f"from_{framework}: expected a function or a model, received {type(function).__name__}")
    try:
        __import__(framework)
    except ImportError:
        raise ConfigError(f"from_{framework}: {framework} is not installed: pip install {framework}") from None
    return kind(function)


def part(name: str, function: Any) -> Part:
    """Wrap a user's encoder or decoder by what it is.

    Args:
      name: "encoder" or "decoder", for the message.

    Raises:
      ConfigError: it cannot be called.
    """
    if isinstance(function, Part):
        return function
    if not callable(function):
        raise ConfigError(
            f"{name}: expected a Keras model, a torch module or a function, received {type(function).__name__}"
        )
    if hasattr(function, "predict_on_batch"):
        return KerasModel(function)
    torch, keras = sys.modules.get("torch"), sys.modules.get("keras")
    owner = getattr(function, "__self__", function)
    if keras is not None and isinstance(owner, keras.Layer):  # under the torch backend it is a torch module as well
        return PlainFunction(function)
    return TorchFunction(function) if torch and isinstance(owner, torch.nn.Module) else PlainFunction(function)


@contextlib.contextmanager
def _in_eval_mode(modules: Sequence[Any]) -> Iterator[None]:
    """Set modules, and the modules in them, to eval mode, and back to what each was."""
    training = [one for module in modules for one in module.modules() if one.training]
    try:
        for module in modules:
            module.eval()
        yield
    finally:
        for one in training:
            one.training = True


def _padded(rows: np.ndarray) -> np.ndarray:
    """Repeat the last row until the number of rows is one of a few sizes."""
    size = next((size for size in _SIZES if len(rows) <= size), len(rows))
    return np.concatenate([rows, np.repeat(rows[-1:], size - len(rows), axis=0)])
