"""Draw the theory lab's figures: each function takes the findings of one section and returns a matplotlib Figure."""

from __future__ import annotations

import itertools
import textwrap
from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from tfcollapse.figures.style import OTHER, SERIES, dress, legend, plain_log
from tfcollapse.figures.theory_curves import ENDS

Findings = Mapping[str, Any]
"""The findings of one section (`lab.section.Section`), as JSON has them: "curves", "settings", "checks" and others."""

_ENDS = {
    "collapsed": ("#1b1b1b", "collapsed: ends at (7)"),
    "partial minimum": ("#b2182b", "second bad minimum"),
    "reconstructed": ("#d9e4ef", "perfect reconstruction"),
    "undecided": ("#ffffff", "not ended"),
}
"""The colour and the legend of each end of the gradient flow, by its name in `theory.gradient_flow`."""
_GROUPS = ("before training", "most active unit", "killed by training")
"""The groups of collapsed units, from left to right, as `lab.killed_units` names them."""
_FONT = 8
_CAPTION = 150
"""The number of characters in a line of the caption."""


def affine_figure(findings: Findings) -> Figure:
    """Draw section 4: the staircase at fixed gamma, the saddles, and what training reaches."""
    curves = findings["curves"]
    figure = Figure(figsize=(10.4, 7.6), layout="constrained")
    (steps, saddles), (gammas, sigmas) = figure.subplots(2, 2)
    _staircase(steps, curves["staircase"])
    _saddles(saddles, curves["stationary"])
    trained = {name.removeprefix("trained "): curves[name] for name in curves if name.startswith("trained ")}
    for (name, run), style in zip(trained.items(), SERIES, strict=False):
        at = run["every"] * np.arange(1, len(run["gamma"]) + 1)
        gammas.plot(
            at,
            np.array(run["gamma"]) / run["optimal_gamma"],
            color=style["color"],
            linestyle=style["linestyle"],
            label=name,
        )
        sigmas.plot(run["predicted_sigma"], run["sigma"], style["marker"], color=style["color"], label=name)
    gammas.axhline(1, color="#555555", linewidth=0.8)
    plain_log(gammas)
    gammas.set(xlabel="steps of Adam", ylabel="learned gamma / gamma*")
    ends = [0, 1.1 * max(max(run["predicted_sigma"]) for run in trained.values())]
    sigmas.plot(ends, ends, color="#999999", linewidth=0.8)
    sigmas.set(xlabel="sigma_z predicted, sqrt(gamma* / lambda)", ylabel="sigma_z trained")
    for axes in (gammas, sigmas):
        axes.legend(fontsize=_FONT, edgecolor="none")
    panels = [
        (steps, "Units that a fixed gamma keeps"),
        (saddles, "Every stationary point, d = 5, kappa = 3"),
        (gammas, "Gamma under training"),
        (sigmas, "Posterior standard deviations"),
    ]
    return dress(figure, panels, _caption(findings))


def _staircase(axes: Axes, curve: Mapping[str, Any]) -> None:
    eigenvalues = sorted(curve["eigenvalues"])
    grid = np.geomspace(min(curve["gamma"]) / 1.5, 1.5 * max(curve["gamma"]), 400)
    axes.plot(
        grid,
        [(np.array(eigenvalues) > gamma).sum() for gamma in grid],
        color="#777777",
        label="eigenvalues above gamma",
    )
    axes.plot(curve["gamma"], curve["trained"], "o", color=SERIES[1]["color"], label="trained by Adam")
    axes.set_xscale("log")
    axes.set(xlabel="gamma, the decoder variance", ylabel="active units", yticks=range(len(eigenvalues) + 1))
    axes.legend(fontsize=_FONT, edgecolor="none")


def _saddles(axes: Axes, rows: list[Mapping[str, Any]]) -> None:
    for row in rows:
        axes.plot(row["directions"], row["energy"], "o", color=SERIES[0]["color"])
        served = "none" if not row["active"] else ", ".join(map(str, row["active"]))
        axes.annotate(f" serves {served}", (row["directions"], row["energy"]), fontsize=_FONT)
    axes.set(xlabel="ways down: negative eigenvalues of the Hessian", ylabel="energy, eq. (4)")
    axes.set_xlim(-0.3, 1.3 * max(row["directions"] for row in rows))


def prop1_figure(findings: Findings) -> Figure:
    """Draw Proposition 1: where the gradient flow ends, and the basin of (7).

    The further panels show how wide and how high the basin is, and how the energy falls beyond it on the path of B.1.
    """
    curves = findings["curves"]
    figure = Figure(figsize=(10.8, 7.4), layout="constrained")
    axes = figure.subplots(2, 3)
    flow, titles = curves["map"], []
    for panel, (name, ends) in zip((*axes[0], axes[1, 0]), flow["ends"].items(), strict=True):
        codes = np.array([[ENDS.index(end) for end in row] for row in ends])
        panel.pcolormesh(
            flow["mean"],
            flow["weight"],
            codes,
            cmap=ListedColormap([c for c, _ in _ENDS.values()]),
            vmin=-0.5,
            vmax=len(_ENDS) - 0.5,
            rasterized=True,
        )
        panel.set(xlabel="start of mu_1 = -mu_2", ylabel="start of W_1 = W_2")
        titles.append((panel, f"Gradient flow, {name}"))
    seen = {end for ends in flow["ends"].values() for row in ends for end in row}
    patches = [Patch(facecolor=c, edgecolor="#555555", label=t) for end, (c, t) in _ENDS.items() if end in seen]
    figure.legend(handles=patches, loc="outside upper left", ncols=len(patches), fontsize=_FONT, frameon=False)
    _basin(axes[1, 1], curves)
    path = curves["path"]
    for (alpha, energies), style in zip(path["energy"].items(), SERIES, strict=False):
        axes[1, 2].plot(path["delta"], energies, label=f"alpha {alpha}", **style)
    axes[1, 2].set_xscale("log")
    axes[1, 2].set(xlabel="delta = sigma_z on the path of B.1", ylabel="energy, eq. (6)")
    axes[1, 2].legend(fontsize=_FONT, edgecolor="none")
    titles += [(axes[1, 1], "The basin of (7)"), (axes[1, 2], "Beyond it: slope 4 in log delta")]
    figure = dress(figure, titles, _caption(findings))
    for panel, _ in titles[: len(flow["ends"])]:
        panel.grid(False)
    return figure


def _basin(axes: Axes, curves: Mapping[str, Any]) -> None:
    radius, barrier = curves["radius"], curves["barrier"]
    axes.plot(radius["alpha"], radius["found"], label="radius: lower energy found", **SERIES[1])
    axes.plot(radius["alpha"], radius["proved"], label="radius: proved", **SERIES[0])
    axes.plot(barrier["alpha"], barrier["height"], label="barrier: pass", **SERIES[2])
    axes.plot(barrier["bounded"], barrier["bound"], label="barrier: least height, by search", **OTHER)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set(xlabel="alpha", ylabel="radius; energy above (7)'s", ylim=(1e-8, None))
    axes.legend(fontsize=_FONT, edgecolor="none", loc="lower right")


def prop2_figure(findings: Findings) -> Figure:
    """Draw Proposition 2: which latents have collapsed as gamma grows.

    The further panels show where the proof's conditions fail, and which penalties prune coefficients exactly.
    """
    curves = findings["curves"]
    figure = Figure(figsize=(10.4, 7.4), layout="constrained")
    (steps, scales), (conditions, pruning) = figure.subplots(2, 2)
    stairs = curves["staircase"]
    steps.step(stairs["gamma"], stairs["collapsed"], where="post", color=SERIES[0]["color"], marker="o")
    steps.set(ylabel="latents at the prior to 1e-6", ylim=(-0.2, stairs["latent_dim"] + 0.4))
    # Lines of equal scales lie on one another: the dashes of each let those below show through.
    latents = np.transpose(stairs["scale"])
    for number, (scale, style) in enumerate(zip(latents, itertools.cycle(SERIES), strict=False), 1):
        scales.plot(stairs["gamma"], scale, label=f"latent {number}", **{**style, "markersize": 4})
    scales.set(ylabel="scale w_j on each latent")
    scales.legend(fontsize=_FONT, edgecolor="none", loc="lower left")
    for axes in (steps, scales):
        axes.set_xscale("log")
        axes.set_xlabel("gamma, the decoder variance")
        for name, dashes in (("trained_gamma", ":"), ("gamma'", "--"), ("lambda_max", "-.")):
            axes.axvline(stairs[name], color="#777777", linestyle=dashes, linewidth=1, label=name.replace("_", " "))
    relu = curves["conditions"]
    conditions.loglog(relu["sigma"], relu["curvature"], **SERIES[1])
    conditions.set(xlabel="sigma_z", ylabel="second derivative of f at the kink")
    shrunk = curves["shrinkage"]
    for (name, counts), style in zip(shrunk["kept"].items(), SERIES, strict=False):
        pruning.plot(shrunk["gamma"], counts, label=name, **{**style, "markersize": 3})
    pruning.set_xscale("log")
    pruning.set(xlabel="gamma", ylabel="coefficients that are not 0")
    pruning.legend(fontsize=_FONT, edgecolor="none", loc="center right")
    legend(figure, steps)
    panels = [
        (steps, "A trained dense VAE: exact collapse"),
        (scales, "The scales of its latents"),
        (conditions, "A ReLU unit has no Lipschitz constant"),
        (pruning, "min |x - Au|^2 + gamma eta(u): what prunes"),
    ]
    return dress(figure, panels, _caption(findings))


def prop4_figure(findings: Findings) -> Figure:
    """Draw Proposition 4: the curvature along a collapsed unit's way out, and the gamma that would close it, by depth.

    A third panel shows what gamma changes where every unit is collapsed. Findings of an earlier version have the first
    panel alone.
    """
    curves, titles = findings["curves"], []
    panels = [_curvatures]
    panels += [_room] if "critical_gamma" in curves["kinds"][0] else []
    panels += [_gamma_balance] if "gamma" in curves else []
    figure = Figure(figsize=(10.8, 4.8), layout="constrained")
    for axes, draw in zip(np.ravel(figure.subplots(1, len(panels))), panels, strict=True):
        titles.append((axes, draw(axes, curves)))
    legend(figure, titles[0][0])
    return dress(figure, titles, _caption(findings))


def _curvatures(axes: Axes, curves: Mapping[str, Any]) -> str:
    rows = curves["kinds"]
    axes.set_yscale("symlog", linthresh=0.1)  # before there are points, whose margins it decides
    _by_group(axes, rows, [row.get("unseen", row["lowest"]) for row in rows])
    axes.axhline(0, color="#555555", linewidth=0.8)
    axes.set(ylabel="curvature on unseen images, nats x 2")
    return "Along the way out: below 0, a saddle"


def _room(axes: Axes, curves: Mapping[str, Any]) -> str:
    rows = [row for row in curves["kinds"] if row["critical_gamma"] > 0]
    axes.set_yscale("log")
    _by_group(axes, rows, [row["critical_gamma"] / row["gamma"] for row in rows])
    axes.axhline(1, color="#555555", linewidth=0.8)
    axes.set(ylabel="critical gamma / gamma, unseen images")
    return "The gamma that closes it"


def _by_group(axes: Axes, rows: list[Mapping[str, Any]], values: list[float]) -> None:
    """Draw one marker a unit in a column for each depth: groups side by side, filled where the unit is a saddle.

    Those that are no saddles stand further to the right, so that they hide none.
    """
    depths = sorted({row["depth"] for row in rows})
    drawn: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for row, value in zip(rows, values, strict=True):
        place = depths.index(row["depth"]) + 0.3 * (_GROUPS.index(row["when"]) - 1) + 0.1 * (row["kind"] != "saddle")
        drawn.setdefault((row["when"], row["kind"]), []).append((place, value))
    for (group, kind), points in drawn.items():
        style = SERIES[_GROUPS.index(group)]
        axes.plot(
            *zip(*points, strict=True),
            **{**style, "linestyle": "none", "markersize": 5, "markerfacecoloralt": "white"},
            markerfacecolor=style["color"] if kind != "no way out found" else "white",
            fillstyle="bottom" if kind == "undecided" else "full",
            label=group if kind == "saddle" else f"{group}, {kind}",
        )
    for boundary in range(1, len(depths)):
        axes.axvline(boundary - 0.5, color="#dddddd", linewidth=0.8)
    axes.set_xticks(range(len(depths)), [f"{depth:g}" for depth in depths])
    axes.tick_params(axis="x", length=0)  # a column stands for a depth: no place in it does
    axes.set(xlabel="hidden layers in encoder and in decoder", xlim=(-0.5, len(depths) - 0.5))


def _gamma_balance(axes: Axes, curves: Mapping[str, Any]) -> str:
    curve = curves["gamma"]
    axes.set_xscale("log")
    axes.set_yscale("symlog", linthresh=0.1)
    axes.plot(curve["share"], curve["lowest"], **SERIES[0])
    axes.axvline(curve["critical"], color="#777777", linestyle="--", linewidth=1)
    axes.axhline(0, color="#555555", linewidth=0.8)
    axes.set(xlabel="gamma / gamma-bar (dashed: critical)", ylabel="lowest eigenvalue of a unit's Hessian")
    return "Every unit collapsed"


def equations_figure(findings: Findings) -> Figure:
    """Draw the gaps of eqs. (8) and (10), one point for each pair or run of the table."""
    figure = Figure(figsize=(10.4, 4.2), layout="constrained")
    panels = []
    for axes, name, title in zip(
        figure.subplots(1, 2), ("error", "gamma"), ("VAE error / AE error - 1", "gamma / VAE error - 1"), strict=True
    ):
        rows = findings["curves"][name]
        for objective, style in zip(dict.fromkeys(row["objective"] for row in rows), SERIES[1:], strict=False):
            chosen = [row for row in rows if row["objective"] == objective]
            axes.plot(
                [row["depth"] for row in chosen],
                [row["gap"] for row in chosen],
                label=objective,
                **{**style, "linestyle": "none"},
            )
        axes.axhline(0, color="#555555", linewidth=0.8)
        axes.set(xlabel="depth", ylabel=title, xticks=sorted({row["depth"] for row in rows}))
        panels.append((axes, "Eq. (8): at least 0" if name == "error" else "Eq. (10): 0"))
    legend(figure, *(axes for axes, _ in panels))
    return dress(figure, panels, _caption(findings))


def _caption(findings: Findings) -> str:
    facts = "; ".join(f"{name}: {value}" for name, value in findings["settings"].items())
    failed = sum(check["verdict"] == "fails" for check in findings["checks"])
    count = len(findings["checks"])
    wrapped = textwrap.fill(facts, _CAPTION)
    return f"{wrapped}\n{count} checks, {failed or 'none'} of them fail{'s' if failed == 1 else ''}"


FIGURES = {
    "affine": affine_figure,
    "prop1": prop1_figure,
    "prop2": prop2_figure,
    "prop4": prop4_figure,
    "equations": equations_figure,
}
"""The function of each section's figure, in the paper's order."""
