"""Plan a sweep: which runs are left, how many train at once, which of them as one program, and in which order."""

from __future__ import annotations

import dataclasses
import os
import pathlib
from collections.abc import Sequence

from tfcollapse.backend import backend
from tfcollapse.config.declaration import Run
from tfcollapse.records.run_directory import RunDirectory
from tfcollapse.studies.cost import flops_per_step

_NOMINAL_SHAPE = (32, 32, 3)
"""The image shape by which the lengths of runs are compared before their images are known."""


def unfinished(runs: Sequence[Run], out: pathlib.Path) -> list[Run]:
    """Return those of `runs` that have not ended in `out`. Raises RunError for a directory of another run."""
    return [run for run in runs if RunDirectory(out / run.run_id, run).result is None]


def auto_jobs(runs: Sequence[Run], cores: int) -> int:
    """Choose how many runs to train at once.

    As many as there are cores, where one core is enough for every run (`Architecture.one_core`); one otherwise. One too
    where there is a GPU, because the first process takes its whole memory.
    """
    if _gpu():
        return 1
    return max(1, min(cores, len(runs))) if one_core_is_enough(runs) else 1


def one_core_is_enough(runs: Sequence[Run]) -> bool:
    """Return whether one core is enough for each of the runs."""
    return all(run.network.spec.one_core(run.network) for run in runs)


def auto_together(runs: Sequence[Run]) -> int:
    """Choose how many seeds of a cell to train as one program.

    With JAX on a GPU it is all of them, because one run leaves most of a GPU idle. Elsewhere it is one: on two CPU
    cores, two seeds as one program take as long as one after the other (400 steps, L = 2: 4.7 s against 2 x 2.4 s, and
    L = 10: 17 s against 2 x 8.5 s).
    """
    return len(runs) if backend() == "jax" and _gpu() else 1


def seed_groups(runs: Sequence[Run], together: int) -> list[list[Run]]:
    """Group runs that differ in their seeds alone, at most `together` in a group. The order of `runs` is kept."""
    groups: list[list[Run]] = []
    open_groups: dict[Run, list[Run]] = {}
    for run in runs:
        cell = dataclasses.replace(run, seed=0)
        if len(open_groups.get(cell, range(together))) >= together:
            open_groups[cell] = []
            groups.append(open_groups[cell])
        open_groups[cell].append(run)
    return groups


def longest_last(runs: Sequence[Run]) -> list[Run]:
    """Sort runs by their FLOPs. The last one is to begin first, so that no core is idle at the end."""
    return sorted(runs, key=lambda run: run.training.steps * flops_per_step(run, _NOMINAL_SHAPE))


def _gpu() -> bool:
    """Return whether this machine has an NVIDIA GPU that processes may use."""
    return os.environ.get("CUDA_VISIBLE_DEVICES") != "" and any(pathlib.Path("/dev").glob("nvidia[0-9]*"))
