"""`tfcollapse diagnose` and `tfcollapse blame`: from arguments to the functions, and to a terminal."""

from __future__ import annotations

import argparse
import importlib.util
import json
import pathlib
from typing import Any

import numpy as np

from tfcollapse.config.declaration import Data
from tfcollapse.config.overrides import configured
from tfcollapse.data.dataset import load
from tfcollapse.diagnosis.blame import Blame, Build, blame, blame_build
from tfcollapse.diagnosis.diagnose import diagnose
from tfcollapse.diagnosis.run_diagnosis import diagnose_run
from tfcollapse.errors import ConfigError, RunError
from tfcollapse.models import keras_file
from tfcollapse.records.run_directory import environment, replacing
from tfcollapse.reports.blame_page import blame_page


def diagnose_command(parsed: argparse.Namespace) -> int:
    """A run's directory, or two models and images. Raises UserError."""
    if parsed.run is not None:
        if parsed.encoder or parsed.decoder:
            raise ConfigError("diagnose: expected a run's directory or --encoder and --decoder, received both")
        found = diagnose_run(pathlib.Path(parsed.run), parsed.data_dir, parsed.images, parsed.command_line)
    else:
        if not (parsed.encoder and parsed.decoder and parsed.data):
            raise ConfigError("diagnose: expected a run's directory, or --encoder, --decoder and --data")
        encoder, decoder = (_keras_model(path) for path in (parsed.encoder, parsed.decoder))
        images = _images(parsed.data, parsed.data_dir)[: parsed.images]
        found = diagnose(encoder, decoder, images, parsed.gamma, beta=parsed.beta)
    print(json.dumps(found.as_json(), indent=1) if parsed.json else found)
    return 0


def blame_command(parsed: argparse.Namespace) -> int:
    """A run of ours by its settings, or a builder of a user's own. Raises UserError."""
    run = configured(parsed.config, parsed.settings)

    def say(line: str) -> None:
        if not parsed.json:
            print(line, flush=True)

    if parsed.build is None:
        found = blame(run, parsed.out, data_dir=parsed.data_dir, command=parsed.command_line, say=say)
    else:
        made = {"objective": run.objective, "training": run.training, "seed": run.seed}
        build, here = _builder(parsed.build), parsed.data_dir
        images = load(run.data, data_dir=here).train if parsed.data is None else _images(parsed.data, here)
        found = blame_build(build, images, say=say, **made)
    if parsed.page is not None:
        with replacing(pathlib.Path(parsed.page)) as partial:
            partial.write_text(blame_page(found, run, environment(command=parsed.command_line)))
    print(json.dumps(found.as_json(), indent=1) if parsed.json else _said(found))
    return 0


def _said(found: Blame) -> str:
    named = " and ".join(found.responsible) or "none of the suspects"
    return f"\n{found.markdown()}\n\nresponsible: {named}"


def _keras_model(path: str) -> Any:
    """A stranger's .keras file, in safe mode: nothing in it is executed."""
    try:
        return keras_file.read(path)
    except RunError as error:
        raise ConfigError(f"{error}; load a model of your own classes in Python and call tfcollapse.diagnose") from None


def _images(named: str, data_dir: Any) -> np.ndarray:
    """An array from a .npy file, or the training images of a dataset."""
    if not named.endswith(".npy"):
        return load(Data(name=named), data_dir=data_dir).train
    try:
        return np.load(named, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise ConfigError(f"--data: '{named}' cannot be read as an array: {error}") from None


def _builder(named: str) -> Build:
    """FILE.py:FUNCTION, the user's own code."""
    file, _, function = named.rpartition(":")
    path = pathlib.Path(file)
    if path.suffix != ".py" or not path.is_file():
        raise ConfigError(f"--build: expected FILE.py:FUNCTION, received '{named}'")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # whatever a stranger's file raises
        line = (str(error).strip().splitlines() or [""])[0][:160]
        raise ConfigError(f"--build: '{path}' cannot be imported: {type(error).__name__}: {line}") from error
    if not callable(getattr(module, function, None)):
        raise ConfigError(f"--build: '{path}' has no function '{function}'")
    return getattr(module, function)
