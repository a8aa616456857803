"""The diagnosis of a run of ours, kept in its directory."""

from __future__ import annotations

import json
import pathlib
from typing import Any

from tfcollapse.data.dataset import load
from tfcollapse.diagnosis.diagnose import Diagnosis, diagnose
from tfcollapse.errors import ConfigError, RunError
from tfcollapse.models.autoencoder import load_model
from tfcollapse.records.files import replacing
from tfcollapse.records.provenance import environment
from tfcollapse.records.run_directory import read_config

DIAGNOSIS = "diagnosis.json"
"""What `diagnose` leaves in a run's directory, and `report` reads."""


def diagnose_run(path: pathlib.Path, data_dir: Any = None, images: int | None = None, command: str = "") -> Diagnosis:
    """Diagnose a finished run of ours on its own training images, and leave diagnosis.json beside its result.

    Raises:
      RunError: not a finished run's directory.
      ConfigError: the run is an AE's.
    """
    run = read_config(path)
    if run.objective.kind != "vae":
        raise ConfigError(f"'{path}': expected a VAE, received an AE, which has no latent distribution to collapse")
    if not (path / "model.keras").exists():
        raise RunError(f"'{path}': expected a finished run with model.keras; train it to the end first")
    model = load_model(path / "model.keras")
    data = load(run.data, data_dir=data_dir).train[:images]
    if not run.objective.beta > 0:
        raise ConfigError(f"'{path}': expected beta > 0, received a VAE without a KL term, which is an AE with noise")
    found = diagnose(model.encoder, model.decoder, data, float(model.gamma), beta=run.objective.beta, seed=run.seed)
    made = environment(command=command)
    with replacing(path / DIAGNOSIS) as partial:
        partial.write_text(json.dumps(found.as_json() | {"made": made}, indent=1) + "\n")
    return found
