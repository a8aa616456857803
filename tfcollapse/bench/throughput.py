"""Measure runs that train at once against one run alone, on which `--jobs auto` rests."""

from __future__ import annotations

import csv
import os
import pathlib
import tempfile
from typing import Any

from tfcollapse.config.declaration import Run
from tfcollapse.config.overrides import replace
from tfcollapse.data.dataset import MINI
from tfcollapse.studies.schedule import auto_jobs
from tfcollapse.studies.sweep import sweep


def throughput(run: Run, step_ms: float, seconds: float) -> dict[str, Any]:
    """Measure the steps a second of all runs together: one process on every core, then one pinned process a core.

    Args:
      run: the declaration; it trains on the packaged images, and each process has another seed.
      step_ms: about how many milliseconds a step takes.
      seconds: about how long each process trains. Starting and compiling are not counted.

    Returns:
      The steps a second by number of processes, the ratio of both, and what `--jobs auto` chooses.
    """
    cores = len(os.sched_getaffinity(0))
    steps = max(4, round(1e3 * seconds / step_ms / run.training.log_every)) * run.training.log_every
    settings = {"data.name": MINI, "training.steps": steps}
    settings |= {f"training.{name}": steps for name in ("evaluate_every", "checkpoint_every")}
    rates = {}
    for jobs in (1, cores):
        runs = [replace(run, settings | {"seed": seed}) for seed in range(jobs)]
        with tempfile.TemporaryDirectory() as folder:
            rows = sweep(runs, folder, jobs=jobs, threads=cores // jobs)
            assert all(row["status"] == "finished" for row in rows), rows
            rates[jobs] = sum(_rate(pathlib.Path(folder, run.run_id, "metrics.csv")) for run in runs)
    return {
        "steps": steps,
        "steps_per_second": {str(jobs): rate for jobs, rate in rates.items()},
        "gain": rates[cores] / rates[1],
        "auto_jobs": auto_jobs(1 if run.network.spec.one_core(run.network) else cores, cores),
    }


def _rate(path: pathlib.Path) -> float:
    """Return the steps a second between the first row and the last of a metrics.csv."""
    with path.open(newline="") as file:
        first, *_, last = csv.DictReader(file)
    return (int(last["step"]) - int(first["step"])) / (float(last["seconds"]) - float(first["seconds"]))
