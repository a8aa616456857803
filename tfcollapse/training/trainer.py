"""Train runs from declaration to result: `train` and `train_together`, resumable at any moment."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pathlib
from collections.abc import Callable, Sequence

from tfcollapse.backend import backend, start
from tfcollapse.config.annotations import arguments_checked
from tfcollapse.config.declaration import NUMERICS, Run
from tfcollapse.data.dataset import Dataset, load
from tfcollapse.errors import ConfigError
from tfcollapse.records.run_directory import Row, RunDirectory
from tfcollapse.training import strategy as strategies
from tfcollapse.training.loop import train_sessions
from tfcollapse.training.progress import Progress
from tfcollapse.training.session import Session
from tfcollapse.training.workers import Workers


@arguments_checked
def train(
    run: Run,
    out: str | os.PathLike[str],
    *,
    data_dir: str | os.PathLike[str] | None = None,
    report: Callable[[Progress], None] = lambda progress: None,
    strategy: str = "auto",
    devices: str | int | None = None,
) -> Row:
    """Train `run` in the directory `out`/<run_id>, or go on where it stopped, and return its result.

    A finished run is not trained again. A run whose loss stops being finite ends with status "failed". SIGTERM and
    Ctrl-C save a checkpoint first. Other devices change the order of float sums and nothing else.

    Args:
      run: the declaration.
      out: a directory that holds run directories. Of several workers the first alone uses it.
      data_dir: the directory of TensorFlow Datasets, as in `load`.
      report: called after every `Training.log_every` steps.
      strategy: "one" device; "mirrored" over several devices of this machine; "multiworker" over the workers that
        TF_CONFIG names; "auto" is the last where TF_CONFIG names several workers, else "mirrored" where there are
        several GPUs, else "one".
      devices: a number, or names such as "GPU:0,GPU:1" ("CPU:0,CPU:1" share the machine's cores: to try it).

    Returns:
      What stands in `result.json`: "run_id", "status" ("finished" or "failed"), "gamma", and under "train" and "test"
      the measurements of each split, with "reconstruction_error", the squared error per pixel averaged over images,
      eq. (8).

    Raises:
      UserError: the data are bad, the directory is locked, full or another run's, a device does not exist, or a worker
        is lost.

    Example:
      >>> run = tc.Run(
      ...     data=tc.Data(name="fashion_mnist_mini", train=256, test=64),
      ...     network=tc.Network(width=32, latent_dim=4),
      ...     training=tc.Training(steps=20, log_every=10, evaluate_every=10, checkpoint_every=10, jit="off"),
      ... )
      >>> result = tc.train(run, "out/runs")
      >>> result["run_id"], result["status"], 0 < result["test"]["reconstruction_error"] < 1
      ('dense-2-vae-fashion_mnist_mini-s0-3afeb906fa', 'finished', True)
    """
    directory = RunDirectory(pathlib.Path(out) / run.run_id, run)
    if strategies.workers() is None and directory.result is not None:  # before TensorFlow is even started
        return directory.result
    _check_numerics(run)
    workers = Workers(strategies.make(strategy, devices))
    with workers.loss_reported():
        earlier = directory.result if workers.chief else None
        if workers.gather(earlier is not None)[0, 0]:
            return workers.share(earlier)
    dataset = load(run.data, data_dir=data_dir)  # bad data stop here, before a directory is made
    with workers.loss_reported():
        workers.check_same("run and images", run.to_json().encode(), dataset.digest.encode())
        with directory.open() if workers.chief else contextlib.nullcontext():
            # Another process may have ended the run in the meantime.
            meanwhile = directory.result if workers.chief else None
            return workers.share(meanwhile or _trained(directory, dataset, workers, report))


@arguments_checked
def train_together(
    runs: Sequence[Run],
    out: str | os.PathLike[str],
    *,
    data_dir: str | os.PathLike[str] | None = None,
    report: Callable[[Progress], None] = lambda progress: None,
) -> list[Row]:
    """Train runs that differ in their seeds alone as one program, step by step. This is how one GPU is filled.

    It needs KERAS_BACKEND=jax. Each run has its own directory, and may be continued alone. A run that stops being
    finite does not stop the others. Runs that stand at different steps are trained one group after another.

    Args:
      runs, out, data_dir, report: as for `train`.

    Returns:
      A result for each run, in their order.

    Raises:
      ConfigError: the runs differ in more than their seeds, or Keras has another backend.
      UserError: as `train`.

    Example:
      >>> import os; os.environ["KERAS_BACKEND"] = "jax"  # before Keras is imported
      >>> run = tc.Run(
      ...     data=tc.Data(name="fashion_mnist_mini", train=256, test=64),
      ...     network=tc.Network(width=32, latent_dim=4),
      ...     training=tc.Training(steps=20, log_every=10, evaluate_every=10, checkpoint_every=10),
      ... )
      >>> results = tc.train_together(tc.grid(run, {"seed": [0, 1]}), "out/runs")
      >>> [result["status"] for result in results]
      ['finished', 'finished']
    """
    if backend() != "jax" or len({dataclasses.replace(run, seed=0) for run in runs}) > 1:
        raise ConfigError("train_together: expected runs that differ in their seeds alone, and KERAS_BACKEND=jax")
    _check_numerics(runs[0])
    start()
    dataset, workers = load(runs[0].data, data_dir=data_dir), Workers(strategies.make())
    directories = [RunDirectory(pathlib.Path(out) / run.run_id, run) for run in runs]
    sessions_at: dict[int, list[Session]] = {}
    with contextlib.ExitStack() as open_directories:
        for directory in directories:
            if directory.result is None:
                open_directories.enter_context(directory.open())
                session = Session(directory, dataset, workers, report)
                sessions_at.setdefault(session.engine.step, []).append(session)
        for sessions in sessions_at.values():
            train_sessions(sessions)
            for session in sessions:
                session.finish()
    return [directory.result for directory in directories]


def _check_numerics(run: Run) -> None:
    if run.numerics != NUMERICS:
        raise ConfigError(
            f"run {run.run_id}: expected version {NUMERICS} of the numbers, which this code computes, received "
            f"{run.numerics}: start it anew ('tfcollapse train --config'), or go on with the release that began it"
        )


def _trained(
    directory: RunDirectory, dataset: Dataset, workers: Workers, report: Callable[[Progress], None]
) -> Row | None:
    """Train the run of `directory`, and return its result in the chief and None in the other workers."""
    session = Session(directory, dataset, workers, report)
    train_sessions([session])
    result = session.finish()
    session.release_engine()
    return result
