"""Declare and load studies: the runs of each preset, and what is drawn and claimed from their table.

A declaration is a Python file under runs/ that assigns `STUDY`. Its docstring gives the paper's figure, the command,
and what to expect.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import pathlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from tfcollapse.claims.claim import Claim
from tfcollapse.claims.completeness import of_trained
from tfcollapse.config.annotations import arguments_checked
from tfcollapse.config.declaration import Run
from tfcollapse.config.objective import Objective
from tfcollapse.config.overrides import grid, replace
from tfcollapse.errors import ConfigError, Terminated, unknown
from tfcollapse.records.columns import COLUMNS, OF_A_VAE
from tfcollapse.records.trained import marked
from tfcollapse.studies.own_code import failure, own_claims, own_draw

Rows = Sequence[Mapping[str, Any]]
MOST_SEEDS = 10_000
"""The most seeds of one sweep."""
_DECLARES = re.compile(r"^STUDY = ", re.MULTILINE)


@arguments_checked
@dataclass(frozen=True)
class Study:
    """Hold what a declaration declares.

    Attributes:
      title: the title of the figure and the page.
      presets: the runs of each preset, with seed 0.
      seeds: the number of seeds of every run, where the sweep names none.
      draw: a function from table rows to a matplotlib Figure.
      claims: a function from table rows to the paper's claims, judged.
      tells_apart: the columns of declared fields that `draw` and `claims` tell apart. Runs that differ in another
        column are no seeds of one cell. They are drawn and judged apart (`parts`).

    Raises:
      ConfigError: a column that no table has.

    Example:
      >>> base = tc.Run(data=tc.Data(name="fashion_mnist_mini"), training=tc.Training(steps=2_000))
      >>> study = tc.Study(
      ...     title="Error against depth",
      ...     presets={"quick": tc.depth_sweep(base, depths=[2, 6, 10], gamma="optimal", warmup_steps=800)},
      ...     draw=tc.figures.depth_figure,
      ...     claims=tc.claims.depth_claims,
      ... )
      >>> len(study.runs("quick", seeds=2))  # a file that says STUDY = study is run by: tfcollapse sweep FILE.py
      18
    """

    title: str
    presets: Mapping[str, Sequence[Run]]
    draw: Callable[[Rows], Any]
    claims: Callable[[Rows], list[Claim]]
    tells_apart: Sequence[str] = ("objective", "warmup", "depth")
    seeds: int = 1

    def __post_init__(self) -> None:
        """Check that the columns exist. Raises ConfigError."""
        for column in [self.tells_apart] if isinstance(self.tells_apart, str) else self.tells_apart:
            if column not in COLUMNS.values() or isinstance(self.tells_apart, str):
                raise ConfigError(unknown("column in a tuple Study.tells_apart", self.tells_apart, COLUMNS.values()))

    @arguments_checked
    def runs(self, preset: str, seeds: int | None = None) -> list[Run]:
        """Return the runs of a preset for seeds 0 to `seeds` - 1; None takes the study's number. Raises ConfigError."""
        if preset not in self.presets:
            raise ConfigError(unknown("preset", preset, self.presets))
        seeds = self.seeds if seeds is None else seeds
        if not 1 <= seeds <= MOST_SEEDS:
            raise ConfigError(f"--seeds: expected 1 to {MOST_SEEDS:,}, received {seeds}")
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


@arguments_checked
def depth_sweep(
    base: Run, depths: Sequence[int], gamma: Literal["learned", "optimal", "fixed"], warmup_steps: int
) -> list[Run]:
    """Return the runs of Figures 1 (left, middle) and 3: an AE, a VAE, and a VAE with KL warm-up, at every depth.

    Args:
      base: the run that all others are made from.
      depths: the values of `Network.depth`.
      gamma: how the VAEs get their decoder variance, as in `Objective`.
      warmup_steps: the length of the KL warm-up, in steps.

    Raises:
      ConfigError: a depth that the architecture does not have, or two equal depths.

    Example:
      >>> runs = tc.depth_sweep(tc.Run(), depths=[2, 10], gamma="learned", warmup_steps=100_000)
      >>> [f"{run.objective.label} {run.network.depth}" for run in runs]
      ['AE 2', 'VAE 2', 'VAE + KL warm-up 2', 'AE 10', 'VAE 10', 'VAE + KL warm-up 10']
    """
    objectives = [
        Objective(kind="ae"),
        Objective(gamma=gamma),
        Objective(gamma=gamma, warmup="kl", warmup_steps=warmup_steps),
    ]
    return grid(base, {"network.depth": depths, "objective": objectives})


def study_names() -> list[str]:
    """Return the names of the studies that are installed with the package."""
    return sorted(_installed())


def declarations(files: Iterable[str] = ()) -> dict[str, str]:
    """Return the studies that pages are written of, by name; `load_study` takes what stands there for each.

    They are the installed studies, and those that the user's own `files` declare. A file of the working directory that
    nobody has named is not among them, so it is never executed.
    """
    return {name: name for name in study_names()} | {pathlib.Path(file).stem: file for file in files}


def load_study(name: str) -> Study:
    """Return the installed study called `name`, or the one that the file `name`, a path to a .py file, declares.

    The file is executed. What goes wrong later in the user's own `draw` or `claims` is a StudyError.

    Raises:
      ConfigError: no such study, no such file, or a file that declares none.
    """
    path = pathlib.Path(name)
    if path.suffix != ".py":
        if name not in _installed():
            raise ConfigError(unknown("study", name, study_names()) + f", or the path of a .py file{_own(name)}")
        path = _installed()[name]
    elif not path.is_file():
        raise ConfigError(f"study file '{path}': {'expected a file' if path.exists() else 'there is no such file'}")
    spec = importlib.util.spec_from_file_location(f"study_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Terminated:  # this process received SIGTERM
        raise
    except (Exception, SystemExit) as error:  # a declaration is the user's own code
        raise failure(path, error) from error
    study = getattr(module, "STUDY", None)
    if not isinstance(study, Study):
        raise ConfigError(f"study file '{path}': expected it to assign STUDY = Study(...), received {study!r}")
    if path in _installed().values():
        return study
    return dataclasses.replace(study, draw=own_draw(path, study.draw), claims=own_claims(path, study.claims))


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


def _installed() -> dict[str, pathlib.Path]:
    """Return the declarations in the package's own folder of runs, by the names of their studies."""
    spec = importlib.util.find_spec("tfcollapse.runs")
    folders = spec.submodule_search_locations if spec is not None else None
    paths = [path for folder in folders or () for path in pathlib.Path(folder).glob("*.py")]
    return {path.stem: path for path in paths if _DECLARES.search(path.read_text(errors="replace"))}


def _own(name: str) -> str:
    """Return how to name the user's own declaration, where there is one of that name in ./runs."""
    own = pathlib.Path("runs", f"{name}.py")
    return f", such as {own}" if own.is_file() else ""


def judge(study: Study, rows: Rows) -> list[Claim]:
    """Judge the study's claims on the rows of a table.

    Runs that differ in a column that the study does not tell apart are judged apart.
    """
    return [
        dataclasses.replace(claim, text=f"{apart}: {claim.text}" if apart else claim.text)
        for apart, part in study.parts(rows).items()
        for claim in of_trained(study.claims)(part)
    ]
