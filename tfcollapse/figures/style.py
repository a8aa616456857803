"""Define what the figures share: their look, their captions, and the means behind their lines."""

from __future__ import annotations

import pathlib
import textwrap
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Any, Literal

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from tfcollapse.config.architectures import ARCHITECTURES
from tfcollapse.errors import ConfigError
from tfcollapse.records.files import check_replaceable, replacing
from tfcollapse.records.naming import cells
from tfcollapse.records.narrowing import each, gamma, networks, settings
from tfcollapse.records.statistics import Rows, mean_and_sd
from tfcollapse.records.trained import TRAINED, not_trained

# Every series has its own marker and dashes, so that a print in black and white tells the series apart.
SERIES: tuple[dict[str, Any], ...] = (
    {"color": "#1b1b1b", "marker": "o", "linestyle": "-"},
    {"color": "#b2182b", "marker": "s", "linestyle": "--"},
    {"color": "#6fa3d8", "marker": "^", "linestyle": "-."},
    {"color": "#20793f", "marker": "v", "linestyle": (0, (6, 1, 1, 1, 1, 1))},
)
STYLES = dict(zip(("AE", "VAE", "VAE + KL warm-up", "VAE + gamma warm-up"), SERIES, strict=True))
OTHER: dict[str, Any] = {"color": "#777777", "marker": "D", "linestyle": ":"}

_PER_INCH = 15
"""The number of characters of a caption that an inch holds at its font size."""


def depth_label(rows: Rows) -> str:
    """Return what the depth of these networks counts, as the label of an axis."""
    return ARCHITECTURES[rows[0]["architecture"]].depth_label


def caption(rows: Rows, bars: str = "") -> str:
    """Return the caption of a figure: data, network, steps, seeds and gamma of the runs, and the meaning of the bars.

    Args:
      rows: the rows that the figure shows.
      bars: what the bars show; empty where there are none.
    """
    done = [row for row in rows if row["status"] == "finished"]
    if not done:
        return "no finished run"
    first = done[0]
    seeds = len({row["seed"] for row in rows})
    data = dict.fromkeys((row["dataset"], row["train_images"]) for row in done)
    apart = "\n" if len(data) > 1 else "; "
    text = (
        f"{', '.join(f'{name}: {count:,} training images' for name, count in data)}{apart}"
        f"{each(row['steps'] for row in done)} steps of batch {first['batch']}; "
        f"{seeds} seed{'s' if seeds > 1 else ''}{f', bars: {bars}' if bars else ''}"
    )
    if len(done) < len(rows):
        text += f"; {len(rows) - len(done)} of {len(rows)} runs missing"
    return text + _narrowing(done) + _untrained(done)


def _untrained(rows: Rows) -> str:
    out = not_trained(rows)
    unknown = ", or that is not known" if any(row.get("mean_predictor_error") is None for row in out) else ""
    return (
        f"\nhollow: not trained (error not below {TRAINED:.0%} of the mean predictor's{unknown}): {cells(out, rows)}"
        if out
        else ""
    )


def _narrowing(rows: Rows) -> str:
    """Return in what networks and settings differ from the paper's, and how gamma was set, as lines of text."""
    sizes = networks(rows)
    images = [f"images {each(row['image_shape'] for row in rows)}"] if sizes else []
    modes = {row["gamma_mode"] for row in rows}
    why = f" instead of learned: a learned log gamma moves about {rows[0]['learning_rate']:g} a step"
    closed_form = "optimal" in modes and "learned" not in modes
    lines = ["; ".join([*sizes, *images]), "; ".join(settings(rows)), gamma(rows) + (why if closed_form else "")]
    return "".join(f"\n{line}" for line in lines if line)


def write(figure: Figure, path: pathlib.Path) -> None:
    """Write the figure to one file, whole or not at all. The suffix says as what.

    Raises:
      ConfigError: a suffix that is no kind of picture.
      RunError: the disk cannot be written.
    """
    kinds, kind = figure.canvas.get_supported_filetypes(), path.suffix[1:].lower()
    if kind not in kinds:
        raise ConfigError(f"'{path}': expected a figure's file such as {path.stem}.png, .pdf or .svg")
    with replacing(path) as partial:
        figure.savefig(partial, format=kind, dpi=160)


_DRAWN = {"png": b"Software\0Matplotlib", "pdf": b"%PDF-1.4\n%\xac\xdc \xab\xba"}
"""The beginning of what Matplotlib writes. Another picture is not replaced."""


def save(figure: Figure, stem: pathlib.Path) -> list[pathlib.Path]:
    """Write the figure to `stem`.png and `stem`.pdf, and return both paths.

    The files hold no time stamps, so that equal figures are equal files.

    Raises:
      RunError: the disk cannot be written.
    """
    check_pictures(stem)
    options: dict[str, dict[str, Any]] = {"png": {"dpi": 160}, "pdf": {"metadata": {"CreationDate": None}}}
    paths = []
    for kind, chosen in options.items():
        paths.append(_picture(stem, kind))
        with replacing(paths[-1], _DRAWN[kind]) as partial:
            figure.savefig(partial, format=kind, **chosen)
    return paths


def check_pictures(stem: pathlib.Path) -> None:
    """Check, before any work is done in vain, that `save` may write its files. Raises RunError."""
    for kind, mark in _DRAWN.items():
        check_replaceable(_picture(stem, kind), mark)


def _picture(stem: pathlib.Path, kind: str) -> pathlib.Path:
    return stem.with_name(f"{stem.name}.{kind}")


def line(
    axes: Axes,
    points: Mapping[Any, Sequence[float]],
    label: str,
    style: Mapping[str, Any],
    untrained: Container[Any] = (),
) -> None:
    """Draw means as a line, with standard deviations as bars.

    The mean of an empty cell is nan, so the line is interrupted there.

    Args:
      axes: the panel.
      points: the values over seeds, or over datasets, at each place on the x axis.
      label: the line's name in the legend.
      style: colour, marker and dashes.
      untrained: the places whose networks were not trained (`untrained_at`). Their markers are hollow.
    """
    summaries = [mean_and_sd(values) for values in points.values()]
    hollow = [(place, mean) for place, (mean, _) in zip(points, summaries, strict=True) if place in untrained]
    if hollow:
        marker = {"marker": style["marker"], "color": style["color"], "markersize": 5, "zorder": 4}
        axes.plot(*zip(*hollow, strict=True), linestyle="none", markerfacecolor="white", **marker)
    axes.errorbar(
        list(points),
        [mean for mean, _ in summaries],
        yerr=[sd for _, sd in summaries] if any(sd > 0 for _, sd in summaries) else None,
        label=label,
        capsize=3,
        **{"markersize": 5, "linewidth": 1.4, **style},
    )


def untrained_at(rows: Rows, column: str) -> set[Any]:
    """Return the values of `column` at which a network was not trained.

    Args:
      rows: rows that `records.trained.marked` has judged within their whole table.
      column: the one that stands on the x axis.
    """
    return {row[column] for row in not_trained(rows)}


def legend(figure: Figure, *panels: Axes) -> None:
    """Write one legend above all panels, where it covers no data. A label that stands in two panels is written once."""
    handles = {
        label: handle for axes in panels for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    figure.legend(handles.values(), handles, loc="outside upper left", ncols=4, fontsize=8, frameon=False)


def reference_lines(axes: Axes, rows: Rows) -> None:
    """Draw the errors of the mean predictor and of PCA as horizontal lines, where the table has them."""
    for measure, name in (("mean_predictor_error", "mean predictor"), ("pca_error", "PCA of {}")):
        # The values are rounded, because machines differ in the last bits of an eigenvalue.
        levels = sorted({float(f"{row[measure]:.6g}") for row in rows if row.get(measure) is not None})
        for value in levels:
            axes.axhline(value, color="#555555", linewidth=0.9, linestyle=(0, (1, 2)))
            note(axes, name.format(rows[0]["latent_dim"]), value)


def note(axes: Axes, text: str, height: float) -> None:
    """Write `text` to the right of the panel, where it covers no data, at the height of a horizontal line."""
    place: dict[str, Any] = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points", "va": "center"}
    axes.annotate(text.replace(" ", "\n", 1), (1, height), (3, 0), fontsize=8, **place)


def plain_log(axes: Axes, name: Literal["x", "y"] = "y") -> None:
    """Make an axis logarithmic, with plain numbers such as 0.02 beside its ticks.

    Where the axis spans three decades or more, numbers stand beside the powers of ten alone.
    """

    def between(value: float, _: int) -> str:
        low, high = axis.get_view_interval()
        return f"{value:g}" if high / low < 1e3 and f"{value:e}"[0] in "235" else ""

    axis = {"x": axes.xaxis, "y": axes.yaxis}[name]
    axes.set(**{f"{name}scale": "log"})
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(FuncFormatter(between))


def finish(figure: Figure, panels: Iterable[tuple[Axes, str]], rows: Rows, bars: str | None = None) -> Figure:
    """Add titles, grid and caption to a figure of table rows, and return the figure.

    Args:
      figure: the figure.
      panels: each panel with its title.
      rows: the rows that the figure shows.
      bars: what the bars show; None stands for one standard deviation over seeds, where there are several seeds.
    """
    if bars is None:
        bars = "one sd over seeds" if len({row["seed"] for row in rows}) > 1 else ""
    return dress(figure, panels, caption(rows, bars))


def dress(figure: Figure, panels: Iterable[tuple[Axes, str]], text: str) -> Figure:
    """Give a figure the look of all figures, and return it: titles, a light grid, and the caption `text`."""
    for axes, title in panels:
        axes.set_title(title, loc="left", fontsize=10)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", which="major", color="#dddddd", linewidth=0.6)
    width = int(figure.get_figwidth() * _PER_INCH)
    lines = (wrapped for line in text.splitlines() for wrapped in textwrap.wrap(line, width))
    figure.supxlabel("\n".join(lines), fontsize=8, color="#333333")
    return figure


def series_look(number: int) -> dict[str, Any]:
    """Return the look of a figure's series of this number, from 0: colour, marker and dashes."""
    return SERIES[number] if number < len(SERIES) else OTHER


def depth_axis(axes: Axes, rows: Rows) -> None:
    """Make the x axis one of depths, with a tick at each depth of the rows."""
    axes.set_xlabel(depth_label(rows))
    axes.set_xticks(sorted({row["depth"] for row in rows}))


def errors_axis(axes: Axes, rows: Rows) -> None:
    """Make the y axis a logarithmic one of errors, with those of the mean predictor and of PCA as lines."""
    reference_lines(axes, rows)
    plain_log(axes)
    axes.set_ylabel("squared error per pixel, training set")


def units_axis(axes: Axes, rows: Rows) -> None:
    """Make the y axis one of active units, from none to all latent dimensions."""
    latent = rows[0]["latent_dim"]
    axes.set_ylabel("latent dimensions with Var[mean] > 0.01")
    axes.axhline(latent, color="#999999", linewidth=0.8)
    note(axes, f"all {latent}", latent)
    axes.set_ylim(-0.03 * latent, latent * 1.12)  # a marker at no unit is drawn whole
