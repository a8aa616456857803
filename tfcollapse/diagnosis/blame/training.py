"""Train the arms of `tfcollapse blame`: runs of ours in their directories, or a user's own architecture in memory."""

from __future__ import annotations

import contextlib
import hashlib
import inspect
import math
import pathlib
import time
import zipfile
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import keras
import numpy as np

from tfcollapse.config.declaration import Run
from tfcollapse.data.dataset import load
from tfcollapse.diagnosis.blame.arms import VAE, Arm
from tfcollapse.diagnosis.blame.user_model import Build, reconstruction_error, user_autoencoder
from tfcollapse.diagnosis.categories import INCONSISTENT, NOT_TRAINED
from tfcollapse.diagnosis.diagnose import Diagnosis, diagnose
from tfcollapse.diagnosis.evidence import DEFAULT
from tfcollapse.diagnosis.run_diagnosis import diagnose_run
from tfcollapse.diagnosis.units import sort_units
from tfcollapse.errors import RunError
from tfcollapse.models.autoencoder import Autoencoder
from tfcollapse.models.build import build as build_model
from tfcollapse.records.files import disk_errors, replacing
from tfcollapse.records.run_directory import RunDirectory
from tfcollapse.training import engines
from tfcollapse.training.batches import batches_for_steps
from tfcollapse.training.in_memory import train_model
from tfcollapse.training.progress import Progress
from tfcollapse.training.trainer import train

Report = Callable[[Progress], None]
Trained = tuple[Arm, Diagnosis | None]
"""An arm after its training, and its diagnosis where it is a VAE."""
_TIMED_STEPS, _SLOW_STEP = 20, 0.5
"""How many steps are timed, and the seconds of a step that is timed alone."""


class ArmTrainer(Protocol):
    """What trains the arms.

    Attributes:
      runs: the declarations, by the name of the arm.
      images: that the arms are trained on.
    """

    runs: Mapping[str, Run]
    images: np.ndarray

    def train(self, name: str, report: Report) -> Trained:
        """Train an arm or find it finished, and diagnose it where it is a VAE. Raises UserError."""
        ...

    def untrained(self, name: str) -> tuple[keras.Model, keras.Model]:
        """Build the encoder and the decoder of an arm as they are before training."""
        ...

    def steps_left(self, name: str) -> int:
        """Return how many steps of an arm are not done yet."""
        ...

    def where(self, name: str) -> str:
        """Return the path that keeps an arm; an empty text where nothing does."""
        ...

    def cost(self, name: str) -> float:
        """Return the cost of a step of an arm, in steps of the VAE."""
        ...

    def seconds_per_step(self) -> float:
        """Time the first steps of the VAE."""
        ...


class RunArms:
    """Arms that are runs of ours, each in its own directory, where it is resumed and kept.

    Args:
      runs: the declarations, by the name of the arm.
      out: the directory of the run directories.
      data_dir: where TensorFlow Datasets keeps its data.
      command: the command line, for the provenance of the diagnoses.
    """

    def __init__(self, runs: Mapping[str, Run], out: pathlib.Path, data_dir: Any, command: str):
        self.runs, self.out, self.data_dir, self.command = runs, out, data_dir, command
        self.images = load(runs[VAE].data, data_dir=data_dir).train

    def train(self, name: str, report: Report) -> Trained:
        run = self.runs[name]
        result = train(run, self.out, data_dir=self.data_dir, report=report)
        if result["status"] != "finished":
            return _diverged(name, result.get("reason"))
        if run.objective.kind == "ae":
            return Arm(name, result["train"]["reconstruction_error"]), None
        return _diagnosed(name, diagnose_run(self.out / run.run_id, self.data_dir, command=self.command))

    def untrained(self, name: str) -> tuple[keras.Model, keras.Model]:
        model = build_model(self.runs[name], self.images.shape[1:])
        return model.encoder, model.decoder

    def steps_left(self, name: str) -> int:
        run = self.runs[name]
        directory = RunDirectory(self.out / run.run_id, run)
        if directory.result is not None:
            return 0
        last = directory.last_metrics if directory.path.exists() else None
        return run.training.steps - (int(last["step"]) if last else 0)

    def where(self, name: str) -> str:
        return str(self.out / self.runs[name].run_id)

    def cost(self, name: str) -> float:
        return self._flops(name) / self._flops(VAE)

    def _flops(self, name: str) -> int:
        return self.runs[name].flops_per_image(self.images.shape[1:])

    def seconds_per_step(self) -> float:
        run = self.runs[VAE]
        engine = engines.acquire(build_model(run, self.images.shape[1:]), run)
        seconds = _time_steps(engine, run, self.images)
        engines.release(engine, run)  # so that the training of the VAE does not compile its steps again
        return seconds


class BuildArms:
    """Arms of a user's own architecture, trained in memory. With a directory, what was trained is kept and found again.

    Args:
      runs: the declarations, by the name of the arm. Of the network they hold the latents and the start alone.
      builds: the user's functions, by the name of the arm.
      images: [n, ...], uint8, or float32 of any range.
      out: the directory of the records, or None.
    """

    def __init__(
        self, runs: Mapping[str, Run], builds: Mapping[str, Build], images: np.ndarray, out: pathlib.Path | None
    ):
        self.runs, self.builds, self.images, self.out = runs, builds, images, out
        self._data = hashlib.sha256(np.ascontiguousarray(images).data).hexdigest()

    def train(self, name: str, report: Report) -> Trained:
        run = self.runs[name]
        model = user_autoencoder(self.builds[name], run, self.images.shape[1:])
        gamma = self._kept_gamma(name, model)
        if gamma is None:
            train_model(model, run, self.images, report)
            gamma = self._gamma(model, run)
            if not all(np.isfinite(np.asarray(weight)).all() for weight in (gamma, *model.weights)):
                return _diverged(name, "its weights are not finite")
            self._keep(name, model, gamma)
        if run.objective.kind == "ae":
            return Arm(name, reconstruction_error(model, self.images)), None
        declared: dict[str, Any] = {}
        if run.objective.kl_weight is not None:
            learned = run.objective.gamma == "learned"
            declared = {"gamma": gamma, "beta": run.objective.kl_weight, "gamma_learned": learned}
        diagnosis = diagnose(model.encoder, model.decoder, self.images, **declared, seed=run.seed)
        return _diagnosed(name, diagnosis)

    def untrained(self, name: str) -> tuple[keras.Model, keras.Model]:
        model = user_autoencoder(self.builds[name], self.runs[name], self.images.shape[1:])
        return model.encoder.encoder, model.decoder.decoder

    def steps_left(self, name: str) -> int:
        record = self._record(name)
        return 0 if record is not None and record.exists() else self.runs[name].training.steps

    def where(self, name: str) -> str:
        return str(self._record(name) or "")

    def cost(self, name: str) -> float:
        return 1.0

    def seconds_per_step(self) -> float:
        run = self.runs[VAE]
        model = user_autoencoder(self.builds[VAE], run, self.images.shape[1:])
        return _time_steps(engines.engine(model, run, str(self.images.dtype)), run, self.images)

    def _record(self, name: str) -> pathlib.Path | None:
        """Return the file that keeps an arm, named by what decides its numbers: run, images, the user's code."""
        if self.out is None:
            return None
        declared = self.runs[name].to_json() + self._data + _source(self.builds[name])
        return self.out / f"build-{hashlib.sha256(declared.encode()).hexdigest()[:16]}.npz"

    def _gamma(self, model: Autoencoder, run: Run) -> float:
        """Return the gamma that a model ends with; eq. (10) sets an optimal one, by all images."""
        if not model.variational:
            return 1.0
        if run.objective.gamma == "optimal":
            return reconstruction_error(model, self.images, run.seed)
        return float(model.gamma)

    def _kept_gamma(self, name: str, model: Autoencoder) -> float | None:
        """Give a model the weights that its record keeps, and return gamma; None where there is no whole record."""
        record = self._record(name)
        if record is None or not record.exists():
            return None
        damaged = contextlib.suppress(OSError, ValueError, KeyError, zipfile.BadZipFile)
        with damaged, np.load(record, allow_pickle=False) as kept:
            model.set_weights([kept[f"weight_{number}"] for number in range(len(model.weights))])
            return float(kept["gamma"])
        return None

    def _keep(self, name: str, model: Autoencoder, gamma: float) -> None:
        """Keep the weights of a trained model and its gamma. Raises RunError."""
        record = self._record(name)
        if record is None:
            return
        with disk_errors(record):
            record.parent.mkdir(parents=True, exist_ok=True)
        weights = {f"weight_{number}": weight for number, weight in enumerate(model.get_weights())}
        with replacing(record) as partial, partial.open("wb") as file:
            np.savez(file, gamma=gamma, **weights)


def _source(build: Build) -> str:
    """Return what decides what a user's function builds: its whole file, its defaults, and what it closes over."""
    try:
        file = pathlib.Path(inspect.getsourcefile(build) or "")
        text = file.read_text() if file.is_file() else inspect.getsource(build)
        closed_over = [cell.cell_contents for cell in build.__closure__ or ()]  # type: ignore[attr-defined]
        return repr((build.__qualname__, text, build.__defaults__, build.__kwdefaults__, closed_over))  # type: ignore[attr-defined]
    except (OSError, TypeError, AttributeError):  # not a function with a source: never found again
        return repr(build)


def _time_steps(engine: Any, run: Run, images: np.ndarray) -> float:
    """Return the seconds that a step takes once it is compiled: of one step where it is slow, else over several."""

    def timed(count: int) -> float:
        batches = batches_for_steps(run, images, 0, count)
        started = time.perf_counter()
        engine.train_steps(*batches)
        return (time.perf_counter() - started) / count

    timed(1)  # compiles
    once = timed(1)
    return once if once > _SLOW_STEP else timed(min(_TIMED_STEPS, run.training.log_every))


def _diverged(name: str, reason: str | None) -> Trained:
    """Return an arm that diverged, which counts as not trained. Raises RunError for the VAE itself."""
    if name == VAE:
        raise RunError(f"blame: the arm '{name}' did not finish: {reason}")
    return Arm(name, math.inf), None


def _diagnosed(name: str, diagnosis: Diagnosis) -> Trained:
    """Return the arm that a diagnosed VAE is, with the diagnosis.

    Where the verdict is on the whole model, its weak units count with the dead ones, as they do in every other verdict.
    """
    measured, counts = diagnosis.measurements, diagnosis.verdict.counts
    if diagnosis.verdict.category in (NOT_TRAINED, INCONSISTENT):
        units = sort_units(measured, DEFAULT)
        idle = len(units.dead) + len(units.weak)
        counts = {"active": measured.latent_dim - idle} | ({diagnosis.verdict.category: idle} if idle else {})
    return Arm(name, measured.error, measured.gamma, counts["active"], measured.kl, counts), diagnosis
