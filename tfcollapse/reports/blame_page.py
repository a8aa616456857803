"""The page of an experiment on who is to blame for a collapse: its figure and tables, and every VAE's diagnosis."""

from __future__ import annotations

import math
import pathlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure as Drawing

from tfcollapse.config.declaration import Run
from tfcollapse.diagnosis.blame.arms import Arm, settings
from tfcollapse.diagnosis.measurements import facts
from tfcollapse.errors import ConfigError
from tfcollapse.figures.blame import blame_figure
from tfcollapse.figures.style import check_pictures, save
from tfcollapse.records.files import check_writable
from tfcollapse.records.labels import label
from tfcollapse.records.statistics import Rows
from tfcollapse.reports.blame_blocks import blame_words, findings_table
from tfcollapse.reports.blocks import Block, Figure, Heading, Paragraph, Table
from tfcollapse.reports.diagnosis_blocks import categories, diagnosis_blocks
from tfcollapse.reports.html_page import check_html, write_html
from tfcollapse.reports.markdown import check_page, write_markdown
from tfcollapse.reports.provenance_table import provenance_table

if TYPE_CHECKING:
    from tfcollapse.diagnosis.blame.experiment import Blame
    from tfcollapse.diagnosis.blame.layer_gains import LayerGain

TITLE = "Who is to blame for the collapse"
ARMS = ("arm", label("train_error"), "gamma", "units in use", label("kl"), "idle units (category)")
_STARTS = (
    "before training",
    "signal, first layer",
    "of z",
    "of the output",
    "gradient at the output over the first layer's",
)
_ALT = "Bars: the error of every arm beside PCA and the mean predictor, and the units in use of every VAE"
_SMALLEST = 1e-300
"""What a gradient of 0 is divided by."""


def check(path: pathlib.Path) -> None:
    """Check, before anything is trained, that a page can be written.

    Raises:
      ConfigError: the name ends in neither .md nor .html.
      RunError: its directory cannot be written.
    """
    if path.suffix not in (".md", ".html"):
        raise ConfigError(f"--page: expected FILE.md or FILE.html, received '{path}'")
    check_writable(path.parent)
    if path.suffix == ".md":
        check_page(path, TITLE)
        check_pictures(path.with_suffix(""))
    else:
        check_html(path)


def write(path: pathlib.Path, blame: Blame, run: Run, made: Mapping[str, Any]) -> list[pathlib.Path]:
    """Write the page, and return every path: FILE.html alone, or FILE.md with its figure beside it.

    Raises:
      RunError: the disk cannot be written.
    """
    drawing = figure(blame, run)
    if path.suffix == ".html":
        return [write_html(path, TITLE, page(blame, run, made, drawing))]
    return [write_markdown(path, page(blame, run, made, f"{path.stem}.png")), *save(drawing, path.with_suffix(""))]


def figure(blame: Blame, run: Run) -> Drawing:
    """Return the figure of the arms."""
    latent_dim = next(iter(blame.diagnoses.values())).measurements.latent_dim
    text = f"{_length(run)}; seed {run.seed}"
    return blame_figure(figure_rows(blame), blame.pca_error, blame.mean_predictor_error, latent_dim, text)


def _length(run: Run) -> str:
    """Say how long the arms are trained."""
    return f"{run.training.steps:,} steps of batch {run.training.batch} each, unless the arm says otherwise"


def figure_rows(blame: Blame) -> Rows:
    """Return what the figure draws of each arm."""
    return [
        {
            "arm": arm.name,
            "train_error": arm.error if math.isfinite(arm.error) else None,
            "active_units": arm.active_units,
            "trained": blame.trained(arm),
        }
        for arm in blame.arms
    ]


def page(blame: Blame, run: Run, made: Mapping[str, Any], drawn: str | Drawing) -> list[Block]:
    """Return the page.

    Args:
      blame: what the experiment found.
      run: the VAE that the experiment is about.
      made: what `records.provenance.environment` says.
      drawn: the figure, or the path of its file.
    """
    images = next(iter(blame.diagnoses.values())).measurements.images
    of_run = {
        "images": f"{images:,}",
        "training": _length(run),
        "seed": str(run.seed),
    }
    blocks: list[Block] = [
        Heading(1, TITLE),
        *blame_words(blame.as_json()),
        Paragraph(
            "The verdict is on one seed, and on the network and the training that were declared. Otherwise than in "
            f"Appendix A of the paper: {', '.join(settings(run)) or 'nothing'}."
        ),
        Figure(_ALT, drawn),
        *blame_tables(blame),
        provenance_table([made], of_run),
    ]
    for name, diagnosis in blame.diagnoses.items():
        verdict = diagnosis.verdict.as_json()
        blocks.append(Heading(2, f"{name}: {categories(verdict)}"))
        blocks += diagnosis_blocks(verdict, facts(diagnosis.measurements))
    return blocks


def blame_tables(blame: Blame) -> list[Block]:
    """Return the findings, the arms and the starts as tables."""
    rows = [*arm_rows(blame.arms), *_references(blame)]
    return [
        findings_table(blame.as_json()),
        Table(ARMS, [[name + _mark(blame, name), *cells] for name, *cells in rows]),
        Table(_STARTS, [_start(name, gains) for name, gains in blame.starts.items()]),
    ]


def arm_rows(arms: Sequence[Arm]) -> list[list[str]]:
    """Return one row for each arm, under `ARMS`."""
    rows = []
    for arm in arms:
        measured = ["-" if value is None else f"{value:.4g}" for value in (arm.gamma, arm.active_units, arm.kl)]
        error = f"{arm.error:.4g}" if math.isfinite(arm.error) else "diverged"
        rows.append([arm.name, error, *measured, arm.idle or "-"])
    return rows


def _references(blame: Blame) -> list[list[str]]:
    errors = {"PCA, as many components as latents": blame.pca_error, "mean predictor": blame.mean_predictor_error}
    return [[name, f"{error:.4g}", "-", "-", "-", "-"] for name, error in errors.items()]


def _mark(blame: Blame, name: str) -> str:
    """Return what stands behind the name of an arm whose network was not trained."""
    untrained = {arm.name for arm in blame.arms if not blame.trained(arm)}
    return " (not trained)" if name in untrained else ""


def _start(name: str, gains: Sequence[LayerGain]) -> list[str]:
    latent = [gain for gain in gains if gain.part == "encoder"][-1]
    signals = [f"{gain.signal:.3g}" for gain in (gains[0], latent, gains[-1])]
    return [name, *signals, f"{gains[-1].gradient / max(gains[0].gradient, _SMALLEST):.3g}"]
