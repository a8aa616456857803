"""Time the steps of every contender, in windows that take turns, so that a slow moment of the machine meets all."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tfcollapse.backend import backend
from tfcollapse.bench import contenders, rivals
from tfcollapse.config.declaration import Network, Run
from tfcollapse.config.objective import Objective
from tfcollapse.config.overrides import replace
from tfcollapse.data.dataset import MINI, load
from tfcollapse.errors import ConfigError, unknown
from tfcollapse.models.description import describe
from tfcollapse.reports.bench_page import NAMES

Facts = dict[str, Any]

_IMAGES = 1_024
"""The number of random images that networks other than dense ones train on."""
_SIDE = {"tensorflow": 2_048, "jax": 4_096}
"""The side of the matrices in the matrix product, by backend."""

_NETWORKS = {
    "dense-1": Network(depth=1),
    "dense-2": Network(depth=2),
    "dense-10": Network(depth=10),
    "convolutional-1": Network(architecture="convolutional", depth=1),
    "convolutional-3": Network(architecture="convolutional", depth=3),
}
CASES: Mapping[str, Run] = {
    f"{name}-{kind}": Run(network=network, objective=Objective(kind=kind))
    for name, network in _NETWORKS.items()
    for kind in ("ae", "vae")
}
"""The networks of Appendix A whose speed tfcollapse/bench/README.md states."""


def chosen_cases(names: str) -> dict[str, Run]:
    """Return the CASES that comma-separated names choose: "all", cases, or how some begin. Raises ConfigError."""
    cases: dict[str, Run] = {}
    for name in names.split(","):
        matching = {case: run for case, run in CASES.items() if name == "all" or f"{case}-".startswith(f"{name}-")}
        if not matching:
            raise ConfigError(unknown("--cases", name, ["all", *CASES]))
        cases |= matching
    return cases


def measure(run: Run, windows: int, seconds: float) -> Facts:
    """Time a step of `run` by every contender that is installed.

    Dense networks train on the packaged images. Others train on random images of 32x32x3, or of the size and channels
    that `run.data` declares.

    Args:
      run: the declaration.
      windows: the number of windows of each contender, after a first call that compiles and a second that warms up.
      seconds: about how long a window lasts.

    Returns:
      The milliseconds a step of each contender (median, least and most over the windows, and every window), the seconds
      of the first call, the FLOPs a step, and fractions and speedups. The latter are spreads over the windows of the
      ratio within a window.
    """
    images = _images(run)
    if not run.network.spec.fully_connected:  # a few of their steps last as long as a hundred dense ones
        run = replace(run, {"training.log_every": 2, "training.evaluate_every": 2, "training.checkpoint_every": 2})
    timed = _contenders(run, images)
    first = {name: _seconds(call, 1) for name, call in timed.items()}
    sizes = {name: _window(call, seconds) for name, call in timed.items()}
    step_ms: dict[str, list[float]] = {name: [] for name in timed}
    for _ in range(windows):
        for name, call in timed.items():
            step_ms[name].append(1e3 * _seconds(call, sizes[name]) / sizes[name])
    flops = describe(run, images.shape[1:])["flops_per_step"]
    side = _SIDE[backend()]
    peak = [2 * side**3 / ms / 1e6 for ms in step_ms.pop("sgemm")]
    ours = step_ms["tfcollapse"]
    achieved = {
        name: [flops / ms / 1e6 for ms in step_ms[name]] for name in ("tfcollapse", "products") if name in step_ms
    }
    others = [name for name in NAMES if name in step_ms]
    return {
        "network": f"{run.network.title}, {run.objective.label}",
        "batch": run.training.batch,
        "backend": backend(),
        "flops_per_step": flops,
        "step_ms": {name: spread(values) for name, values in step_ms.items()},
        "windows_ms": step_ms | {"sgemm_gflops": peak},
        "steps_per_window": sizes,
        "first_call_seconds": first,
        "sgemm_gflops": spread(peak),
        "fraction_of_sgemm": {name: spread(_ratios(values, peak)) for name, values in achieved.items()},
        "speedup_over": {name: spread(_ratios(step_ms[name], ours)) for name in others},
    }


def device() -> str:
    """Return the name that the backend gives to the device that computes."""
    if backend() == "jax":
        import jax

        return jax.devices()[0].device_kind
    from tfcollapse.training.tensorflow_engine import device

    return device()


def spread(values: Sequence[float]) -> dict[str, float]:
    """Return median, least and most of `values`."""
    return {"median": statistics.median(values), "least": min(values), "most": max(values)}


def _contenders(run: Run, images: np.ndarray) -> dict[str, contenders.Contender]:
    timed = {"tfcollapse": contenders.ours(run, images)}
    if backend() == "tensorflow":
        timed["keras_fit"] = contenders.keras_fit(run, images)
        timed |= rivals.start_all(run, images)
    if run.network.spec.fully_connected:
        timed["products"] = contenders.products(run, images.shape[1:])
        timed["updates"] = contenders.updates(run, images.shape[1:])
        timed["drawing"] = contenders.drawing(run, images)
    return timed | {"sgemm": contenders.sgemm(_SIDE[backend()])}


def _images(run: Run) -> np.ndarray:
    if run.network.spec.fully_connected:
        return load(replace(run, {"data.name": MINI}).data).train
    height, width = run.data.resize or (32, 32)
    shape = (_IMAGES, height, width, run.data.channels or 3)
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def _window(call: contenders.Contender, seconds: float) -> int:
    """Return how many steps last about `seconds`, by calls that are not counted."""
    steps, took = 1, _seconds(call, 1)
    while took < seconds / 4:
        steps = max(steps + 1, min(10 * steps, int(steps * seconds / max(took, 1e-6))))
        took = _seconds(call, steps)
    return max(1, round(steps * seconds / took))


def _ratios(over: Sequence[float], under: Sequence[float]) -> list[float]:
    return [a / b for a, b in zip(over, under, strict=True)]


def _seconds(call: contenders.Contender, steps: int) -> float:
    start = time.perf_counter()
    call(steps)
    return time.perf_counter() - start
