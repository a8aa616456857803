"""Draw the trainings of `tfcollapse blame`: the error and the active units of every arm."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from tfcollapse.figures.style import SERIES, dress
from tfcollapse.records.statistics import Row, Rows

_COLOURS = {True: SERIES[2]["color"], False: "#9a9a9a"}
"""Of a VAE, and of an AE."""


def blame_figure(rows: Rows, pca_error: float, mean_predictor_error: float, latent_dim: int, text: str) -> Figure:
    """Draw the error of every arm beside those of PCA and the mean predictor, and the active units of the VAEs.

    Arms whose networks were not trained are hollow. An arm that diverged has no bar.

    Args:
      rows: one for each arm, in their order: "arm", its name; "train_error", squared error per pixel, None where it
        diverged; "active_units", None for an AE; "trained".
      pca_error: of PCA with as many components as latents.
      mean_predictor_error: of a decoder that ignores z.
      latent_dim: how many latents the VAEs have.
      text: the caption.

    Example:
      >>> rows = [
      ...     {"arm": "VAE", "train_error": 0.03, "active_units": 2, "trained": True},
      ...     {"arm": "AE twin", "train_error": 0.02, "active_units": None, "trained": True},
      ... ]
      >>> figure = tc.figures.blame_figure(rows, 0.01, 0.085, latent_dim=8, text="two arms")
      >>> len(figure.axes)
      2
    """
    figure = Figure(figsize=(10.4, 1.9 + 0.34 * len(rows)), layout="constrained")
    errors, units = figure.subplots(1, 2, sharey=True, width_ratios=(3, 2))
    errors.set_yticks(range(len(rows)), [row["arm"] for row in rows])
    errors.invert_yaxis()
    largest = max([mean_predictor_error, *(row["train_error"] or 0.0 for row in rows)])
    for place, row in enumerate(rows):
        if row["train_error"] is None:
            errors.annotate("diverged", (0, place), xytext=(4, 0), textcoords="offset points", va="center", fontsize=8)
        else:
            _bar(errors, place, row["train_error"], row)
        if row["active_units"] is not None:
            _bar(units, place, row["active_units"], row)
    for value, name in ((pca_error, "PCA"), (mean_predictor_error, "mean predictor")):
        errors.axvline(value, color="#555555", linewidth=0.9, linestyle=(0, (1, 2)), zorder=0)
        above: dict[str, Any] = {"xycoords": ("data", "axes fraction"), "textcoords": "offset points", "ha": "center"}
        errors.annotate(name, (value, 1.0), (0, 2), **above, va="bottom", fontsize=8)
    errors.set_xlim(0, 1.14 * largest)
    errors.set_xlabel("squared error per number, training set")
    units.set_xlim(0, 1.14 * latent_dim)
    units.axvline(latent_dim, color="#999999", linewidth=0.8, zorder=0)
    units.set_xlabel(f"units in use (active, and not weak), of {latent_dim}")
    _legend(figure, rows)
    dress(figure, [(errors, ""), (units, "")], text)
    for axes in (errors, units):
        axes.grid(visible=False)
        axes.tick_params(axis="y", length=0)
    return figure


def _bar(axes: Axes, place: int, value: float, row: Row) -> None:
    """Draw one bar with its number behind its end, hollow where the network was not trained."""
    colour = _COLOURS[row["active_units"] is not None]
    style = {"color": colour} if row["trained"] else _hollow(colour)
    axes.barh(place, value, height=0.62, **style)
    behind = {"facecolor": "white", "edgecolor": "none", "pad": 0.5}
    axes.annotate(
        f"{value:.3g}", (value, place), (4, 0), textcoords="offset points", va="center", fontsize=8, bbox=behind
    )


def _hollow(colour: str) -> dict[str, Any]:
    return {"facecolor": "none", "edgecolor": colour, "linewidth": 1.2}


def _legend(figure: Figure, rows: Rows) -> None:
    """Say what the colours mean, and what hollow bars are where there are some."""
    handles = [Patch(color=_COLOURS[True], label="VAE"), Patch(color=_COLOURS[False], label="AE")]
    if not all(row["trained"] for row in rows):
        text = "hollow: not trained (error not below 95% of the mean predictor's)"
        handles.append(Patch(label=text, **_hollow("#555555")))
    figure.legend(handles=handles, loc="outside upper left", ncols=3, fontsize=8, edgecolor="none")
