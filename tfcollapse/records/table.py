"""Read and write a study's table: one row for each run, as CSV that any tool reads and git can compare."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import pathlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from tfcollapse.config.annotations import arguments_checked
from tfcollapse.config.declaration import Run
from tfcollapse.errors import RunError
from tfcollapse.records import remedies
from tfcollapse.records.columns import (
    CHOICES,
    NEVER_EMPTY,
    OF_A_FINISHED_RUN,
    OF_A_FINISHED_VAE,
    SCHEMA,
    SIGNED,
    declared,
)
from tfcollapse.records.files import MARKED, disk_errors, open_regular, replacing
from tfcollapse.records.identity import KEY, check_identity
from tfcollapse.records.metrics import gamma_pace, late_fall, read_metrics
from tfcollapse.records.numerics import numerics_of
from tfcollapse.records.run_directory import Row, RunDirectory
from tfcollapse.records.schema import fits


def tidy_row(directory: RunDirectory) -> Row:
    """Return the row of one run for the study's table: what the run was, what it obtained, and where it ran.

    The status of a run without a result is "unfinished".

    Raises:
      RunError: the run's files do not have the form that a run writes.
    """
    result, sessions = directory.result or {"status": "unfinished"}, directory.sessions
    for session in sessions:
        check_identity(f"'{directory.path / 'environment.json'}'", session.get(KEY), result.get(KEY) or {})
    return typed_row(
        _tidy(directory, result, sessions),
        f"run directory '{directory.path}'",
        f"result.json: {remedies.MADE_ANEW}",
    )


def _tidy(directory: RunDirectory, result: Row, sessions: list[Row]) -> Row:
    return {
        "run_id": directory.run.run_id,
        "status": result["status"],
        **declared(directory.run),
        **({"numerics": numerics_of(sessions[-1])} if sessions else {}),
        **_measured(directory, result),
        "commit": _each(session["commit"] for session in sessions),
        "machine": _each(session["machine"] for session in sessions),
        "versions": _each(" ".join(f"{k} {v}" for k, v in session["versions"].items()) for session in sessions),
        "reason": result.get("reason", ""),
    }


def _measured(directory: RunDirectory, result: Row) -> Row:
    run = directory.run
    train, test, signal = (result.get(name, {}) for name in ("train", "test", "signal"))
    metrics = read_metrics(directory.path / "metrics.csv") if result["status"] == "finished" else []
    fall = late_fall(metrics)
    return {
        "dataset": result.get("source", run.data.name),
        "image_shape": "x".join(str(size) for size in result.get("image_shape", ())),
        "images": (result.get(KEY) or {}).get("images"),
        "train_images": train.get("images"),
        "test_images": test.get("images"),
        "train_error": train.get("reconstruction_error"),
        "test_error": test.get("reconstruction_error"),
        "train_error_at_mean": train.get("reconstruction_error_at_mean"),
        "late_fall": fall and fall[0],
        "late_fall_error": fall and fall[1],
        "gamma": result.get("gamma"),
        "gamma_pace": _pace(run, metrics, train.get("reconstruction_error")),
        "active_units": train.get("active_units") if run.objective.kind == "vae" else None,
        "kl": train.get("kl"),
        "sigma_above_0.9": train.get("sigma_above_0.9"),
        "mutual_information": train.get("mutual_information"),
        "effective_rank": train.get("effective_rank"),
        "negative_elbo": train.get("negative_elbo"),
        "test_negative_elbo": test.get("negative_elbo"),
        "mean_predictor_error": result.get("mean_predictor_error"),
        "pca_error": result.get("pca_error"),
        "affine_active_units": result.get("affine_active_units"),
        "affine_error": result.get("affine_error"),
        "sigma_histogram": _listed(train.get("sigma_histogram")),
        "encoder_signal": _listed(signal.get("encoder")),
        "decoder_signal": _listed(signal.get("decoder")),
        "parameters": result.get("parameters"),
        "seconds": result.get("seconds"),
        "steps_per_second": result.get("steps_per_second"),
    }


def _pace(run: Run, metrics: list[dict[str, float]], error: float | None) -> float | None:
    objective = run.objective
    if objective.gamma != "learned" or objective.kind != "vae" or not error:
        return None
    held = objective.warmup_steps if objective.warmup == "hold_gamma" else 0
    return gamma_pace(metrics, error, held, run.training.decoder_updates)


@contextlib.contextmanager
def complete(path: pathlib.Path, rows: Sequence[Row]) -> Iterator[None]:
    """Turn a KeyError for a column that a table lacks into one clear line.

    A KeyError for anything else is a fault of the program and is raised unchanged.

    Args:
      path: the table, as the message names it.
      rows: its rows, at least one.

    Raises:
      RunError: the body of the `with` statement asked for a column of `SCHEMA` that the table lacks.
    """
    try:
        yield
    except KeyError as error:
        if not lacks_column(rows, error):
            raise
        raise RunError(f"table '{path}': expected a column {error.args[0]}; run the sweep again") from None


def lacks_column(rows: Sequence[Row], error: BaseException) -> bool:
    """Return whether an error is that of a column of `SCHEMA` which the rows of a table lack."""
    column = error.args[0] if isinstance(error, KeyError) and error.args else None
    return isinstance(column, str) and column in SCHEMA and column not in rows[0]


def _listed(values: Iterable[float] | None) -> list[float] | None:
    """Return `values` rounded to six digits. They are curves to be drawn, and six digits keep the table readable."""
    return None if values is None else [float(f"{value:.6g}") for value in values]


def _each(values: Iterable[str]) -> str:
    return "; ".join(dict.fromkeys(values))


def write_table(path: pathlib.Path, rows: Iterable[Row]) -> None:
    """Write rows of equal keys as CSV, whole or not at all. Floats keep every digit.

    Args:
      path: the file; its directory is made where it is missing.
      rows: at least one row.

    Raises:
      RunError: the disk cannot be written.
    """
    rows = list(rows)
    with disk_errors(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as partial, partial.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


@arguments_checked
def read_table(path: str | os.PathLike[str]) -> list[Row]:
    """Read the table of a study, the .csv file that `tfcollapse sweep` writes: one dict for each run.

    Each cell is read as its column's type. An empty cell is None. A column that a user added stays text. Errors are
    squared errors per pixel.

    Args:
      path: the file.

    Raises:
      RunError: there is no table or no row, the column run_id is missing, or a cell does not have its column's type.

    Example:
      >>> rows = tc.read_table("results/long/fig1_left.csv")
      >>> [(row["objective"], row["depth"], row["steps"]) for row in rows]
      [('AE', 2, 50000), ('VAE', 2, 50000), ('AE', 10, 50000), ('VAE', 10, 50000)]
    """
    path = pathlib.Path(path)
    if path.is_dir():
        tables = " or ".join(map(str, tables_in(path))) or "a .csv file"
        raise RunError(f"table '{path}': expected a file, received a directory: name {tables}")
    try:
        with io.TextIOWrapper(open_regular(path, follow=True), encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    except OSError as error:
        raise RunError(f"table '{path}': {error.strerror}; 'tfcollapse sweep' writes it") from None
    except (ValueError, csv.Error) as error:
        raise RunError(f"table '{path}': not a table: {error}") from None
    if not rows:
        raise RunError(f"table '{path}': expected at least one row, received none")
    if "run_id" not in rows[0]:
        raise RunError(f"table '{path}': expected a column run_id, received {', '.join(map(str, rows[0]))}")
    return [_typed(path, number, row) for number, row in enumerate(rows, start=1)]


def tables_in(directory: pathlib.Path, pattern: str = "*.csv") -> list[pathlib.Path]:
    """Return the tables of studies in a directory: the .csv files that match `pattern` and have a column run_id."""
    found = []
    for path in sorted(directory.glob(pattern)):
        with contextlib.suppress(OSError, RunError), open_regular(path) as file:
            if b"run_id" in file.readline(MARKED).strip().split(b","):
                found.append(path)
    return found


def _typed(path: pathlib.Path, number: int, row: Mapping[str, str | None]) -> Row:
    where = f"table '{path}', row {number}"
    if None in row:  # DictReader puts cells beyond the header under the key None
        raise RunError(f"{where}: expected {len(row) - 1} cells, received more: run the sweep again")
    values: Row = {}
    for name, text in row.items():
        try:
            values[name] = _READ[SCHEMA.get(name, str)](text) if text else None
        except (ValueError, KeyError, RecursionError):
            values[name] = text  # which `typed_row` refuses
    return typed_row(values, where, "mend the cell, or run the sweep again")


def typed_row(row: Row, where: str, advice: str) -> Row:
    """Return the row of one run, where every value is as the schema of columns says.

    Args:
      row: values by column. It may lack columns, as a table of an earlier version does.
      where: the row, as the message names it.
      advice: what to do about a value that is not so.

    Raises:
      RunError: a value has another type, is NaN or infinite, is not one of the declared choices, or is missing.
    """
    needed = {*NEVER_EMPTY, *(OF_A_FINISHED_RUN if row.get("status") == "finished" else ())}
    if row.get("status") == "finished" and row.get("objective") != "AE":
        needed.update(OF_A_FINISHED_VAE)
    for name, value in row.items():
        kind = SCHEMA.get(name, str)
        if name in CHOICES and value is not None and value not in CHOICES[name]:
            expected = f"one of {', '.join(CHOICES[name])}"
        elif (value is None and name in needed) or not fits(value, (None, [float] if kind is list else kind)):
            expected = _KINDS[kind]
        elif kind in (int, float) and value is not None and value < 0 and name not in SIGNED:
            expected = f"{_KINDS[kind]} >= 0"
        else:
            continue
        raise RunError(f"{where}: expected {expected} in column {name}, received {_shown(value)}: {advice}")
    return row


def _shown(value: Any) -> str:
    return "nothing" if value is None else f"'{str(value)[:80]}'"


def _whole(text: str) -> int:
    if not re.fullmatch("-?[0-9]{1,300}", text):
        raise ValueError
    return int(text)


_READ: dict[type, Callable[[str], Any]] = {
    str: str,
    int: _whole,
    float: lambda text: float(text.replace("_", "x")),  # float takes 1_000
    bool: {"True": True, "False": False}.__getitem__,
    list: json.loads,
}
"""How a cell's text is read, by the type of its column."""
_KINDS = {
    str: "a text in UTF-8",
    int: "a whole number",
    float: "a number",
    bool: "True or False",
    list: "a list of numbers",
}
"""What a message calls a value of each type."""


def check_same_sweep(path: pathlib.Path, runs: Iterable[Run]) -> None:
    """Check that the table at `path`, if there is one, holds no rows of other runs than `runs`.

    The check protects a table from being replaced by another sweep's.

    Raises:
      RunError: the table holds rows of other runs, or cannot be read.
    """
    if not path.exists():
        return
    others = {row["run_id"] for row in read_table(path)} - {run.run_id for run in runs}
    if others:
        raise RunError(
            f"'{path}' holds {len(others)} runs that are not of this sweep, such as {min(others)}: " + remedies.MOVE
        )
