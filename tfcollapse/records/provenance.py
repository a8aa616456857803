"""Say what made a result: versions, commit, hardware, time."""

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
    """Versions, of the numbers and of `packages` too, commit, hardware and time: what a result must name."""
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


@functools.cache  # the code is that of the process' start, whatever is committed meanwhile
def commit() -> str:
    """The commit of the source tree, with "-dirty" where tracked files differ; "unknown" where git tracks no source."""
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
