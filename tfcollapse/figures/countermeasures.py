"""Draw the study of countermeasures: what every arm obtained, and the VAEs' units against the AEs' errors."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import offset_copy

from tfcollapse.figures.style import OTHER, STYLES, finish, legend, plain_log, units_axis
from tfcollapse.records.arms import by_network, by_objective, objective_arm
from tfcollapse.records.statistics import PLAIN, Row, Rows, aes_and_vaes, at_depth, mean_and_sd, measured, network_arm
from tfcollapse.records.trained import marked, not_trained

_LOOKS = {kind: STYLES[kind] for kind in ("AE", "VAE")}


class _Panel(NamedTuple):
    """A panel: its title, the column that it shows, the label of its axis, and what makes the number that is shown."""

    title: str
    measure: str
    label: str
    shown: Callable[[float], float] = float


def _milliseconds(rate: float) -> float:
    return 1_000 / rate if rate else math.nan


_PANELS = {
    "error": _Panel("Reconstruction error, eq. (8)", "train_error", "squared error per pixel, training set"),
    "units": _Panel("Active units", "active_units", "latent dimensions with Var[mean] > 0.01"),
    "information": _Panel("I_q(x; z)", "mutual_information", "nats; no estimate over n images exceeds log n"),
    "rank": _Panel("Effective rank of the means", "effective_rank", "directions of the latents' means"),
    "bound": _Panel("Negative ELBO", "test_negative_elbo", "nats an image, test images"),
    "time": _Panel("Time a step", "steps_per_second", "milliseconds, on a shared machine", _milliseconds),
}


def countermeasures_figure(rows: Rows) -> Figure:
    """Draw error, active units, I_q(x; z), effective rank, bound and time of every arm of the deepest networks.

    The shallowest plain networks stand first. The last panel shows the active units of each VAE against the error of
    the AE with the same change of the network or of the training. Bars are one standard deviation over seeds.

    Args:
      rows: the rows of AEs and VAEs with several changes, at one depth or more, at least one.

    Example:
      >>> rows = [row for row in tc.read_table("results/long/fig1_left.csv") if row["objective"] != "VAE + KL warm-up"]
      >>> figure = tc.figures.countermeasures_figure(rows)
      >>> [label.get_text() for label in figure.axes[0].get_yticklabels()]
      ['plain, depth 2', '1  plain']
    """
    rows = marked(rows)
    arms = _arms(rows)
    figure = Figure(figsize=(14.4, 3.4 + 0.3 * len(arms)), layout="constrained")
    axes = figure.subplot_mosaic([["error", "units", "information", "pairs"], ["rank", "bound", "time", "pairs"]])
    for name, panel in _PANELS.items():
        _panel(axes[name], arms, panel, named=name in ("error", "rank"))
    _pairs(axes["pairs"], rows)
    legend(figure, axes["error"])
    titled = [(axes[name], panel.title) for name, panel in _PANELS.items()]
    finish(figure, [*titled, (axes["pairs"], "The VAE's units against its AE's error")], rows)
    for name in _PANELS:
        axes[name].grid(axis="x", which="major", color="#dddddd", linewidth=0.6)
    return figure


def _arms(rows: Rows) -> dict[str, list[Row]]:
    """Return the rows of every arm by its name, in the order in which they are drawn, from the top."""
    deep = at_depth(rows, max)
    plain = {
        f"{arm}, depth {depth}": chosen
        for depth in sorted({row["depth"] for row in rows} - {deep[0]["depth"]})
        for arm, chosen in by_network([row for row in rows if row["depth"] == depth]).items()
        if network_arm(chosen[0]) == PLAIN
    }
    objectives = {arm: chosen for arm, chosen in by_objective(deep).items() if objective_arm(chosen[0]) != PLAIN}
    networks = {f"{number}  {arm}": chosen for number, (arm, chosen) in enumerate(by_network(deep).items(), start=1)}
    return {**plain, **networks, **objectives}


def _panel(axes: Axes, arms: Mapping[str, Rows], panel: _Panel, *, named: bool) -> None:
    """Draw one measure of every arm, the AE a little above the VAE, with the arms from the top to the bottom."""
    for (kind, style), above in zip(_LOOKS.items(), (0.15, -0.15), strict=True):
        for place, rows in enumerate(arms.values()):
            chosen = [row for row in rows if (row["objective"] == "AE") == (kind == "AE")]
            values = [panel.shown(value) for value in measured(chosen, panel.measure)]
            if values:
                mean, sd = mean_and_sd(values)
                face = {"markerfacecolor": "white"} if not_trained(chosen) else {}
                look: dict[str, Any] = {**style, "linestyle": "none", "markersize": 5, "capsize": 3, **face}
                axes.errorbar(mean, place - above, xerr=sd or None, label=kind, **look)
    axes.set_yticks(range(len(arms)), list(arms) if named else [""] * len(arms), fontsize=8)
    axes.set_ylim(len(arms) - 0.5, -0.5)
    axes.set_xlabel(panel.label, fontsize=8)
    if panel.measure == "train_error":
        plain_log(axes, "x")


def _pairs(axes: Axes, rows: Rows) -> None:
    """Draw the units of the VAE of every change of network or training against the error of its AE, with its number.

    Numbers stand above and below their points in turn, so that neighbours are told apart. Networks that were not
    trained are grey.
    """
    points = []
    for number, chosen in enumerate(by_network(at_depth(rows, max)).values(), start=1):
        aes, vaes = aes_and_vaes(chosen)
        errors, units = measured(aes, "train_error"), measured(vaes, "active_units")
        if errors and units:
            colour = OTHER["color"] if not_trained(chosen) else STYLES["VAE"]["color"]
            points.append((mean_and_sd(errors)[0], mean_and_sd(units)[0], number, colour))
    for place, (error, active, number, colour) in enumerate(sorted(points)):
        look: dict[str, Any] = {"color": colour, "linestyle": "none"}
        beside = offset_copy(axes.transData, axes.get_figure(root=True), y=-9 if place % 2 else 9, units="points")
        axes.plot(error, active, marker="o", markersize=4, **look)
        axes.plot(error, active, marker=f"${number}$", markersize=6, transform=beside, **look)
    units_axis(axes, rows)
    axes.set_xlabel("squared error per pixel of the AE, training set", fontsize=8)
    axes.set_ylabel("active units of the VAE of the same number", fontsize=8)
