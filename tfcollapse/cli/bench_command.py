"""`tfcollapse bench`."""

from __future__ import annotations

import argparse
import json
import pathlib

from tfcollapse import backend
from tfcollapse.config.overrides import configured
from tfcollapse.errors import ConfigError
from tfcollapse.records.run_directory import check_writable, environment


def bench(parsed: argparse.Namespace) -> int:
    """Time the cases that are asked for, or the one that the settings make; write a page where `--out` says."""
    if parsed.windows < 1 or parsed.seconds <= 0:
        raise ConfigError(f"--windows, --seconds: expected > 0, received {parsed.windows}, {parsed.seconds}")
    if parsed.settings and parsed.cases:
        raise ConfigError("--cases, --set: expected one of them: settings make a case of their own")
    own = configured(None, parsed.settings) if parsed.settings else None
    backend.start()
    from tfcollapse.bench import steps, throughput
    from tfcollapse.reports import bench_page as page

    cases = {"as set": own} if own else steps.chosen(parsed.cases or "all")
    if parsed.out:
        check_writable(pathlib.Path(parsed.out))
    name = backend.backend()
    line = parsed.command_line if name == "tensorflow" else f"KERAS_BACKEND={name} {parsed.command_line}"
    made = environment(["torch", "pythae"] if name == "tensorflow" else [])  # now: the code is that of the start
    found = {"backend": name, "command": line, "windows": parsed.windows, "environment": made, "cases": {}}
    for case, run in cases.items():
        found["cases"][case] = steps.measure(run, parsed.windows, parsed.seconds)
        if not parsed.json:
            print("\n".join(page.lines(case, found["cases"][case])), flush=True)
    found["device"] = steps.device()
    if parsed.throughput:
        found["throughput"] = {
            name: throughput.throughput(run, found["cases"][name]["step_ms"]["tfcollapse"]["median"], parsed.throughput)
            for name, run in cases.items()
            if run.network.architecture == "dense"
        }
    if parsed.json:
        print(json.dumps(found, indent=1))
    if parsed.out:
        paths = page.write(pathlib.Path(parsed.out), found)
        if not parsed.json:
            print("wrote", ", ".join(map(str, paths)))
    return 0
