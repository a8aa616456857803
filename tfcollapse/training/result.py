"""Compute the result of a run that has all its steps: its errors on both splits, and what they are held against."""

from __future__ import annotations

import math

import numpy as np

from tfcollapse.config.declaration import Run
from tfcollapse.data.dataset import Dataset
from tfcollapse.errors import NonFiniteError
from tfcollapse.models import objectives
from tfcollapse.models.autoencoder import Autoencoder
from tfcollapse.models.build import build
from tfcollapse.records.run_directory import Row
from tfcollapse.training.evaluation import Engine, evaluate, initial_signal
from tfcollapse.training.reference_errors import reference_errors

SIGNAL_PROBE = 256
"""The number of training images on which the signal of the untrained network is measured."""


def evaluated(engine: Engine, model: Autoencoder, run: Run, dataset: Dataset, last_metrics: dict[str, float]) -> Row:
    """Return the numbers of both splits and gamma, and give the model an optimal gamma where the run declares one.

    Args:
      engine: holds the trained weights.
      model: the run's own model, with the same weights.
      run: the declaration.
      dataset: its images. A split without images has the number of its images alone, which is 0.
      last_metrics: of the last step, for the message.

    Raises:
      NonFiniteError: one of the numbers is not finite: the last update broke what the loss before it does not show.
    """
    dimensions = math.prod(dataset.image_shape)
    splits = {"train": dataset.train, "test": dataset.test}
    result: Row = {
        name: evaluate(engine, run, images) if len(images) else {"images": 0} for name, images in splits.items()
    }
    filled = [result[name] for name, images in splits.items() if len(images)]
    _check_finite(run, [value for numbers in filled for value in numbers.values()], last_metrics)
    if not model.variational:
        return result
    if run.objective.gamma == "optimal":  # eq. (10), over the whole training set and not a last batch
        model.log_gamma.assign(np.log(np.float32(result["train"]["reconstruction_error"])))
    result["gamma"] = float(model.gamma)
    _check_finite(run, [result["gamma"], math.inf if result["gamma"] == 0 else 0.0], last_metrics)
    for numbers in filled:
        error = numbers["reconstruction_error"] * dimensions
        bound = objectives.negative_elbo(error, numbers["kl"], result["gamma"], dimensions)
        numbers["negative_elbo"] = float(bound)
    _check_finite(run, [numbers["negative_elbo"] for numbers in filled], last_metrics)
    return result


def compared(model: Autoencoder, run: Run, dataset: Dataset, gamma: float | None, seconds: float) -> Row:
    """Return the rest of a finished run's result: its facts, the errors that need no training, the signal, the time.

    Args:
      model: the trained model.
      run: the declaration.
      dataset: its images.
      gamma: the model's decoder variance; None for an AE.
      seconds: the training time of all sessions.
    """
    # A VAE with weight beta on its KL has beta times the energy of an ordinary VAE whose gamma is beta * gamma.
    # That gamma decides which units an affine VAE keeps.
    weight = run.objective.kl_weight
    effective_gamma = None if gamma is None or weight is None else gamma * weight
    return reference_errors(run, dataset.train, effective_gamma) | {
        "status": "finished",
        "run_id": run.run_id,
        "source": dataset.source,
        "image_shape": list(dataset.image_shape),
        "parameters": model.count_params(),
        "signal": initial_signal(build(run, dataset.image_shape), dataset.train[:SIGNAL_PROBE]),
        "seconds": seconds,
        "steps_per_second": run.training.steps / max(seconds, 1e-9),
    }


def _check_finite(run: Run, numbers: list[object], last_metrics: dict[str, float]) -> None:
    if not all(math.isfinite(number) for number in numbers if isinstance(number, float)):
        raise NonFiniteError(run.training.steps, last_metrics)
