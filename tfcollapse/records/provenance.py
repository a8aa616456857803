"""Record what made a result: versions, commit, hardware and time."""

from __future__ import annotations

import contextlib
import datetime
import functools
import importlib.metadata
import os
import pathlib
import platform
import subprocess
from collections.abc import Sequence
from typing import Any

import tfcollapse
from tfcollapse.config.declaration import NUMERICS

_PACKAGES = ("tensorflow", "jax", "keras", "numpy", "scipy", "tensorflow-datasets")


def environment(packages: Sequence[str] = (), **more: Any) -> dict[str, Any]:
    """Return what a result must name: versions, commit, hardware and time.

    Args:
      packages: names of further installed packages whose versions are included.
      more: further entries, added as they are.

    Returns:
      A dict that JSON can hold: "tfcollapse" (the package's version), "numerics" (the version of the numbers),
      "commit", "python", "versions" (by package; a package that is not installed is left out), "machine" (the processor
      and its usable cores), "started" (UTC, ISO 8601 to the second), and `more`.
    """
    versions = {}
    for name in (*_PACKAGES, *packages):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    return {
        "tfcollapse": tfcollapse.__version__,
        "numerics": NUMERICS,
        "commit": commit(),
        "python": platform.python_version(),
        "versions": versions,
        "machine": f"{_processor()}, {len(os.sched_getaffinity(0))} of {os.cpu_count()} cores",
        "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        **more,
    }


@functools.cache  # a process runs the code of its start, also after a later commit
def commit() -> str:
    """Return the commit of the source tree as 12 hexadecimal digits.

    "-dirty" is appended where tracked files differ from the commit. The answer is "unknown" where git does not track
    the source.
    """
    source = pathlib.Path(__file__)
    git = ["git", "-C", str(source.parent)]
    tracked = [*git, "ls-files", "--error-unmatch", source.name]
    describe = [*git, "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        for command in (tracked, describe):
            answer = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return answer.stdout.strip()


def _processor() -> str:
    with contextlib.suppress(OSError), open("/proc/cpuinfo") as file:
        for line in file:
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
