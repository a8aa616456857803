"""What a run will cost, before anything is built: arithmetic in closed form, and seconds from the runs beside it."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence

import numpy as np

from tfcollapse.config.declaration import Network, Run
from tfcollapse.records.run_directory import RunDirectory

Shape = tuple[int, int, int]

_MATRIX = 1_536
# Of a matrix product's rate, measured on two CPU cores: dense L = 2 and 10; convolutions of 16 channels and more; of 8.
_FRACTION = {"dense": 0.45, "wide": 0.7, "narrow": 0.4}
_NARROW = 16


def flops_per_image(network: Network, image_shape: Shape, *, variational: bool) -> int:
    """Forward, encoder and decoder: two per multiplication of dense and convolutional kernels, and nothing else."""
    heads = 2 if variational else 1
    if network.architecture == "dense":
        pixels, between = int(np.prod(image_shape)), (network.depth - 1) * network.width**2
        if network.depth == 0:
            return 2 * (heads + 1) * pixels * network.latent_dim
        ends = 2 * pixels * network.width + (heads + 1) * network.width * network.latent_dim
        return 2 * (ends + 2 * between)
    side, channels, total = image_shape[0], image_shape[2], 0
    before = channels
    while side >= 4:  # from the image's side down to 4, the encoder; the decoder has the same scales
        width = 32 * network.base_channels // image_shape[0] * (image_shape[0] // side)
        residual = network.architecture == "residual"
        total += side**2 * _units(network, before, width, network.depth)
        total += (side // 2) ** 2 * 9 * 2 * width * width  # transposed: its kernel lies at every position it takes
        total += side**2 * _units(network, width, width, network.depth if residual else network.depth - 1)
        before, side = width, side // 2
    expand = network.latent_dim * 4 * 2 * before
    pixels = image_shape[0] ** 2 * 9 * (32 * network.base_channels // image_shape[0]) * channels
    return 2 * (total + heads * before * network.latent_dim + expand + pixels)


def _units(network: Network, before: int, width: int, count: int) -> int:
    """Multiplications at one position of `count` units, the first of which takes `before` channels."""
    if count == 0:
        return 0
    if network.architecture == "convolutional":
        return 9 * width * (before + (count - 1) * width)
    kernels = 9 * width * (before + (count * network.block_depth - 1) * width)
    projects = [before != width] + [False] * (count - 1)
    if network.shortcut == "projection":
        projects = [True] * count
    return kernels + sum(
        size * width for size, one in zip([before] + [width] * (count - 1), projects, strict=True) if one
    )


def seconds_left(
    runs: Sequence[Run], directories: Sequence[RunDirectory], shapes: Sequence[Shape | None]
) -> list[float | None]:
    """Training seconds that each run still needs on the whole of this machine, or beside others as measured.

    From the run's own speed where it has begun; else from the median speed, in FLOP/s, of runs of its architecture
    that have; else from a matrix product timed now. None where the images' shape is not known.
    """
    flops = [_flops(run, shape) if shape else None for run, shape in zip(runs, shapes, strict=True)]
    measured = [_measured(directory) for directory in directories]
    rates: dict[str, list[float]] = {}
    for run, count, (steps, seconds) in zip(runs, flops, measured, strict=True):
        if count and steps and seconds:
            rates.setdefault(run.network.architecture, []).append(count * steps / seconds)
    found: list[float | None] = []
    product = None
    for run, directory, count, (steps, seconds) in zip(runs, directories, flops, measured, strict=True):
        left = 0 if directory.result is not None else run.training.steps - steps
        if steps and seconds:
            found.append(left * seconds / steps)
        elif count is None:
            found.append(None)
        elif run.network.architecture in rates:
            found.append(left * count / statistics.median(rates[run.network.architecture]))
        else:
            product = product or _product()
            found.append(left * count / (product * _fraction(run.network)))
    return found


def _flops(run: Run, shape: Shape) -> float:
    """Of one training step: forward, and the gradients of kernels and of what they take."""
    return 3.0 * run.training.batch * flops_per_image(run.network, shape, variational=run.objective.kind == "vae")


def _fraction(network: Network) -> float:
    if network.architecture == "dense":
        return _FRACTION["dense"]
    return _FRACTION["narrow" if network.base_channels < _NARROW else "wide"]


def _measured(directory: RunDirectory) -> tuple[int, float]:
    """Steps done and the seconds they took; zeros before the first."""
    last = directory.last_metrics
    return (int(last["step"]), float(last["seconds"])) if last else (0, 0.0)


def _product() -> float:
    """FLOP/s of a matrix product."""
    factor = np.random.default_rng(0).random((_MATRIX, _MATRIX), dtype=np.float32)
    factor @ factor
    start = time.perf_counter()
    factor @ factor
    return 2 * _MATRIX**3 / (time.perf_counter() - start)
