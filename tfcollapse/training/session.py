"""One process' work on a run: the loop from checkpoint to checkpoint."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable

import numpy as np

from tfcollapse.backend import backend
from tfcollapse.config.declaration import Run
from tfcollapse.data import random_streams as draws
from tfcollapse.data.dataset import Dataset
from tfcollapse.errors import NonFiniteError
from tfcollapse.models.autoencoder import Autoencoder
from tfcollapse.models.build import build
from tfcollapse.models.memory import check_batch
from tfcollapse.records.provenance import environment
from tfcollapse.records.run_directory import Row, RunDirectory
from tfcollapse.training import checkpoint, engines
from tfcollapse.training import strategy as strategies
from tfcollapse.training.batches import BatchPrefetcher
from tfcollapse.training.engine import METRICS
from tfcollapse.training.evaluation import evaluate
from tfcollapse.training.progress import Progress
from tfcollapse.training.workers import Workers

PROBE = draws.EVALUATION_BLOCK
"""Training images on which diagnostics.csv is measured while a run goes on."""

_PENDING = "pending/"


class Session:
    """Trains a run from where it stands. Every worker has one; the chief's alone reads and writes the directory."""

    def __init__(
        self,
        run: Run,
        directory: RunDirectory,
        dataset: Dataset,
        workers: Workers,
        report: Callable[[Progress], None],
    ):
        self.run, self.directory, self.dataset = run, directory, dataset
        self.workers, self.report = workers, report
        check_batch(run.training.log_every * run.training.batch, dataset.image_shape)
        with workers.strategy.scope():
            self.model = build(run, dataset.image_shape)
            self.engine = engines.acquire(self.model, run)
        self.seconds_before = 0.0
        self.active_units: int | None = None
        self.pending: dict[str, np.ndarray] = {}
        self._restore()
        if workers.chief:
            directory.rewind(self.engine.step)
            facts = strategies.describe(workers.strategy) | {"backend": backend(), "jit": self.engine.jit}
            facts = environment(**facts, device=self.engine.device, resumed_from=self.engine.step)
            directory.write_json("environment.json", facts | {"earlier": directory.sessions})
        self.last_values: dict[str, float] = {}
        self.first_step, self.started = self.engine.step, time.monotonic()
        self.ended: float | None = None
        self.together = 1
        # ahead only beside an accelerator: on a CPU it would take time from the training itself
        ahead = self.engine.device.upper() != "CPU"
        self.on_device = self.engine.put_on_device(dataset.train)
        self.prefetcher = BatchPrefetcher(run, dataset.train, on_device=self.on_device, ahead=ahead)

    @property
    def seconds(self) -> float:
        """Training time over all sessions that led here; its share of it, where several train as one program."""
        return self.seconds_before + ((self.ended or time.monotonic()) - self.started) / self.together

    def trained(self) -> Autoencoder:
        """The run's model as trained so far."""
        if self.model is not self.engine.model:
            for own, reached in zip(self.model.weights, self.engine.model.weights, strict=True):
                own.assign(reached)
        return self.model

    @property
    def done(self) -> bool:
        """Whether the run has all its steps."""
        return self.engine.step == self.run.training.steps

    def next_batches(self, pace: int) -> tuple[np.ndarray, np.ndarray]:
        """Draw what `Engine.train_steps` takes next: `pace` steps, fewer where a row of metrics.csv is due before."""
        step, every = self.engine.step, self.run.training.log_every
        return self.prefetcher.batches(step, min(pace, every - step % every, self.run.training.steps - step))

    def record_steps(self, step: int, values: dict[str, np.ndarray]) -> None:
        """Record what the updates from `step` on gave.

        Raises:
          NonFiniteError: they broke down.
        """
        training, engine = self.run.training, self.engine
        self._check_finite(step, values)
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

    def _row(self) -> Row:
        row = {"step": self.engine.step, "seconds": round(self.seconds, 3)}
        row |= {name: float(np.mean(value, dtype=np.float64)) for name, value in self.pending.items()}
        self.pending = {}
        return row

    def _check_finite(self, step: int, values: dict[str, np.ndarray]) -> None:
        finite = np.all([np.isfinite(value) for value in values.values()], axis=0)
        bad = int(np.argmin(finite)) if not finite.all() else None
        if bad != 0:  # the values of the last step that was finite
            self.last_values = {name: float(value[-1 if bad is None else bad - 1]) for name, value in values.items()}
        if bad is not None:
            raise NonFiniteError(step + bad + 1, self.last_values)

    def _probe(self) -> None:
        numbers = evaluate(self.engine, self.run, self.dataset.train[:PROBE])
        self.active_units = numbers.get("active_units")
        rows = []
        for measure, value in numbers.items():
            for dimension, item in enumerate(value) if isinstance(value, list) else [("", value)]:
                place = {"step": self.engine.step, "split": "probe", "measure": measure, "dimension": dimension}
                rows.append(place | {"value": item})
        self.directory.append("diagnostics.csv", rows)

    def save(self) -> None:
        """Write a checkpoint of where the run stands."""
        if self.workers.chief:
            state = self.engine.state() | {"seconds": np.float64(self.seconds)}
            # What the steps since the last row of metrics.csv gave, for the row to come.
            state |= {_PENDING + name: values for name, values in self.pending.items()}
            checkpoint.save(self.directory.checkpoints, self.engine.step, state)

    def _restore(self) -> None:
        """Take the newest checkpoint's state, in every worker from the chief, who alone can see the directory."""
        saved = None
        if self.workers.chief:
            saved = checkpoint.newest(self.directory.checkpoints, lambda text: warnings.warn(text, stacklevel=2))
            if saved is not None:
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

    def _report(self, row: Row) -> None:
        speed = (self.engine.step - self.first_step) / (time.monotonic() - self.started)
        self.report(
            Progress(
                self.run.run_id,
                self.engine.step,
                self.run.training.steps,
                speed,
                row["reconstruction_error"],
                row["gamma"] if self.engine.model.variational else None,
                self.active_units,
            )
        )
