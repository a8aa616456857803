"""How fast a training step is, against Keras' own `fit` and a matrix product of the same process."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfcollapse.config import Run
from tfcollapse.data import MINI, load
from tfcollapse.describe import describe
from tfcollapse.record import environment
from tfcollapse.training.adam import adam
from tfcollapse.training.ingredients import build, chunk
from tfcollapse.training.tensorflow_engine import TensorFlowEngine, use_xla
from tfcollapse.variants import replace

_WINDOWS = 5
_IMAGES = 1_024
_MATRIX, _PRODUCTS = 2_048, 16


def bench(run: Run, steps: int) -> dict[str, Any]:
    """Time `run`'s step in _WINDOWS interleaved windows: ours, a Keras `fit` of the same model, sgemm.

    Dense networks take the packaged images, others random ones of 32x32x3, or of `run.data`'s size and channels.
    Milliseconds are per step, medians over windows, with the least and the most beside them.
    """
    images = _images(run)
    shape = images.shape[1:]
    timed: dict[str, tuple[Callable[[], None], int]] = {
        "tfcollapse": (_ours(run, images, steps), steps),
        "keras_fit": (_keras_fit(run, images, steps), steps),
        "sgemm": (_sgemm, _PRODUCTS),
    }
    compile_seconds = {name: _seconds(call) for name, (call, _) in timed.items()}
    windows: dict[str, list[float]] = {name: [] for name in timed}
    for _ in range(_WINDOWS):
        for name, (call, count) in timed.items():
            windows[name].append(_seconds(call) / count)
    middle = {name: statistics.median(values) for name, values in windows.items()}
    flops = describe(run, shape)["flops_per_step"]
    rate = 2 * _MATRIX**3 / middle["sgemm"]
    return {
        "network": f"{run.network.architecture}, depth {run.network.depth}, {run.objective.label}",
        "batch": run.training.batch,
        "step_ms": {name: _spread(windows[name]) for name in ("tfcollapse", "keras_fit")},
        "first_call_seconds": {name: compile_seconds[name] for name in ("tfcollapse", "keras_fit")},
        "speedup_over_keras_fit": middle["keras_fit"] / middle["tfcollapse"],
        "sgemm_gflops": rate / 1e9,
        "fraction_of_sgemm": flops / middle["tfcollapse"] / rate,
        "flops_per_step": flops,
        "environment": environment(),
    }


def lines(facts: dict[str, Any]) -> list[str]:
    """`bench`'s facts as text."""
    ours, theirs = (facts["step_ms"][name] for name in ("tfcollapse", "keras_fit"))
    return [
        f"{facts['network']}, batch {facts['batch']}, {facts['environment']['machine']}",
        f"tfcollapse   {ours['median']:7.2f} ms a step ({ours['least']:.2f} to {ours['most']:.2f})",
        f"Keras fit    {theirs['median']:7.2f} ms a step ({theirs['least']:.2f} to {theirs['most']:.2f})",
        f"{facts['speedup_over_keras_fit']:.2f} times the steps per second of Keras' fit",
        f"{facts['fraction_of_sgemm']:.2f} of the {facts['sgemm_gflops']:.0f} GFLOP/s of sgemm in this process",
    ]


def _images(run: Run) -> np.ndarray:
    if run.network.architecture == "dense":
        return load(replace(run, {"data.name": MINI}).data).train
    height, width = run.data.resize or (32, 32)
    shape = (_IMAGES, height, width, run.data.channels or 3)
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def _ours(run: Run, images: np.ndarray, steps: int) -> Callable[[], None]:
    training = run.training
    engine = TensorFlowEngine(build(run, images.shape[1:]), training, jit=use_xla(training, run.network))

    def call() -> None:
        done = 0
        while done < steps:
            count = min(training.log_every, steps - done)
            engine.advance(*chunk(run, images, engine.step, count))
            done += count

    return call


def _keras_fit(run: Run, images: np.ndarray, steps: int) -> Callable[[], None]:
    model = build(run, images.shape[1:])
    model.compile(optimizer=adam(run.training))
    count = steps * run.training.batch
    pixels = np.resize(images, (count, *images.shape[1:])).astype(np.float32) / 255.0
    return lambda: model.fit(pixels, batch_size=run.training.batch, epochs=1, verbose=0) and None


@tf.function
def _product(left: tf.Tensor, right: tf.Tensor) -> tf.Tensor:
    return tf.matmul(left, right)


def _sgemm() -> None:
    factor = keras.random.normal((_MATRIX, _MATRIX), seed=0)  # constants would run faster than real numbers do
    for _ in range(_PRODUCTS):
        _product(factor, factor).numpy()


def _seconds(call: Callable[[], None]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def _spread(values: list[float]) -> dict[str, float]:
    return {"median": 1e3 * statistics.median(values), "least": 1e3 * min(values), "most": 1e3 * max(values)}
