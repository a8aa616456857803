"""Choose the devices that share a run: from their names to a tf.distribute strategy, on one machine or several."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import re
from typing import Any

from tfcollapse.backend import backend, import_tensorflow, start
from tfcollapse.errors import ConfigError
from tfcollapse.training.preemption import signals_end_at_once

NAMES = ("auto", "one", "mirrored", "multiworker")


class JaxDevice:
    """Stand for JAX's first device where the trainer expects a strategy."""

    num_replicas_in_sync = 1
    scope = staticmethod(contextlib.nullcontext)


def make(name: str = "auto", devices: str | int | None = None) -> Any:
    """Make the strategy called `name`, and start TensorFlow with it where it has not been started.

    Args:
      name: "auto" is "multiworker" where TF_CONFIG names several workers, else "mirrored" over all GPUs of the machine
        where there are several, else "one".
      devices: a number, or names such as "GPU:0,GPU:1" ("CPU:0,CPU:1" share the machine's cores: to try it).

    Returns:
      A `tf.distribute.Strategy`; for one device that is not named, TensorFlow's default one. Under JAX a `JaxDevice`.

    Raises:
      ConfigError: there is no such strategy or device, TF_CONFIG is not valid, TensorFlow was started before without
        what this needs, or JAX is asked for what only TensorFlow can do.
    """
    if name not in NAMES:
        raise ConfigError(f"--strategy: expected one of {', '.join(NAMES)}, received '{name}'")
    if backend() == "jax":
        if name not in ("auto", "one") or devices is not None or workers() is not None:
            raise ConfigError(
                "--strategy, --devices, TF_CONFIG: several devices for one run need TensorFlow, received "
                "KERAS_BACKEND=jax: leave them out, or unset KERAS_BACKEND"
            )
        start()
        return JaxDevice()
    return _strategy(name, _parsed(devices), os.environ.get("TF_CONFIG", ""))


def workers(text: str | None = None) -> tuple[int, int] | None:
    """Return (the number of this worker, how many there are), or None where TF_CONFIG names fewer than two workers.

    Args:
      text: the value of TF_CONFIG; None reads it from the environment.

    Raises:
      ConfigError: the text is not what TensorFlow takes.
    """
    text = os.environ.get("TF_CONFIG", "") if text is None else text
    if not text.strip():
        return None
    example = '{"cluster": {"worker": ["host0:2222", "host1:2222"]}, "task": {"type": "worker", "index": 0}}'
    try:
        config = json.loads(text)
        cluster, task = config.get("cluster", {}), config.get("task", {})
        order = [(kind, index) for kind in ("chief", "worker") for index in range(len(cluster.get(kind, [])))]
        if len(order) < 2:
            return None
        addresses = [address for kind in ("chief", "worker") for address in cluster.get(kind, [])]
        if not all(re.fullmatch(r"\S+:\d+", address) for address in addresses):
            raise ValueError("an address is not HOST:PORT")
        return order.index((task["type"], int(task["index"]))), len(order)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ConfigError(f"TF_CONFIG: expected such as {example}, received '{text[:200]}' ({error})") from None


def workers_of(strategy: Any) -> tuple[int, int] | None:
    """Return `workers()` where the strategy spans them, else None."""
    if isinstance(strategy, JaxDevice):
        return None
    import tensorflow as tf

    return workers() if isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy) else None


def _parsed(devices: str | int | None) -> tuple[str, ...] | int | None:
    if devices is None:
        return None
    devices = str(devices)
    if re.fullmatch("[1-9][0-9]{0,5}", devices):
        return int(devices)
    names = tuple(name.strip().upper() for name in devices.split(","))
    if not all(re.fullmatch(r"(CPU|GPU):\d{1,3}", name) for name in names) or len(set(names)) < len(names):
        raise ConfigError(
            f"--devices: expected a number from 1 to 999999, or names such as GPU:0,GPU:1, received '{devices}'"
        )
    return names


@functools.cache  # a process starts TensorFlow once, and trains many runs on the same devices
def _strategy(name: str, devices: tuple[str, ...] | int | None, tf_config: str) -> Any:
    here = workers(tf_config)
    if name == "multiworker" and here is None:
        raise ConfigError("--strategy multiworker: expected TF_CONFIG to name two workers or more, received none")
    if name == "multiworker" or name == "auto" and here is not None:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # C++ would print twelve lines about a lost worker
        return import_tensorflow(functools.partial(_multiworker, devices))
    import_tensorflow(functools.partial(_split_cpu, devices))
    import tensorflow as tf

    names = _chosen_devices(devices, name)
    if len(names) > 1:
        return tf.distribute.MirroredStrategy(names)
    # A one-device MirroredStrategy would forbid the compiled loop.
    return tf.distribute.OneDeviceStrategy(names[0]) if names else tf.distribute.get_strategy()


def _chosen_devices(devices: tuple[str, ...] | int | None, name: str) -> list[str]:
    """Return the names of this machine's devices that are asked for. An empty list leaves the choice to TensorFlow."""
    import tensorflow as tf

    gpus, cpus = ([d.name.removeprefix("/device:") for d in tf.config.list_logical_devices(k)] for k in ("GPU", "CPU"))
    if devices is None:
        return gpus if name in ("auto", "mirrored") and len(gpus) > 1 else []
    wanted = (gpus or cpus)[:devices] if isinstance(devices, int) else list(devices)
    count = devices if isinstance(devices, int) else len(devices)
    if len(wanted) < count or set(wanted) - {*gpus, *cpus}:
        raise ConfigError(f"--devices: expected among {', '.join([*gpus, *cpus])}, received {_text(devices)}")
    if name == "one" and count > 1:
        raise ConfigError(f"--strategy one: expected one device, received {_text(devices)}")
    return wanted


def _text(devices: tuple[str, ...] | int) -> str:
    return str(devices) if isinstance(devices, int) else ",".join(devices)


def _split_cpu(devices: tuple[str, ...] | int | None) -> None:
    """Have TensorFlow see the CPU as several devices, where several are asked for.

    Raises:
      ConfigError: TensorFlow has run its first operation already.
    """
    import tensorflow as tf

    if isinstance(devices, int):
        count = 1 if tf.config.list_physical_devices("GPU") else devices
    else:
        count = 1 + max([int(name[4:]) for name in devices or () if name.startswith("CPU")], default=0)
    (cpu,) = tf.config.list_physical_devices("CPU")
    if count <= len(tf.config.get_logical_device_configuration(cpu) or [None]):
        return
    try:
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * count)
    except RuntimeError:
        raise ConfigError(
            f"--devices: expected one CPU, with which TensorFlow has started, received {_text(devices or 1)}: ask for "
            "several before TensorFlow's first operation"
        ) from None


def _multiworker(devices: tuple[str, ...] | int | None) -> Any:
    import tensorflow as tf

    if devices is not None:
        raise ConfigError("--devices: every worker takes all its GPUs, or its CPU; set CUDA_VISIBLE_DEVICES instead")
    try:
        with signals_end_at_once():  # it waits for the other workers, which may never come
            return tf.distribute.MultiWorkerMirroredStrategy()
    except RuntimeError as error:
        raise ConfigError(f"--strategy multiworker: make it before TensorFlow's first operation ({error})") from None
    except tf.errors.OpError as error:
        reason = (error.message or type(error).__name__).splitlines()[0][:200]
        raise ConfigError(
            f"--strategy multiworker: the workers of TF_CONFIG did not find each other ({reason}): start the same "
            "command on each of them"
        ) from None
