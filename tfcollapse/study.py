"""A study: the runs of each preset, and what is drawn and claimed from their table.

A declaration is a Python file under runs/ that assigns `STUDY`; its docstring gives the paper's figure, the
command, and what to expect.
"""

from __future__ import annotations

import importlib.util
import pathlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from tfcollapse.config import Objective, Run
from tfcollapse.errors import ConfigError, unknown
from tfcollapse.variants import grid, replace

Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Claim:
    """One statement of the paper held against a table.

    Attributes:
      text: what the paper says.
      verdict: "supported", "partly supported", "contradicted", or "not tested" with the reason in the evidence.
      evidence: the numbers.
    """

    text: str
    verdict: str
    evidence: str


@dataclass(frozen=True)
class Study:
    """What a declaration declares.

    Attributes:
      title: of the figure and the page.
      presets: the runs of each preset, seed 0.
      draw: table rows to a matplotlib Figure.
      claims: table rows to the paper's claims, judged.
    """

    title: str
    presets: Mapping[str, Sequence[Run]]
    draw: Callable[[Rows], Any]
    claims: Callable[[Rows], list[Claim]]

    def runs(self, preset: str, seeds: int = 1) -> list[Run]:
        """The preset's runs for seeds 0 to `seeds` - 1. Raises ConfigError."""
        if preset not in self.presets:
            raise ConfigError(unknown("preset", preset, self.presets))
        if seeds < 1:
            raise ConfigError(f"--seeds: expected >= 1, received {seeds}")
        return [replace(run, {"seed": seed}) for run in self.presets[preset] for seed in range(seeds)]


def depth_sweep(
    base: Run, depths: Sequence[int], gamma: Literal["learned", "optimal", "fixed"], warmup_steps: int
) -> list[Run]:
    """What Figures 1 (left, middle) and 3 compare: an AE, a VAE, and a VAE with KL warm-up, at every depth."""
    objectives = [
        Objective(kind="ae"),
        Objective(gamma=gamma),
        Objective(gamma=gamma, warmup="kl", warmup_steps=warmup_steps),
    ]
    return grid(base, {"network.depth": depths, "objective": objectives})


def study_names() -> list[str]:
    """The studies in ./runs and those installed with the package."""
    return sorted({path.stem for folder in _folders() for path in folder.glob("*.py") if _declares(path)})


def load_study(name: str) -> Study:
    """The study called `name`, or declared in the file of that path. Raises ConfigError."""
    path = pathlib.Path(name)
    if path.suffix != ".py":
        found = [folder / f"{name}.py" for folder in _folders() if (folder / f"{name}.py").is_file()]
        if not found:
            raise ConfigError(unknown("study", name, study_names()) + ", or the path of a .py file")
        path = found[0]
    elif not path.is_file():
        raise ConfigError(f"study file '{path}': no such file")
    spec = importlib.util.spec_from_file_location(f"study_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    study = getattr(module, "STUDY", None)
    if not isinstance(study, Study):
        raise ConfigError(f"study file '{path}': expected it to assign STUDY = Study(...), received {study!r}")
    return study


def _declares(path: pathlib.Path) -> bool:
    return re.search(r"^STUDY = ", path.read_text(), re.MULTILINE) is not None


def _folders() -> list[pathlib.Path]:
    installed = importlib.util.find_spec("tfcollapse.runs")
    folders = [pathlib.Path("runs")]
    if installed is not None and installed.submodule_search_locations:
        folders += [pathlib.Path(place) for place in installed.submodule_search_locations]
    return folders
