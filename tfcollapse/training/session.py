"""Hold one run while it trains: its model and engine, its images, its records, and in the end its result."""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Callable

import numpy as np

from tfcollapse.backend import backend, suppress_stderr, threads
from tfcollapse.data import random_streams
from tfcollapse.data.dataset import Dataset
from tfcollapse.errors import NonFiniteError, RunError
from tfcollapse.models.autoencoder import Autoencoder
from tfcollapse.models.build import build
from tfcollapse.models.memory import check_batch
from tfcollapse.records import remedies
from tfcollapse.records.files import replacing
from tfcollapse.records.identity import KEY, check_identity, identity
from tfcollapse.records.provenance import environment
from tfcollapse.records.run_directory import Row, RunDirectory
from tfcollapse.records.run_files import MODEL
from tfcollapse.training import checkpoint, engines
from tfcollapse.training.batches import BatchPrefetcher
from tfcollapse.training.engine import METRICS
from tfcollapse.training.evaluation import evaluate
from tfcollapse.training.progress import Progress
from tfcollapse.training.result import compared, evaluated
from tfcollapse.training.threads import recorded_threads
from tfcollapse.training.workers import Workers

PROBE = random_streams.EVALUATION_BLOCK
"""The number of training images on which diagnostics.csv is measured while a run trains."""

_PENDING = "pending/"
"""The prefix, in a checkpoint, of metrics that have no row of metrics.csv yet."""


class Session:
    """Train one run from where its directory stands.

    Every worker has a session of the run. The session of the chief alone reads and writes the directory.

    Args:
      directory: the run's directory; in the chief it is open for writing.
      dataset: the images of `directory.run`.
      workers: the processes that train the run together.
      report: called with the progress after every row of metrics.csv.

    Attributes:
      failure: the error that ended the run where its loss or gamma stopped being finite, else None.
      program_size: how many sessions train as one program with this one, itself included.

    Raises:
      ConfigError: the network or the images of a row do not fit into memory.
      RunError: the checkpoint is damaged or of another network, or the directory cannot be written.
    """

    def __init__(self, directory: RunDirectory, dataset: Dataset, workers: Workers, report: Callable[[Progress], None]):
        self.run, self.directory, self.dataset = directory.run, directory, dataset
        self.workers, self.report = workers, report
        self.identity = identity(self.run, dataset.digest)
        check_batch(self.run, dataset.image_shape)
        with workers.strategy.scope():
            self.model = build(self.run, dataset.image_shape)
            self.engine = engines.acquire(self.model, self.run)
        self.program_size = 1
        self.failure: NonFiniteError | None = None
        self.active_units: int | None = None
        self.last_metrics: dict[str, float] = {}
        self.pending: dict[str, np.ndarray] = {}
        self.seconds_before = 0.0
        self._restore()
        on_device = self.engine.put_on_device(dataset.train)
        # The next batches are drawn ahead only beside an accelerator. On a CPU this would take time from the training.
        ahead = self.engine.device.upper() != "CPU"
        self.prefetcher = BatchPrefetcher(self.run, dataset.train, on_device=on_device, ahead=ahead)
        if workers.chief:
            self._begin_records()
        self.first_step, self.started = self.engine.step, time.monotonic()
        self.ended: float | None = None

    @property
    def done(self) -> bool:
        """Return whether the run has all its steps."""
        return self.engine.step == self.run.training.steps

    @property
    def live(self) -> bool:
        """Return whether the run goes on: it is not done and has not failed."""
        return self.failure is None and not self.done

    @property
    def seconds(self) -> float:
        """Return the training time of all sessions of this run so far.

        Of sessions that train as one program each counts its equal share of the time.
        """
        return self.seconds_before + ((self.ended or time.monotonic()) - self.started) / self.program_size

    def next_batches(self, pace: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the images and the noise of the next steps, as `Engine.train_steps` takes them.

        They are of `pace` steps, or of fewer where a row of metrics.csv is due before.
        """
        step, every = self.engine.step, self.run.training.log_every
        return self.prefetcher.batches(step, min(pace, every - step % every, self.run.training.steps - step))

    def record_steps(self, step: int, values: dict[str, np.ndarray]) -> None:
        """Record the metrics of the steps after `step`, and write what is due: rows, a checkpoint, a report.

        Where they are not finite the run has failed, and nothing is written.

        Args:
          step: how many steps were done before these.
          values: what `Engine.train_steps` returned of them.
        """
        training, engine = self.run.training, self.engine
        self._check_finite(step, values)
        if self.failure is not None:
            return
        self.pending = {n: np.concatenate([self.pending.get(n, value[:0]), value]) for n, value in values.items()}
        if not self.done and engine.step % training.log_every:
            return
        row = self._row()
        if self.workers.chief:
            self.directory.append("metrics.csv", [row])
            if engine.step % training.evaluate_every == 0:
                self._probe()
            if engine.step % training.checkpoint_every == 0 and not self.done:
                self.save()
            self._report(row)
        if self.done:
            self.ended = time.monotonic()
            self.prefetcher.close()

    def save(self) -> None:
        """Write a checkpoint of where the run stands. In workers other than the chief nothing happens."""
        if self.workers.chief:
            state = self.engine.state() | {"seconds": np.float64(self.seconds)}
            state |= {_PENDING + name: values for name, values in self.pending.items()}
            state[KEY] = np.frombuffer(json.dumps(self.identity).encode(), np.uint8)
            self.directory.sync()
            checkpoint.save(self.directory.checkpoints, self.engine.step, state)

    def finish(self) -> Row | None:
        """Evaluate the run, write model.keras and result.json, and return the result.

        Workers other than the chief return None. A run that has failed, or whose evaluation is not finite, gets a
        result with status "failed" and no model.
        """
        if not self.workers.chief:
            return None
        try:
            result = self._failed(self.failure) if self.failure else self._finished()
        except NonFiniteError as error:
            result = self._failed(error)
        return self.directory.write_result(result, self.dataset.digest)

    def release_engine(self) -> None:
        """Give the engine to the next run that it can train. The session ends with this."""
        engines.release(self.engine, self.run)

    def _restore(self) -> None:
        """Take the state of the newest checkpoint.

        The chief alone can see the directory. The other workers receive the state from it.
        """
        saved = None
        if self.workers.chief:
            saved = checkpoint.newest(self.directory.checkpoints, lambda text: warnings.warn(text, stacklevel=2))
            if saved is not None:
                self._check_checkpoint(saved.pop(KEY, None))
                self.seconds_before = float(saved.pop("seconds", np.zeros(())).sum())
                self.pending = {name: saved.pop(_PENDING + name) for name in METRICS if _PENDING + name in saved}
        if not self.workers.gather(saved is not None)[0, 0]:
            return
        if not self.workers.chief:
            saved = self.engine.state()
        assert saved is not None
        if self.workers.count > 1:
            saved = {name: self.workers.from_chief(saved[name]) for name in sorted(saved)}
        self.engine.restore(saved)

    def _check_checkpoint(self, received: np.ndarray | None) -> None:
        """Check that the newest checkpoint is of this run and these images. Raises RunError."""
        step = checkpoint.steps(self.directory.checkpoints)[-1]
        place = f"checkpoint of step {step} in '{self.directory.checkpoints}'"
        try:
            named = None if received is None else json.loads(received.tobytes().decode())
        except (ValueError, RecursionError) as error:
            raise RunError(f"{place}: expected the identity of a run, received {error}: {remedies.MADE_ANEW}") from None
        check_identity(place, named, self.identity)

    def _begin_records(self) -> None:
        """Drop the rows that will be written again, and write environment.json.

        Raises:
          RunError: the run began on other images: a file that `data.name` names has changed since.
        """
        sessions = self.directory.sessions
        for session in sessions:
            check_identity(f"'{self.directory.path / 'environment.json'}'", session.get(KEY), self.identity)
        began_on = {session.get("images") for session in sessions if KEY not in session} - {None, self.dataset.source}
        if began_on:
            raise RunError(
                f"run directory '{self.directory.path}': expected the images that the run began on, {min(began_on)}, "
                f"received {self.dataset.source}: restore them, or {remedies.ANOTHER}"
            )
        self.directory.rewind(self.engine.step)
        began_with = recorded_threads(sessions) or threads()
        if began_with != threads():  # the command line takes as many again
            warnings.warn(
                f"run {self.run.run_id} began on {began_with} threads, and goes on on the {threads()} of this process: "
                f"sums round otherwise; set TF_NUM_INTRAOP_THREADS={began_with} before TensorFlow starts",
                stacklevel=2,
            )
        engine = {"backend": backend(), "jit": self.engine.jit, "device": self.engine.device, "threads": threads()}
        engine |= {"images": self.dataset.source, KEY: self.identity}
        facts = environment(**self.workers.describe(), **engine, resumed_from=self.engine.step)
        self.directory.write_json("environment.json", facts | {"earlier": sessions})

    def _check_finite(self, step: int, values: dict[str, np.ndarray]) -> None:
        finite = np.all([np.isfinite(value) for value in values.values()], axis=0)
        bad = int(np.argmin(finite)) if not finite.all() else None
        if bad != 0:  # there is a finite step, and the last one of them is kept
            self.last_metrics = {name: float(value[-1 if bad is None else bad - 1]) for name, value in values.items()}
        if bad is not None:
            self.failure = NonFiniteError(step + bad + 1, self.last_metrics)

    def _row(self) -> Row:
        """Return the next row of metrics.csv: the mean of every metric over the steps since the last row."""
        row = {"step": self.engine.step, "seconds": round(self.seconds, 3)}
        row |= {name: float(np.mean(value, dtype=np.float64)) for name, value in self.pending.items()}
        self.pending = {}
        return row

    def _probe(self) -> None:
        """Evaluate the model on the first training images, and append the numbers to diagnostics.csv."""
        numbers = evaluate(self.engine, self.run, self.dataset.train[:PROBE])
        self.active_units = numbers.get("active_units")
        rows = []
        for measure, value in numbers.items():
            for dimension, item in enumerate(value) if isinstance(value, list) else [("", value)]:
                cell = {"step": self.engine.step, "split": "probe", "measure": measure, "dimension": dimension}
                rows.append(cell | {"value": item})
        self.directory.append("diagnostics.csv", rows)

    def _report(self, row: Row) -> None:
        self.report(
            Progress(
                run_id=self.run.run_id,
                step=self.engine.step,
                steps=self.run.training.steps,
                steps_per_second=(self.engine.step - self.first_step) / (time.monotonic() - self.started),
                reconstruction_error=row["reconstruction_error"],
                gamma=row["gamma"] if self.engine.model.variational else None,
                active_units=self.active_units,
            )
        )

    def _failed(self, failure: NonFiniteError) -> Row:
        return {
            "status": "failed",
            "run_id": self.run.run_id,
            "step": failure.step,
            "last_finite": failure.last_finite,
            "reason": str(failure),
        }

    def _finished(self) -> Row:
        """Save the run, evaluate both splits, and keep the model. Raises NonFiniteError."""
        seconds, run, dataset = self.seconds, self.run, self.dataset
        self.save()
        model = self._trained_model()
        result = evaluated(self.engine, model, run, dataset, self.last_metrics)
        # Under JAX, Keras imports TensorFlow here where it is installed, which prints pages.
        with suppress_stderr(), replacing(self.directory.path / MODEL) as partial:
            model.save(partial)
        return result | compared(model, run, dataset, result.get("gamma"), seconds)

    def _trained_model(self) -> Autoencoder:
        """Return the run's own model, with the weights of the engine's."""
        if self.model is not self.engine.model:
            for own, trained in zip(self.model.weights, self.engine.model.weights, strict=True):
                own.assign(trained)
        return self.model
