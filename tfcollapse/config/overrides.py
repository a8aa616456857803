"""Make runs of runs: grids over fields, settings given as text, the same run with fewer steps."""

from __future__ import annotations

import dataclasses
import itertools
import json
import operator
import pathlib
import re
import typing
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from tfcollapse.config.annotations import arguments_checked, checked
from tfcollapse.config.declaration import NUMERICS, Run
from tfcollapse.errors import ConfigError, unknown

_WRITTEN = {bool: "true or false", int: "a whole number", float: "a finite number"}
"""What to write for a field of one of these types."""


def replace(run: Run, changes: Mapping[str, Any]) -> Run:
    """Return `run` with other values under the keys of `changes`: "seed", "training.steps", or a whole section.

    All of one section change together, so that fields which constrain each other may both change.
    """
    sections: dict[str, Any] = {}
    fields: dict[str, dict[str, Any]] = {}
    for key, value in changes.items():
        _hint(key)  # a key that names nothing fails here
        head, _, rest = key.partition(".")
        if rest:
            fields.setdefault(head, {})[rest] = value
        else:
            sections[head] = value
    for head, values in fields.items():
        sections[head] = dataclasses.replace(sections.get(head, getattr(run, head)), **values)
    return dataclasses.replace(run, **sections)


def parse(key: str, text: str) -> Any:
    """Return the value of `--set key=text`, of the type of the field that `key` names. Raises ConfigError."""
    hint = _hint(key)
    if dataclasses.is_dataclass(hint):
        raise ConfigError(f"{key}: expected a field such as {key}.NAME, received a section")
    if hint is str or typing.get_origin(hint) is Literal:
        return checked(key, text, hint)
    value = _value(text)
    if _takes_tuple(hint) and value is not None and not isinstance(value, list):
        value = _value(f"[{text}]")  # 48,48 is (48, 48)
    if isinstance(value, str):
        value = text
    if hint is int and isinstance(value, float) and value.is_integer():
        value = int(value)  # 2e4 steps
    try:
        return checked(key, tuple(value) if isinstance(value, list) else value, hint)
    except ConfigError as error:
        raise ConfigError(f"{error}{f': write {_WRITTEN[hint]}' if hint in _WRITTEN else ''}") from None


def _value(text: str) -> Any:
    """Return what a text says in JSON, in which "none" and round brackets may stand too, or else the text."""
    try:
        return json.loads(text.lower().replace("none", "null").replace("(", "[").replace(")", "]"))
    except (ValueError, RecursionError):
        return text


def _takes_tuple(hint: Any) -> bool:
    return any(typing.get_origin(option) is tuple for option in typing.get_args(hint))


def configured(path: str | None, settings: Iterable[str]) -> Run:
    """Return the run of a config.json as the present code computes it, or the default run, with settings applied.

    Raises:
      ConfigError: no such file, or a setting that cannot be right.
    """
    start = Run()
    if path is not None:
        try:
            start = dataclasses.replace(Run.from_json(_file(pathlib.Path(path)).read_text()), numerics=NUMERICS)
        except (OSError, ValueError) as error:
            said = getattr(error, "strerror", None) or error
            raise ConfigError(f"--config '{path}': {said}{_meant(pathlib.Path(path))}") from None
    (run,) = apply_settings([start], settings)
    return run


def _file(path: pathlib.Path) -> pathlib.Path:
    """Return a path to a file, which may be read without waiting. Raises ConfigError."""
    if path.is_dir():
        below = [file for level in ("", "*/", "runs/*/") for file in sorted(path.glob(f"{level}config.json"))]
        raise ConfigError(f"expected a config.json, received a directory{f': try {below[0]}' if below else ''}")
    if not path.is_file():
        raise ConfigError("expected a file" if path.exists() else "there is no such file")
    return path


def _meant(path: pathlib.Path) -> str:
    """Return the hint at the config.json beside another file of a run, as the end of a message; else an empty text."""
    if not path.is_file() or path.name == "config.json" or not path.with_name("config.json").is_file():
        return ""
    return f": try {path.with_name('config.json')}"


def apply_settings(runs: Sequence[Run], settings: Iterable[str]) -> list[Run]:
    """Apply `KEY=VALUE` texts to every run. Settings of a VAE alone leave AE twins as they are.

    Raises:
      ConfigError: a text that is no setting, or settings that make two runs the same.
    """
    changes = {key: parse(key, text) for key, text in _pairs("--set", settings)}
    shared = {key: value for key, value in changes.items() if not _vae_only(key)}
    if len(shared) < len(changes) and all(run.objective.kind == "ae" for run in runs):
        raise ConfigError(f"--set {(set(changes) - set(shared)).pop()}: an AE has no such setting, and no run is a VAE")
    changed_runs = [replace(run, shared if run.objective.kind == "ae" else changes) for run in runs]
    return distinct(changed_runs, f"--set {', '.join(changes)}" if changes else "the study")


def select(runs: Sequence[Run], conditions: Iterable[str]) -> list[Run]:
    """Return the runs that have, for every text `KEY=VALUE[,VALUE...]`, one of its values in that field.

    Raises:
      ConfigError: a text that is no such condition, or one that none of the runs left fulfils.
    """
    left = list(runs)
    for key, text in _pairs("--only", conditions):
        wanted = [parse(key, value) for value in _values(key, text)]
        of_runs = operator.attrgetter(key)
        there = dict.fromkeys(str(of_runs(run)) for run in left)
        left = [run for run in left if of_runs(run) in wanted]
        if not left:
            raise ConfigError(f"--only {key}: expected one of {', '.join(there)}, received '{text}'")
    return left


def _values(key: str, text: str) -> list[str]:
    """Split the values of one condition. Of a field that takes a tuple, 48,48 is one, and (48,48),none are two."""
    if not _takes_tuple(_hint(key)):
        return text.split(",")
    return re.split(r",(?![^(\[]*[)\]])", text) if re.search(r"[(\[]", text) else [text]


def _pairs(option: str, texts: Iterable[str]) -> list[tuple[str, str]]:
    """Split texts `KEY=VALUE` into keys and values."""
    pairs = []
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals:
            raise ConfigError(f"{option}: expected KEY=VALUE, received '{text}'")
        pairs.append((key, value))
    return pairs


def distinct(runs: list[Run], cause: str) -> list[Run]:
    """Return `runs`, all different. Raises ConfigError that names the `cause` where two are the same."""
    if len({run.run_id for run in runs}) < len(runs):
        raise ConfigError(f"{cause}: two of the runs are the same; expected them to differ")
    return runs


def shorten(run: Run, steps: int) -> Run:
    """Return `run` with another number of steps: halving, warm-up and the encoder's lead keep their share of them."""
    if steps < 1:
        raise ConfigError(f"--steps: expected >= 1, received {steps}")
    share = steps / run.training.steps
    changes = {"training.steps": steps, "training.halve_every": max(1, round(run.training.halve_every * share))}
    if run.objective.has_schedule:
        changes["objective.warmup_steps"] = max(1, round(run.objective.warmup_steps * share))
    if run.training.encoder_ahead:
        changes["training.encoder_ahead"] = max(1, round(run.training.encoder_ahead * share))
    return replace(run, changes)


@arguments_checked
def grid(base: Run, axes: Mapping[str, Sequence[Any]]) -> list[Run]:
    """Return every combination of the axes' values, the last axis fastest.

    Args:
      base: the run that all others are made from.
      axes: values by the key of a field, such as "seed" or "network.depth", or of a whole section, such as "objective".

    Raises:
      ConfigError: a key that names no field, a value that the field does not take, or two runs that are equal.

    Example:
      >>> runs = tc.grid(tc.Run(), {"network.depth": [2, 10], "objective": [tc.Objective(kind="ae"), tc.Objective()]})
      >>> [(run.network.depth, run.objective.label) for run in runs]
      [(2, 'AE'), (2, 'VAE'), (10, 'AE'), (10, 'VAE')]
    """
    runs = [replace(base, dict(zip(axes, values, strict=True))) for values in itertools.product(*axes.values())]
    return distinct(runs, f"grid over {', '.join(axes)}")


def _hint(key: str) -> Any:
    """Return the annotation of the field or section that `key` names. Raises ConfigError where it names none."""
    head, _, rest = key.partition(".")
    sections = typing.get_type_hints(Run)
    if head not in sections:
        without_section = [f"{name}.{head}" for name, kind in sections.items() if head in _fields(kind)]
        raise ConfigError(unknown("setting", head, sections, without_section))
    if not rest:
        return sections[head]
    fields = _fields(sections[head])
    if rest not in fields:
        raise ConfigError(unknown("setting", key, [f"{head}.{name}" for name in fields]))
    return fields[rest]


def _fields(section: Any) -> dict[str, Any]:
    """Return the annotations of a section's fields; none for what is a field itself."""
    return typing.get_type_hints(section) if dataclasses.is_dataclass(section) else {}


def _vae_only(key: str) -> bool:
    return key.startswith("objective.") and key != "objective.kind"
