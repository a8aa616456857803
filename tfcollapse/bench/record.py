"""Time cases one after another, and record the measurements with their provenance."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tfcollapse.backend import backend
from tfcollapse.bench import steps, throughput
from tfcollapse.config.declaration import Run
from tfcollapse.records.provenance import environment

Facts = dict[str, Any]


_CONTENDERS = {"tensorflow": 8, "jax": 5}
"""The contenders of a dense network, by backend; a convolutional one has fewer, of longer steps."""
_FIRST_CALLS = 2
"""The number of windows that the first calls of a contender last as long as."""


def expected_seconds(cases: Mapping[str, Run], windows: int, seconds: float, throughput_seconds: float | None) -> float:
    """Estimate how long `bench_record` takes. The arguments are its own."""
    total = len(cases) * _CONTENDERS[backend()] * (windows + _FIRST_CALLS) * seconds
    side_by_side = sum(run.network.spec.one_core(run.network) for run in cases.values())
    return total + 2 * side_by_side * (throughput_seconds or 0.0)


def bench_record(
    cases: Mapping[str, Run],
    windows: int,
    seconds: float,
    throughput_seconds: float | None,
    command: str,
    say: Callable[[str, Facts], None],
) -> Facts:
    """Time every case, and return the record that `reports.bench_page` writes.

    Args:
      cases: a run each, by name.
      windows, seconds: timed windows of a case, and the length of each.
      throughput_seconds: time the cases that one core is enough for as processes at once too, so long each; None leaves
        that out.
      command: the command line.
      say: called with the name and the measurements of each case when it has been timed.
    """
    name = backend()
    line = command if name == "tensorflow" else f"KERAS_BACKEND={name} {command}"
    provenance = environment(
        ["torch", "pythae"] if name == "tensorflow" else []
    )  # taken now, since the code is that of the start
    record: Facts = {"backend": name, "command": line, "windows": windows, "environment": provenance, "cases": {}}
    for case, run in cases.items():
        record["cases"][case] = steps.measure(run, windows, seconds)
        say(case, record["cases"][case])
    record["device"] = steps.device()
    if throughput_seconds:
        record["throughput"] = {
            case: throughput.throughput(
                run, record["cases"][case]["step_ms"]["tfcollapse"]["median"], throughput_seconds
            )
            for case, run in cases.items()
            if run.network.spec.one_core(run.network)
        }
    return record
