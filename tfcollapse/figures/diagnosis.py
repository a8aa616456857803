"""Draw the diagnosis of one VAE: its units, sigma_z, the spectra against gamma, and examples with reconstructions."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from tfcollapse.figures.style import dress, plain_log
from tfcollapse.metrics.posterior import SIGMA_BINS

if TYPE_CHECKING:
    from tfcollapse.diagnosis.measurements import Measurements


class Look(NamedTuple):
    """How the units of one kind are drawn.

    Attributes:
      label: its name in the legend.
      colour, hatch: of its bars; the hatch tells kinds apart where there is no colour.
    """

    label: str
    colour: str
    hatch: str


ACTIVE = Look("in use", "#0072b2", "")

_DATA: dict[str, Any] = {"label": "data", "color": "#1b1b1b", "marker": "o", "fillstyle": "none", "markersize": 6}
_RESIDUALS: dict[str, Any] = {"label": "residuals", "color": "#0072b2", "marker": "s", "markersize": 3}
_LINES: dict[str, Any] = {"linewidth": 1.4, "zorder": 1}
_TITLE_WIDTH, _FEW_UNITS = 125, 64
_SERIES, _LEAST_SIDE, _LARGEST_RATIO = 4, 4, 4


def diagnosis_figure(m: Measurements, looks: Sequence[Look], title: str, scale: str) -> Figure:
    """Draw what a diagnosis rests on.

    Args:
      m: the measurements.
      looks: [latent], how each unit is drawn; units of one kind have the same look.
      title: one sentence, above the panels.
      scale: what scales the KL against the error: "gamma", or "beta" for a likelihood without gamma. Residuals are then
        divided by the root of the likelihood's variance, so that the spectrum of the data does not compare with them.
    """
    kind = _kind(m.shown[0].shape)
    figure = Figure(figsize=(11, 6.4 if kind else 4.2), layout="constrained")
    grid = figure.add_gridspec(
        2 if kind else 1, 3, width_ratios=(1.25, 0.9, 1.1), height_ratios=(1.7, 1)[: 1 + bool(kind)]
    )
    units, sigma, spectrum = (figure.add_subplot(grid[0, column]) for column in range(3))
    _draw_units(units, m.kl_per_dimension, looks)
    _draw_sigma(sigma, m.sigma_histogram)
    _draw_spectrum(spectrum, m, scale)
    panels = [
        (units, "information that each unit carries"),
        (sigma, "noise of the latent code"),
        (spectrum, "what would pay for one more unit"),
    ]
    figure.suptitle(textwrap.fill(title, _TITLE_WIDTH), fontsize=11, x=0.01, ha="left")
    figure = dress(figure, panels, f"{m.images:,} examples of {m.dimensions:,} numbers; {m.latent_dim} latent units")
    if kind:
        examples = figure.add_subplot(grid[1, :])
        (_draw_pictures if kind == "pictures" else _draw_series)(examples, *m.shown)
    return figure


def _draw_units(axes: Axes, kl: np.ndarray, looks: Sequence[Look]) -> None:
    """Draw the KL of every unit as a bar with the look of its kind, the largest first."""
    order = np.argsort(-kl, kind="stable")
    # Many bars touch and have no edges, which would be all that is seen of them.
    width, edge = (0.8, 0.4) if len(kl) <= _FEW_UNITS else (1.0, 0.0)
    for look in dict.fromkeys(looks[unit] for unit in order):
        places = np.array([place for place, unit in enumerate(order, start=1) if looks[unit] == look])
        bars: dict[str, Any] = {
            "facecolor": look.colour,
            "hatch": look.hatch,
            "edgecolor": "#1b1b1b",
            "linewidth": edge,
        }
        axes.bar(places, kl[order[places - 1]], width=width, label=f"{look.label}: {len(places)}", **bars)
        # A dead unit has no bar to see: a square below the axis shows its kind.
        below: dict[str, Any] = {"bottom": -0.05, "transform": axes.get_xaxis_transform(), "clip_on": False}
        axes.bar(places, 0.035, width=width, **below, **bars)
    axes.set(xlabel="latent units, by their KL", ylabel="KL of the unit (nats)")
    axes.set_xlim(0.3, len(kl) + 0.7)
    axes.set_ylim(0, max(1.05 * float(kl.max()), 0.1))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    axes.tick_params(axis="x", pad=12, length=0)
    _legend(axes)


def _draw_sigma(axes: Axes, shares: np.ndarray) -> None:
    """Draw the histogram of sigma_z over examples and units."""
    axes.stairs(shares, SIGMA_BINS, fill=True, color="#56b4e9")
    axes.stairs(shares, SIGMA_BINS, color="#1b1b1b", linewidth=0.8)
    axes.axvline(1.0, color="#d55e00", linestyle="--", label="at 1 the code says nothing", **_LINES)
    axes.set(xlabel="sigma_z of an example in a unit", ylabel="share of (example, unit) pairs")
    axes.set_ylim(bottom=0)
    _legend(axes)


def _draw_spectrum(axes: Axes, m: Measurements, scale: str) -> None:
    """Draw the variances of the data and of the residuals along their main directions, and gamma as lines."""
    comparable = scale == "gamma"
    for values, look in (
        (m.data_eigenvalues[: 2 * m.latent_dim * comparable], _DATA),
        (m.residual_variances, _RESIDUALS),
    ):
        if len(values):
            shown = np.where(values > 0, values, np.nan)
            axes.plot(np.arange(1, len(shown) + 1), shown, linestyle="none", **look)
    for value, label, style in (
        (m.effective_gamma, f"{scale} in use", "-"),
        (m.optimal_gamma, f"{scale} that fits", "--"),
    ):
        if value is not None and value > 0:
            axes.axhline(value, label=f"{label}: {value:.3g}", color="#d55e00", linestyle=style, **_LINES)
    ylabel = "variance along the direction" if comparable else "variance over the likelihood's"
    axes.set(xlabel="direction, by its variance", ylabel=ylabel)
    plain_log(axes)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    _legend(axes)


def _legend(axes: Axes) -> None:
    """Put the legend below the panel, where it covers nothing, and the grid behind the data."""
    axes.set_axisbelow(True)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), fontsize=8, frameon=False, ncols=2, columnspacing=1.2)


def _kind(shape: tuple[int, ...]) -> str | None:
    """Return whether examples of shape [k, ...] are drawn as "pictures" or as "series"; None for a table."""
    sides = [side for side in shape[1:] if side not in (1, 3)] if len(shape) == 4 else list(shape[1:])
    if len(sides) == 2 and _LEAST_SIDE <= max(sides) <= _LARGEST_RATIO * min(sides):
        return "pictures"
    return "series" if len(shape) == 3 else None


def _draw_pictures(axes: Axes, examples: np.ndarray, reconstructions: np.ndarray) -> None:
    """Draw examples in one line and their reconstructions below, in the range of the examples' numbers."""
    low, high = float(examples.min()), float(examples.max())
    lines = [
        np.concatenate([_padded(_channels_last(one)) for one in part], axis=1) for part in (examples, reconstructions)
    ]
    mosaic = np.clip((np.concatenate(lines) - low) / max(high - low, 1e-12), 0.0, 1.0)
    axes.imshow(mosaic if mosaic.shape[-1] == 3 else mosaic[..., 0], cmap="gray", vmin=0.0, vmax=1.0)
    height = len(lines[0])
    axes.set(xticks=[], yticks=[height / 2, 1.5 * height], yticklabels=["examples", "reconstructed\nat the mean"])
    axes.tick_params(length=0, labelsize=8)
    axes.spines[:].set_visible(False)
    axes.set_title(
        f"examples and reconstructions, from {low:.3g} (black) to {high:.3g} (white)", loc="left", fontsize=10
    )


def _channels_last(picture: np.ndarray) -> np.ndarray:
    """Return [h, w], [h, w, c] or [c, h, w] as [h, w, c], c of 1 or 3."""
    if picture.ndim == 2:
        return picture[..., None]
    return picture if picture.shape[-1] in (1, 3) else np.moveaxis(picture, 0, -1)


def _padded(picture: np.ndarray) -> np.ndarray:
    """Return a picture [h, w, c] with a border that no number fills."""
    return np.pad(picture, ((1, 1), (1, 1), (0, 0)), constant_values=np.nan)


def _draw_series(axes: Axes, examples: np.ndarray, reconstructions: np.ndarray) -> None:
    """Draw the first channel of some series beside each other, with the reconstructions over them."""
    length = examples.shape[1]
    for number in range(min(_SERIES, len(examples))):
        steps = np.arange(length) + number * 1.1 * length
        first = number == 0
        axes.plot(steps, examples[number, :, 0], color="#1b1b1b", linewidth=1.0, label="example" if first else None)
        axes.plot(
            steps,
            reconstructions[number, :, 0],
            color="#d55e00",
            linewidth=1.4,
            linestyle="--",
            label="reconstructed at the mean" if first else None,
        )
    axes.set(xticks=[], xlabel=f"{length} steps each")
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title("first channel of examples and reconstructions", loc="left", fontsize=10)
    _legend(axes)
