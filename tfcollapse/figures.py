"""One function per figure: table rows in, matplotlib Figure out. No TensorFlow, no training."""

from __future__ import annotations

import math
import pathlib
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from tfcollapse.record import replacing

Rows = Sequence[Mapping[str, Any]]

# Black and greys that print, each with its own marker and dashes; hue is only an extra.
STYLES: dict[str, dict[str, Any]] = {
    "AE": {"color": "#1b1b1b", "marker": "o", "linestyle": "-"},
    "VAE": {"color": "#b2182b", "marker": "s", "linestyle": "--"},
    "VAE + KL warm-up": {"color": "#6fa3d8", "marker": "^", "linestyle": "-."},
}
_OTHER = {"color": "#777777", "marker": "D", "linestyle": ":"}


def depth_figure(rows: Rows) -> Figure:
    """Figure 1 (left): error and active units against depth, a line per objective, sd over seeds as bars."""
    figure = Figure(figsize=(9.6, 4.6), layout="constrained")
    errors, units = figure.subplots(1, 2, width_ratios=(3, 2))
    for objective in dict.fromkeys(row["objective"] for row in rows):
        chosen = [row for row in rows if row["objective"] == objective]
        _line(errors, chosen, "train_error", objective)
        if objective != "AE":
            _line(units, chosen, "active_units", objective)
    _reference_lines(errors, rows)
    errors.set(xlabel="hidden layers in encoder and in decoder", ylabel="squared error per pixel, training set")
    errors.set_yscale("log")
    errors.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    errors.yaxis.set_minor_formatter(FuncFormatter(lambda value, _: f"{value:g}" if f"{value:e}"[0] in "235" else ""))
    errors.set_title("Reconstruction error, eq. (8)", loc="left", fontsize=10)
    errors.legend(fontsize=8, frameon=False, loc="best")
    units.set(xlabel="hidden layers in encoder and in decoder", ylabel="latent dimensions with Var[mean] > 0.01")
    units.set_title("Active units", loc="left", fontsize=10)
    latent = rows[0]["latent_dim"]
    units.axhline(latent, color="#999999", linewidth=0.8)
    units.annotate(
        f"all {latent}", (1, latent), xycoords=("axes fraction", "data"), ha="right", va="bottom", fontsize=8
    )
    units.set_ylim(0, latent * 1.12)
    for axes in (errors, units):
        axes.set_xticks(sorted({row["depth"] for row in rows}))
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", which="major", color="#dddddd", linewidth=0.6)
    figure.supxlabel(caption(rows), fontsize=8, color="#333333")
    return figure


def caption(rows: Rows) -> str:
    """What was run: data, steps, seeds, gamma. Every figure carries it."""
    done = [row for row in rows if row["status"] == "finished"]
    if not done:
        return "no finished run"
    first = done[0]
    seeds = len({row["seed"] for row in rows})
    text = (
        f"{_join(row['dataset'] for row in done)}, {_join(row['train_images'] for row in done)} training images; "
        f"{_join(row['steps'] for row in done)} steps of batch {first['batch']}; "
        f"{seeds} seed{'s, bars: one sd' if seeds > 1 else ', so no error bars'}"
    )
    if len(done) < len(rows):
        text += f"; {len(rows) - len(done)} of {len(rows)} runs missing"
    modes = {row["gamma_mode"] for row in done if row["gamma_mode"]}
    if "optimal" in modes:
        text += "\ngamma in closed form (eq. (10)) on each batch"
        text += f" instead of learned: a learned log gamma moves at most {first['learning_rate']:g} a step"
    if "learned" in modes:
        text += f"\ngamma learned from {_join(row['gamma_start'] for row in done if row['gamma_mode'] == 'learned')}"
        if any(row["steps"] < 250_000 for row in done):
            text += " (fewer steps than the paper's 250,000)"
    return text


def save(figure: Figure, stem: pathlib.Path) -> list[pathlib.Path]:
    """Write `stem`.png and `stem`.pdf, without time stamps, so that equal figures are equal files."""
    options: dict[str, dict[str, Any]] = {"png": {"dpi": 160}, "pdf": {"metadata": {"CreationDate": None}}}
    paths = []
    for kind, chosen in options.items():
        paths.append(stem.with_name(f"{stem.name}.{kind}"))
        with replacing(paths[-1]) as partial:
            figure.savefig(partial, format=kind, **chosen)
    return paths


def mean_and_sd(values: Sequence[float]) -> tuple[float, float]:
    """Mean and sample standard deviation; the latter 0 for one value, both nan for none."""
    if not values:
        return math.nan, math.nan
    return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else 0.0


def by_depth(rows: Rows, measure: str) -> dict[int, list[float]]:
    """The finished values of a column at each depth; an empty list where there is none."""
    depths = sorted({row["depth"] for row in rows})
    return {
        depth: [row[measure] for row in rows if row["depth"] == depth and row.get(measure) is not None]
        for depth in depths
    }


def _line(axes: Axes, rows: Rows, measure: str, label: str) -> None:
    values = by_depth(rows, measure)
    points = [mean_and_sd(found) for found in values.values()]
    style = STYLES.get(label, _OTHER)
    # A missing cell is nan, which breaks the line: nothing is drawn across it.
    axes.errorbar(
        list(values),
        [mean for mean, _ in points],
        yerr=[sd for _, sd in points] if any(sd > 0 for _, sd in points) else None,
        label=label,
        capsize=3,
        markersize=5,
        linewidth=1.4,
        **style,
    )


def _reference_lines(axes: Axes, rows: Rows) -> None:
    for measure, name in (("mean_predictor_error", "mean predictor: z ignored"), ("pca_error", "PCA, {} components")):
        # Rounded, as machines differ in the last bits of an eigenvalue.
        found = sorted({float(f"{row[measure]:.6g}") for row in rows if row.get(measure) is not None})
        for value in found:
            axes.axhline(value, color="#555555", linewidth=0.9, linestyle=(0, (1, 2)))
            label = name.format(rows[0]["latent_dim"])
            axes.annotate(label, (1, value), xycoords=("axes fraction", "data"), ha="right", va="bottom", fontsize=8)


def _join(values: Any) -> str:
    return " / ".join(f"{value:,}" if isinstance(value, int) else str(value) for value in dict.fromkeys(values))
