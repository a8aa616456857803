"""Diagnose a run of ours, and keep the diagnosis in its directory."""

from __future__ import annotations

import json
import pathlib
import shlex
from collections.abc import Iterator, Sequence
from typing import Any

from tfcollapse.config.objective import Objective
from tfcollapse.data.dataset import load
from tfcollapse.diagnosis.declared_loss import TRAINING, DeclaredLoss
from tfcollapse.diagnosis.diagnose import Diagnosis, diagnose_known
from tfcollapse.errors import ConfigError, RunError, UserError
from tfcollapse.models.autoencoder import load_model
from tfcollapse.records.files import check_directory, replacing
from tfcollapse.records.identity import KEY, check_identity, identity
from tfcollapse.records.provenance import environment
from tfcollapse.records.run_directory import RunDirectory, read_config, runs_below

DIAGNOSIS = "diagnosis.json"
"""The file that `tfcollapse diagnose` leaves in a run's directory, and `tfcollapse report` reads."""
_NAMED = 3
"""How many run directories a message names."""


def diagnose_run(path: pathlib.Path, data_dir: Any = None, images: int | None = None, command: str = "") -> Diagnosis:
    """Diagnose a finished run on its own training images, and write diagnosis.json beside its result.

    Args:
      path: the run's directory.
      data_dir: where TensorFlow Datasets keeps its data.
      images: how many of the training images, from the first, are used; None for all.
      command: the command line, for the provenance.

    Raises:
      RunError: not a finished run's directory.
      ConfigError: the run is an AE's, or has no KL term.
    """
    run = read_config(path)
    if run.objective.kind != "vae":
        raise ConfigError(f"'{path}': expected a VAE, received an AE, which has no latent distribution to collapse")
    directory = RunDirectory(path, run)
    model = load_model(directory.model)
    dataset = load(run.data, data_dir=data_dir)
    made = identity(run, dataset.digest)
    for session in directory.sessions:
        check_identity(f"'{path / 'environment.json'}'", session.get(KEY), made)
    data = dataset.train[:images]
    if not run.objective.beta > 0:
        raise ConfigError(f"'{path}': expected beta > 0, received a VAE without a KL term, which is an AE with noise")
    declared = _declared(run.objective, float(model.gamma))
    blame = shlex.join(["tfcollapse", "blame", "--config", str(path / "config.json"), "--out", str(path.parent)])
    diagnosis = diagnose_known(
        model.encoder, model.decoder, data, lambda shape, latent_dim: declared, seed=run.seed, blame=blame
    )
    provenance = environment(command=command)
    with replacing(path / DIAGNOSIS) as partial:
        partial.write_text(json.dumps(diagnosis.as_json() | {KEY: made, "made": provenance}, indent=1) + "\n")
    return diagnosis


def _declared(objective: Objective, gamma: float) -> DeclaredLoss:
    """Return what a run knows of its loss. A distance from a capacity has no weight on the KL, so units must tell."""
    text = _beyond_equation_4(objective)
    if objective.kl_weight is None:
        return DeclaredLoss(text=text)
    learned = objective.gamma == "learned"
    return DeclaredLoss(gamma=gamma, beta=objective.kl_weight, source=TRAINING, learned=learned, text=text)


def _beyond_equation_4(objective: Objective) -> str:
    """Say what the KL term of `objective` has that the diagnosis does not know; empty for eq. (4)."""
    words = {
        "free_bits": f"no unit pays for a KL below {objective.kl_nats:g} nats",
        "capacity": f"the KL is drawn to {objective.kl_nats:g} nats in sum",
        "floor": f"sigma_z is bounded, so that no unit's KL is below {objective.kl_nats:g} nats",
        "none": "",
    }[objective.kl_constraint]
    if objective.importance_samples > 1:
        words = (
            f"{words}{', and ' if words else ''}the bound is that of {objective.importance_samples} weighted samples"
        )
    return words and f"eq. (4), but {words}; the checks below are those of eq. (4) itself"


def diagnose_sweep(
    directory: pathlib.Path, data_dir: Any = None, images: int | None = None, command: str = ""
) -> Iterator[tuple[str, Diagnosis | str]]:
    """Diagnose every VAE of a sweep one by one, and write diagnosis.json into the directory of each.

    Args:
      directory: has run directories in it, or in its folder `runs`.
      data_dir, images, command: as `diagnose_run` takes them.

    Yields:
      The name of a run, and its diagnosis; or why there is none: it is an AE's, it is not finished, it is damaged.

    Raises:
      RunError: there are no run directories where a sweep has them.
    """
    runs = runs_below(directory)
    if not runs:
        raise RunError(f"'{directory}' is not a run's directory, nor a sweep's: {_named(_deeper(directory))}")
    for name, path in runs.items():
        try:
            check_directory(path)  # the user has named the sweep, and not what a run's directory may be a link to
            yield name, diagnose_run(path, data_dir, images, command)
        except UserError as error:
            yield name, str(error).removeprefix(f"'{path}': ")


def _deeper(directory: pathlib.Path) -> list[pathlib.Path]:
    """Return run directories further below, in the places where people keep several sweeps."""
    found = (
        path.parent for level in ("*/*", "*/runs/*", "*/*/runs/*") for path in directory.glob(f"{level}/config.json")
    )
    return sorted(set(found))


def _named(runs: Sequence[pathlib.Path]) -> str:
    """Write some run directories as the end of a sentence."""
    if not runs:
        return "no run directory is below it; 'tfcollapse sweep' or 'tfcollapse train' make some"
    more = f" and {len(runs) - _NAMED} more" if len(runs) > _NAMED else ""
    return f"run directories below it are {', '.join(map(str, runs[:_NAMED]))}{more}"
