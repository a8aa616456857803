"""Define the schema of a study's table: every column, its type, and the declared field that it holds."""

from __future__ import annotations

import dataclasses
import types
import typing
from typing import Any, Literal

from tfcollapse.config.declaration import Run

_NAMES = {
    "data.name": "dataset",
    "data.train": "first_train",
    "data.test": "first_test",
    "objective.kind": "objective",
    "objective.gamma": "gamma_mode",
}
"""The name of a field's column where it differs from the field's own name."""

_SECTIONS = ("objective", "network", "data", "training")

COLUMNS: dict[str, str] = {
    f"{section}.{field.name}": _NAMES.get(f"{section}.{field.name}", field.name)
    for section in _SECTIONS
    for field in dataclasses.fields(getattr(Run(), section))
} | {"seed": "seed", "numerics": "numerics"}
"""The column of every declared field of a run, by the key of `--set`."""

MEASURED: dict[str, type] = {
    "dataset": str,
    "image_shape": str,
    "images": str,
    "train_images": int,
    "test_images": int,
    "train_error": float,
    "test_error": float,
    "train_error_at_mean": float,
    "late_fall": float,
    "late_fall_error": float,
    "gamma": float,
    "gamma_pace": float,
    "active_units": int,
    "kl": float,
    "sigma_above_0.9": float,
    "mutual_information": float,
    "effective_rank": float,
    "negative_elbo": float,
    "test_negative_elbo": float,
    "mean_predictor_error": float,
    "pca_error": float,
    "affine_active_units": int,
    "affine_error": float,
    "sigma_histogram": list,
    "encoder_signal": list,
    "decoder_signal": list,
    "parameters": int,
    "seconds": float,
    "steps_per_second": float,
}
"""The columns of what a run obtained, and their types. Errors are per pixel; KL and ELBO are in nats per image.

`mutual_information` is I_q(x; z) of the training images, whose estimate is at most the log of their number.
`effective_rank` is that of the covariance of their latents' means. `late_fall` is the share by which the error fell
over the last tenth of the steps, and `late_fall_error` its standard error (`records.metrics.late_fall`). `gamma_pace`
is how fast a learned log gamma moves towards the error there (`records.metrics.gamma_pace`).
"""

SIGNED = ("mutual_information", "negative_elbo", "test_negative_elbo", "late_fall", "gamma_pace")
"""The columns of numbers that may be negative."""

_ENDED = {"run_id": str, "status": str}
"""The columns that identify a run and say how it ended."""
_MADE = {"commit": str, "machine": str, "versions": str, "reason": str, "command": str}
"""The columns that say where and with what a run was made."""


def _type(hint: Any) -> type:
    """Return the type of a column whose field is annotated with `hint`. A tuple is written as text, such as 28,28."""
    if typing.get_origin(hint) is Literal:
        return str
    options = [option for option in typing.get_args(hint) if option is not types.NoneType]
    if isinstance(hint, types.UnionType):
        return _type(options[0])
    return hint if hint in (int, float, bool) else str


def _declared_hints() -> dict[str, Any]:
    sections = typing.get_type_hints(Run)
    hints = {"seed": sections["seed"], "numerics": sections["numerics"]}
    for section in _SECTIONS:
        hints |= {f"{section}.{name}": hint for name, hint in typing.get_type_hints(sections[section]).items()}
    return {column: hints[key] for key, column in COLUMNS.items()}


_HINTS = _declared_hints()

SCHEMA: dict[str, type] = {**_ENDED, **{name: _type(hint) for name, hint in _HINTS.items()}, **MEASURED, **_MADE}
"""Every column of a table, in its order, and its type: str, int, float, bool, or list (a JSON list of numbers)."""

CHOICES: dict[str, tuple[str, ...]] = {
    name: typing.get_args(hint)
    for name, hint in _HINTS.items()
    if typing.get_origin(hint) is Literal and name != "objective"  # which holds a label
}
"""The texts that a column may hold, where its field is declared to hold one of several."""

NEVER_EMPTY = (
    *("run_id", "status", "objective", "dataset", "architecture", "depth", "latent_dim", "seed"),
    *("steps", "batch", "learning_rate", "halve_every"),
)
"""The columns that hold something in every row."""
OF_A_FINISHED_RUN = ("train_error", "test_error", "train_images", "test_images", "image_shape", "seconds", "machine")
"""The columns that hold something in the row of every finished run."""
OF_A_FINISHED_VAE = ("gamma_mode", "gamma", "active_units", "kl", "sigma_above_0.9")
"""The columns that hold something in the row of every finished VAE."""

OF_A_VAE = tuple(column for key, column in COLUMNS.items() if key.startswith("objective.") and column != "objective")
"""The columns of the fields that an AE does not have."""

OF_A_TWIN = tuple(column for key, column in COLUMNS.items() if not key.startswith("objective."))
"""The columns of the fields that an AE shares with its VAE: the VAE of the same network, data, seed and training."""


def declared(run: Run) -> dict[str, Any]:
    """Return the declared fields of a run as one row: values by column.

    A value is None where the run's objective or architecture does not have the field.
    """
    row = {}
    for key, column in COLUMNS.items():
        section, _, field = key.rpartition(".")
        value = getattr(getattr(run, section) if section else run, field)
        row[column] = ",".join(map(str, value)) if isinstance(value, tuple) else value
    absent = {*run.network.absent_fields, *(OF_A_VAE if run.objective.kind == "ae" else ())}
    if not run.objective.has_schedule:
        absent.add("warmup_steps")
    if run.objective.kl_constraint == "none":
        absent.add("kl_nats")
    return {**row, **dict.fromkeys(absent), "objective": run.objective.label}
