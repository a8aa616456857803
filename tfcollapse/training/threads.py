"""Decide on how many threads a run computes. The order of float sums, and so the last bits, depend on their number."""

from __future__ import annotations

import re
from typing import Any

from tfcollapse.backend import gpu_present
from tfcollapse.records.run_directory import Row, RunDirectory

_MOST = 4_096
"""The largest number of threads that a record may ask for."""


def threads_of(directory: RunDirectory, available: int, *, one_device: bool = True) -> int:
    """Return on how many threads a run computes.

    A run that has begun goes on with the number of its first session, on any machine: its numbers are then the same,
    bit for bit, however often it stops. A new run takes one thread where one core is enough for its network
    (`Architecture.one_core`), else what is available. What other runs do does not count.

    Args:
      directory: the run's directory, which need not exist.
      available: the number of cores that a run may have.
      one_device: whether one device trains the run. Several, and a GPU's host, take what is available.

    Raises:
      RunError: environment.json cannot be read.
    """
    recorded = recorded_threads(directory.sessions)
    if recorded is not None:
        return recorded
    network = directory.run.network
    return 1 if one_device and not gpu_present() and network.spec.one_core(network) else available


def recorded_threads(sessions: list[Row]) -> int | None:
    """Return the number of threads of the first session; None where there is none, or where its record does not say.

    Args:
      sessions: as `RunDirectory.sessions` returns them.
    """
    first: Any = sessions[0] if sessions else {}
    threads = first.get("threads", _usable_cores(first.get("machine")))
    return threads if isinstance(threads, int) and 1 <= threads <= _MOST else None


def _usable_cores(machine: object) -> int | None:
    """Read the number of cores from a record of before threads were recorded: a process had a thread on each."""
    found = re.search(r", (\d{1,4}) of \d+ cores$", machine) if isinstance(machine, str) else None
    return int(found.group(1)) if found else None
