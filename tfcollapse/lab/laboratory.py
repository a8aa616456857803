"""List the lab's sections, and run each with a record of what made it."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tfcollapse.config.declaration import Data
from tfcollapse.data.dataset import load
from tfcollapse.errors import ConfigError
from tfcollapse.lab.affine import affine_section
from tfcollapse.lab.equations import equations_section
from tfcollapse.lab.prop1 import prop1_section
from tfcollapse.lab.prop2 import prop2_section
from tfcollapse.lab.prop4 import prop4_section, trained_models
from tfcollapse.lab.section import Section
from tfcollapse.records.provenance import environment


@dataclass(frozen=True)
class Options:
    """Hold the options of the sections.

    Attributes:
      data: the name of a dataset.
      data_dir: the directory of TFDS, or None.
      runs: a directory of run directories for Proposition 4, or None for short trainings.
      images: the number of images in each Hessian.
      table: the path of a sweep's table, or None.
      seed: the seed of all draws.
    """

    data: str
    data_dir: str | None = None
    runs: str | None = None
    images: int = 512
    table: str | None = None
    seed: int = 0


def section_names(wanted: str, table: str | None) -> list[str]:
    """Return the names of the sections that a command names.

    Args:
      wanted: the name of one section, or "all"; "all" includes "equations" where there is a table.
      table: the path of a sweep's table, or None.

    Raises:
      ConfigError: "equations" is wanted without a table.
    """
    if wanted == "equations" and table is None:
        raise ConfigError("equations: expected --table CSV, the table of a sweep, such as out/fig1_left.csv")
    if wanted != "all":
        return [wanted]
    return ["affine", "prop1", "prop2", "prop4", *(["equations"] if table else [])]


def check_options(names: Sequence[str], options: Options) -> None:
    """Check the options of the sections `names` before anything is computed or written.

    Args:
      names: the sections that will be run.
      options: the options.

    Raises:
      UserError: a number is too small, or the dataset, the run directories or the table cannot be used.
    """
    fewest = 30 if "prop4" in names else 1  # images of which a standard error is taken
    for option, value, least in (("images", options.images, fewest), ("seed", options.seed, 0)):
        if value < least:
            raise ConfigError(f"--{option}: expected >= {least}, received {value}")
    if set(names) & {"affine", "prop2", "prop4"}:
        load(Data(name=options.data), data_dir=options.data_dir)
    if "prop4" in names and options.runs is not None:
        trained_models(options.runs)
    if "equations" in names:
        equations_section(options.table)


def run_section(name: str, options: Options, command: str) -> dict[str, Any]:
    """Run one section, and return its findings and what made them, as JSON has them.

    Args:
      name: one of `section_names`.
      options: the options.
      command: the command line that is recorded.

    Returns:
      The fields of the `Section`, and under "made" the command, the versions, the machine and the time in seconds.
    """
    started, facts = time.monotonic(), environment(command=command)
    section = _section(name, options)
    provenance = {key: facts[key] for key in ("command", "numerics", "commit", "machine", "python")}
    of_table = section.settings.get("the table's version of the numbers")
    if of_table is not None:  # several versions, or none that is known, are none
        provenance["numerics"] = int(of_table) if of_table.isdecimal() else None
    provenance["versions"] = " ".join(f"{package} {version}" for package, version in facts["versions"].items())
    provenance["seconds"] = round(time.monotonic() - started, 1)
    return dataclasses.asdict(section) | {"made": provenance}


def _section(name: str, options: Options) -> Section:
    images = {"data": options.data, "data_dir": options.data_dir, "seed": options.seed}
    match name:
        case "affine":
            return affine_section(**images)
        case "prop1":
            return prop1_section(options.seed)
        case "prop2":
            return prop2_section(**images)
        case "prop4":
            return prop4_section(**images, runs=options.runs, images=options.images)
        case _:
            return equations_section(options.table)
