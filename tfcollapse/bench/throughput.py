"""Runs at once against one after another: what `--jobs auto` rests on."""

from __future__ import annotations

import csv
import os
import pathlib
import tempfile
from typing import Any

from tfcollapse.config.declaration import Run
from tfcollapse.config.overrides import replace
from tfcollapse.data.dataset import MINI
from tfcollapse.studies.sweep import auto_jobs, sweep


def throughput(run: Run, step_ms: float, seconds: float) -> dict[str, Any]:
    """Steps a second of all runs together: one process on every core, then one pinned process a core.

    Args:
      run: on the packaged images; each process trains another seed of it.
      step_ms: about what a step takes.
      seconds: about how long each process trains; starting and compiling are not counted.

    Returns:
      Steps a second by number of processes, the ratio of both, and what `--jobs auto` chooses.
    """
    cores = len(os.sched_getaffinity(0))
    steps = max(4, round(1e3 * seconds / step_ms / run.training.log_every)) * run.training.log_every
    settings = {"data.name": MINI, "training.steps": steps}
    settings |= {f"training.{name}": steps for name in ("evaluate_every", "checkpoint_every")}
    rates = {}
    for jobs in (1, cores):
        runs = [replace(run, settings | {"seed": seed}) for seed in range(jobs)]
        with tempfile.TemporaryDirectory() as folder:
            rows = sweep(runs, folder, jobs=jobs)
            assert all(row["status"] == "finished" for row in rows), rows
            rates[jobs] = sum(_rate(pathlib.Path(folder, each.run_id, "metrics.csv")) for each in runs)
    return {
        "steps": steps,
        "steps_per_second": {str(jobs): rate for jobs, rate in rates.items()},
        "gain": rates[cores] / rates[1],
        "auto_jobs": auto_jobs([run] * cores, cores),
    }


def _rate(path: pathlib.Path) -> float:
    """Steps a second between the first row and the last."""
    with path.open(newline="") as file:
        first, *_, last = csv.DictReader(file)
    return (int(last["step"]) - int(first["step"])) / (float(last["seconds"]) - float(first["seconds"]))
