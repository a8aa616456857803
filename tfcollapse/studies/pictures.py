"""Draw what trained models reconstruct and sample, for datasets whose licence lets images be shown."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Sequence

import numpy as np
from keras import ops
from matplotlib.figure import Figure

from tfcollapse.config.declaration import Run
from tfcollapse.data.dataset import load
from tfcollapse.errors import ConfigError, RunError
from tfcollapse.figures.pictures import Line, label_of, picture_figure
from tfcollapse.figures.style import caption
from tfcollapse.models.autoencoder import load_model
from tfcollapse.records.run_directory import RunDirectory
from tfcollapse.records.table import tidy_row

SHOWN = ("fashion_mnist", "fashion_mnist_mini", "cifar10", "cifar100")
"""The datasets whose images may be redistributed inside a figure. CelebA's, SVHN's and ImageNet's may not."""
COUNT = 8
"""The number of images in a line of the picture."""


def pictures(runs: Sequence[Run], out: pathlib.Path, *, data_dir: str | os.PathLike[str] | None = None) -> Figure:
    """Draw a grid: a line of the first test images, then a line for each finished model of `runs`.

    Of several seeds the first is drawn, and of several datasets the first.

    Args:
      runs: the runs of a sweep.
      out: the directory of run directories.
      data_dir: the directory of TFDS, or None.

    Raises:
      ConfigError: the images of no run are known to be free to show.
      RunError: none of these runs has finished.
    """
    shown = [run for run in runs if run.data.name in SHOWN]
    if not shown:
        raise ConfigError(
            f"pictures: expected runs on {', '.join(SHOWN)}, received {', '.join({run.data.name for run in runs})}, "
            "whose images are not known to be free to show"
        )
    shown = [run for run in shown if run.seed == min(run.seed for run in shown)]
    shown = [run for run in shown if run.data == shown[0].data]
    directories = [RunDirectory(out / run.run_id, run) for run in shown]
    finished = [directory for directory in directories if (directory.path / "model.keras").exists()]
    if not finished:
        raise RunError(f"pictures: '{out}' holds none of the {len(shown)} models: run the sweep first")
    rows = [tidy_row(directory) for directory in finished]
    images = load(shown[0].data, data_dir=data_dir).test[:COUNT] / np.float32(255)
    lines = [_line(directory, label_of(row), images) for directory, row in zip(finished, rows, strict=True)]
    return picture_figure([Line("test image", images), *lines], caption(rows))


def _line(directory: RunDirectory, label: str, images: np.ndarray) -> Line:
    model = load_model(directory.model)
    samples = ops.convert_to_numpy(model.sample(COUNT)) if model.variational else None
    return Line(label, ops.convert_to_numpy(model.reconstruct(images)), samples)
