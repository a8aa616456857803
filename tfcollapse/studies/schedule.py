"""Plan a sweep: which runs are left, how many train at once, which of them as one program, and in which order."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Sequence

from tfcollapse.backend import backend, gpu_present
from tfcollapse.config.declaration import Run
from tfcollapse.errors import RunError
from tfcollapse.records.run_directory import RunDirectory
from tfcollapse.studies.cost import flops_per_step
from tfcollapse.training.threads import threads_of

_NOMINAL_SHAPE = (32, 32, 3)
"""The image shape by which the lengths of runs are compared before their images are known."""


def unfinished(runs: Sequence[Run], out: pathlib.Path) -> list[Run]:
    """Return those of `runs` that have not ended in `out`, or whose record cannot be read: their workers say why."""
    return [run for run in runs if not _ended(RunDirectory(out / run.run_id, run))]


def _ended(directory: RunDirectory) -> bool:
    try:
        return directory.result is not None
    except RunError:
        return False


def by_threads(
    runs: Sequence[Run], out: pathlib.Path, available: int, *, one_device: bool
) -> list[tuple[int, list[Run]]]:
    """Group runs by the number of threads on which each computes, the largest number first.

    Args:
      runs: the runs, whose order is kept in each group.
      out: the directory of run directories.
      available, one_device: as `threads_of` takes them.
    """
    groups: dict[int, list[Run]] = {}
    for run in runs:
        directory = RunDirectory(out / run.run_id, run)
        try:
            threads = threads_of(directory, available, one_device=one_device)
        except RunError:  # its worker will say what is wrong with its record
            threads = available
        groups.setdefault(threads, []).append(run)
    return sorted(groups.items(), reverse=True)


def auto_jobs(threads: int, cores: int) -> int:
    """Choose how many runs of so many threads to train at once: as many as the cores have threads for.

    It is one where there is a GPU, because the first process takes its whole memory.
    """
    return 1 if gpu_present() else max(1, cores // threads)


def auto_together(runs: Sequence[Run]) -> int:
    """Choose how many seeds of a cell to train as one program.

    With JAX on a GPU it is all of them, because one run leaves most of a GPU idle. Elsewhere it is one: on two CPU
    cores, two seeds as one program take as long as one after the other (400 steps, L = 2: 4.7 s against 2 x 2.4 s, and
    L = 10: 17 s against 2 x 8.5 s).
    """
    return len(runs) if backend() == "jax" and gpu_present() else 1


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
