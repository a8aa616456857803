"""The cost of a run before anything is built: FLOPs in closed form, and seconds from the speed of other runs."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence

import numpy as np

from tfcollapse.config.architectures.architecture import Shape
from tfcollapse.config.declaration import Run
from tfcollapse.errors import RunError
from tfcollapse.records.run_directory import RunDirectory

_MATRIX = 1_536
"""Rows and columns of the factors of the matrix product that is timed."""


def seconds_left(
    runs: Sequence[Run], directories: Sequence[RunDirectory], shapes: Sequence[Shape | None]
) -> list[float | None]:
    """Estimate the training seconds that each run still needs: on the whole machine, or beside others as measured.

    From the run's own speed where it has begun; else from the median speed, in FLOP/s, of runs of its architecture
    that have; else from a matrix product timed now. None where the images' shape is not known.
    """
    flops = [flops_per_step(run, shape) if shape else None for run, shape in zip(runs, shapes, strict=True)]
    measured = [_measured(directory) for directory in directories]
    rates: dict[str, list[float]] = {}
    for run, count, (steps, seconds) in zip(runs, flops, measured, strict=True):
        if count and steps and seconds:
            rates.setdefault(run.network.architecture, []).append(count * steps / seconds)
    estimates: list[float | None] = []
    product = None
    for run, directory, count, (steps, seconds) in zip(runs, directories, flops, measured, strict=True):
        left = 0 if directory.state is not None else run.training.steps - steps
        if steps and seconds:
            estimates.append(left * seconds / steps)
        elif count is None:
            estimates.append(None)
        elif run.network.architecture in rates:
            estimates.append(left * count / statistics.median(rates[run.network.architecture]))
        else:
            product = product or _product()
            estimates.append(left * count / (product * run.network.spec.matrix_rate(run.network)))
    return estimates


def flops_per_step(run: Run, shape: Shape) -> float:
    """Return the FLOPs of one training step: forward, and the gradients of kernels and of what they take."""
    return 3.0 * run.training.batch * run.flops_per_image(shape)


def _measured(directory: RunDirectory) -> tuple[int, float]:
    """Return the steps done and the seconds they took; zeros before the first, and for a damaged record."""
    try:
        last = directory.last_metrics
    except RunError:
        return 0, 0.0
    return (int(last["step"]), float(last["seconds"])) if last else (0, 0.0)


def _product() -> float:
    """Time a matrix product, and return its FLOP/s."""
    factor = np.random.default_rng(0).random((_MATRIX, _MATRIX), dtype=np.float32)
    factor @ factor
    start = time.perf_counter()
    factor @ factor
    return 2 * _MATRIX**3 / (time.perf_counter() - start)
