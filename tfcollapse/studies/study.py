"""Declare and load studies: the runs of each preset, and what is drawn and claimed from their table.

A declaration is a Python file under runs/ that assigns `STUDY`. Its docstring gives the paper's figure, the command,
and what to expect.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import pathlib
import re
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from tfcollapse.claims.claim import Claim
from tfcollapse.claims.judging import of_trained
from tfcollapse.config.declaration import Objective, Run
from tfcollapse.config.overrides import grid, replace
from tfcollapse.errors import ConfigError, unknown
from tfcollapse.records.columns import COLUMNS, OF_A_VAE
from tfcollapse.records.trained import marked

Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Study:
    """Hold what a declaration declares.

    Attributes:
      title: the title of the figure and the page.
      presets: the runs of each preset, with seed 0.
      draw: a function from table rows to a matplotlib Figure.
      claims: a function from table rows to the paper's claims, judged.
      tells_apart: the columns of declared fields that `draw` and `claims` tell apart. Runs that differ in another
        column are no seeds of one cell. They are drawn and judged apart (`parts`).
    """

    title: str
    presets: Mapping[str, Sequence[Run]]
    draw: Callable[[Rows], Any]
    claims: Callable[[Rows], list[Claim]]
    tells_apart: Sequence[str] = ("objective", "warmup", "depth")

    def __post_init__(self) -> None:
        """Check that the columns exist. Raises ConfigError."""
        for column in [self.tells_apart] if isinstance(self.tells_apart, str) else self.tells_apart:
            if column not in COLUMNS.values() or isinstance(self.tells_apart, str):
                raise ConfigError(unknown("column in a tuple Study.tells_apart", self.tells_apart, COLUMNS.values()))

    def runs(self, preset: str, seeds: int = 1) -> list[Run]:
        """Return the runs of a preset for seeds 0 to `seeds` - 1. Raises ConfigError."""
        if preset not in self.presets:
            raise ConfigError(unknown("preset", preset, self.presets))
        if seeds < 1:
            raise ConfigError(f"--seeds: expected >= 1, received {seeds}")
        return [replace(run, {"seed": seed}) for run in self.presets[preset] for seed in range(seeds)]

    def parts(self, rows: Rows) -> dict[str, list[Mapping[str, Any]]]:
        """Group the rows that may share a figure and a claim.

        An AE has no field of a VAE. It therefore belongs to every group whose other fields it shares.

        Returns:
          The rows of each group, by a text that says what sets the group apart. A single group has the text "".
        """
        rows = marked(rows)
        columns = [column for column in COLUMNS.values() if column not in (*self.tells_apart, "seed")]
        varied = [column for column in columns if len({_value(row, column) for row in rows} - _no_value(column)) > 1]
        keys = dict.fromkeys(tuple(_value(row, column) for column in varied) for row in rows)
        whole = [key for key in keys if not any(_within(key, other, varied) for other in keys if other != key)]
        return {
            ", ".join(f"{column} {value}" for column, value in zip(varied, key, strict=True)): [
                row for row in rows if _within([_value(row, column) for column in varied], key, varied)
            ]
            for key in whole
        }


def depth_sweep(
    base: Run, depths: Sequence[int], gamma: Literal["learned", "optimal", "fixed"], warmup_steps: int
) -> list[Run]:
    """Return the runs of Figures 1 (left, middle) and 3: an AE, a VAE, and a VAE with KL warm-up, at every depth."""
    objectives = [
        Objective(kind="ae"),
        Objective(gamma=gamma),
        Objective(gamma=gamma, warmup="kl", warmup_steps=warmup_steps),
    ]
    return grid(base, {"network.depth": depths, "objective": objectives})


def study_names() -> list[str]:
    """Return the names of the studies in ./runs and of those installed with the package."""
    return sorted({path.stem for folder in _folders() for path in folder.glob("*.py") if _declares(path)})


def load_study(name: str) -> Study:
    """Return the study called `name`, or the one that the file `name` declares. Raises ConfigError."""
    path = pathlib.Path(name)
    if path.suffix != ".py":
        paths = [folder / f"{name}.py" for folder in _folders() if (folder / f"{name}.py").is_file()]
        if not paths:
            raise ConfigError(unknown("study", name, study_names()) + ", or the path of a .py file")
        path = paths[0]
    elif not path.is_file():
        raise ConfigError(f"study file '{path}': no such file")
    spec = importlib.util.spec_from_file_location(f"study_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # a declaration is the user's own code
        raise ConfigError(f"study file '{path}'{_line(error, path)}: {type(error).__name__}: {error}") from error
    study = getattr(module, "STUDY", None)
    if not isinstance(study, Study):
        raise ConfigError(f"study file '{path}': expected it to assign STUDY = Study(...), received {study!r}")
    return study


def _line(error: BaseException, path: pathlib.Path) -> str:
    """Return the last line of `path` that led to `error`, as text for the message."""
    frames = [(frame.filename, frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
    if isinstance(error, SyntaxError):
        frames.append((str(error.filename), error.lineno))
    lines = [line for name, line in frames if pathlib.Path(name).resolve() == path.resolve()]
    return f", line {lines[-1]}" if lines else ""


def _value(row: Mapping[str, Any], column: str) -> Any:
    value = row.get(column)
    return (
        str(value).split()[0] if column == "dataset" else value
    )  # the row of a run that has not ended names no version


def _no_value(column: str) -> set[None]:
    """Return the values that mean "has no such field".

    It is None in a column of a VAE's field. In other columns None is a value, such as all images of a split.
    """
    return {None} if column in OF_A_VAE else set()


def _within(key: Sequence[Any], other: Sequence[Any], columns: Sequence[str]) -> bool:
    """Return whether `key` has, in every column, the value of `other` or no such field."""
    return all(a == b or a in _no_value(column) for a, b, column in zip(key, other, columns, strict=True))


def _declares(path: pathlib.Path) -> bool:
    return re.search(r"^STUDY = ", path.read_text(errors="replace"), re.MULTILINE) is not None


def _folders() -> list[pathlib.Path]:
    installed = importlib.util.find_spec("tfcollapse.runs")
    folders = [pathlib.Path("runs")]
    if installed is not None and installed.submodule_search_locations:
        folders += [pathlib.Path(place) for place in installed.submodule_search_locations]
    return folders


def judge(study: Study, rows: Rows) -> list[Claim]:
    """Judge the study's claims on the rows of a table.

    Runs that differ in a column that the study does not tell apart are judged apart.
    """
    return [
        dataclasses.replace(claim, text=f"{apart}: {claim.text}" if apart else claim.text)
        for apart, part in study.parts(rows).items()
        for claim in of_trained(study.claims)(part)
    ]
