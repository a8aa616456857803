"""Draw reconstructions and samples as pictures. This figure alone is drawn from models and not from a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure


class Line(NamedTuple):
    """One line of the grid of pictures.

    Attributes:
      label: the text in front of the line.
      images: [n, height, width, channels], float in [0, 1]; values beyond are clipped.
      samples: images from the prior, of the same form; None where there are none.
    """

    label: str
    images: np.ndarray
    samples: np.ndarray | None = None


def picture_figure(lines: Sequence[Line], caption: str) -> Figure:
    """Draw a grid of pictures: originals or reconstructions at the left, samples from the prior at the right.

    Args:
      lines: at least one line, one for the originals or for a model; the right column is drawn where a line has
        samples.
      caption: the text below the grid.
    """
    with_samples = any(line.samples is not None for line in lines)
    columns = 2 if with_samples else 1
    count, height, width = lines[0].images.shape[:3]
    side = 0.42
    wide, high = columns * count * side * width / height, len(lines) * side
    labels = 0.075 * max(len(line.label) for line in lines)  # inches, of 8 points text
    rows_of_text = 1 + caption.count("\n")
    figure = Figure(figsize=(wide + labels + 0.2, high + 0.35 + 0.16 * rows_of_text), layout="compressed")
    figure.get_layout_engine().set(w_pad=0.04, h_pad=0.02, wspace=0.0, hspace=0.0)  # type: ignore[union-attr, call-arg]
    grid = figure.subplots(len(lines), columns, squeeze=False)
    for axes, line in zip(grid, lines, strict=True):
        _strip(axes[0], line.images)
        axes[0].set_ylabel(line.label, rotation=0, ha="right", va="center", fontsize=8)
        if with_samples:
            _strip(axes[1], line.samples)
    grid[0][0].set_title("reconstructions at the posterior's mean", loc="left", fontsize=9)
    if with_samples:
        grid[0][1].set_title("mu_x(z), z from the prior", loc="left", fontsize=9)
    figure.supxlabel(caption, fontsize=8, color="#333333")
    return figure


def _strip(axes: Axes, images: np.ndarray | None) -> None:
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    if images is None:
        return
    strip = np.clip(np.concatenate(list(images), axis=1), 0.0, 1.0)
    axes.imshow(
        strip if strip.shape[-1] == 3 else strip[..., 0], cmap="gray", vmin=0.0, vmax=1.0, interpolation="nearest"
    )


def label_of(row: Mapping[str, object]) -> str:
    """Return the name of a model for the grid of pictures.

    Args:
      row: the row of the model's run.
    """
    extra = [str(row[name]) for name in ("initializer",) if row[name] != "glorot_uniform"]
    if row["gamma_mode"] in ("learned", "optimal"):
        extra.append(f"gamma {row['gamma_mode']}")
    if row.get("block_depth"):
        extra.append(f"c = {row['block_depth']}")
    return ", ".join([f"{row['objective']}, depth {row['depth']}", *extra])
