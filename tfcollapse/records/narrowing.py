"""Say in what the runs of a table differ from the paper's: networks, images, gamma and steps."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from tfcollapse.config.architectures import ARCHITECTURES
from tfcollapse.config.declaration import Network, Training
from tfcollapse.config.objective import Objective
from tfcollapse.records.statistics import PAPER_STEPS, Rows

_PAPER_DATA = {
    "fashion_mnist": (60_000, 28),
    "cifar10": (50_000, 32),
    "cifar100": (50_000, 32),
    "svhn_cropped": (73_257, 32),
    "celeb_a": (162_770, 64),
    "imagenet_resized/64x64": (1_281_167, 64),
}
"""The data sets of the paper: the training images, and the side of an image in pixels."""

_SETTINGS = {
    **{name: getattr(Network(), name) for name in ("latent_dim", "norm", "batch_norm", "initializer", "output")},
    **{
        name: getattr(Training(), name)
        for name in ("batch", "learning_rate", "beta_1", "beta_2", "epsilon", "encoder_ahead", "precision")
    },
}
"""The columns of what every run of the paper has alike, and its value: that of Appendix A, or the default then."""

_HALVED = Training().halve_every / Training().steps
"""The share of the steps after which the paper halves the learning rate."""


def narrowing(rows: Rows) -> str:
    """Return in what the finished runs of a table differ from the paper's, as text; "nothing" where they do not.

    Args:
      rows: the rows of a whole table.
    """
    done = [row for row in rows if row["status"] == "finished"]
    if not done:
        return "no finished run"
    default = {"learned", None} >= {row["gamma_mode"] for row in done} and not _starts(done) - {Objective().gamma_start}
    images = [*_sides(done), *_subsets(done)]
    facts = [*networks(done), *settings(done), *images, *([] if default else [gamma(done)]), *_steps(done)]
    return "; ".join(facts) or "nothing"


def networks(rows: Rows) -> list[str]:
    """Return which networks are narrower or wider than the paper's: one text for each kind of size."""
    texts = []
    for spec in (ARCHITECTURES[name] for name in dict.fromkeys(row["architecture"] for row in rows)):
        paper = getattr(Network(), spec.size_field)
        of_it = [row for row in rows if row["architecture"] == spec.name]
        sizes = sorted({row[spec.size_field] for row in of_it if row.get(spec.size_field)} - {paper})
        if sizes:
            texts.append(f"{each(sizes)} {spec.size_label} where the paper has {paper}")
    return list(dict.fromkeys(texts))


def settings(rows: Rows) -> list[str]:
    """Return in which other settings no run is as the paper's are: one text for each setting.

    A setting that some runs have as the paper has it is what the study compares. It is not named.
    """
    texts = []
    for column, paper in _SETTINGS.items():
        values = sorted({row[column] for row in rows if row.get(column) is not None})
        if values and paper not in values:
            texts.append(f"{column.replace('_', ' ')} {each(values)} instead of {paper}")
    shares = sorted({row["halve_every"] / row["steps"] for row in rows})
    if not any(math.isclose(share, _HALVED, rel_tol=0.01) for share in shares):
        halved = each(f"halved after {share:.0%} of the steps" if share < 1 else "never halved" for share in shares)
        texts.append(f"learning rate {halved} (the paper: after {_HALVED:.0%})")
    return texts


def gamma(rows: Rows) -> str:
    """Return how gamma was set, and beta, as text, and for how many VAEs if not all; empty for AEs alone."""
    vaes = [row for row in rows if row["gamma_mode"]]
    said = {
        "fixed": "gamma fixed",
        "learned": f"gamma learned from {each(sorted(_starts(rows)))}",
        "optimal": "gamma in closed form (eq. (10)) on each batch",
    }
    counted = {text: sum(row["gamma_mode"] == mode for row in vaes) for mode, text in said.items()}
    betas = [row["beta"] for row in vaes if row.get("beta") not in (None, 1.0)]
    counted[f"beta {each(sorted(betas))}"] = len(betas)
    return "; ".join(
        text if count == len(vaes) else f"{text} ({count} of {len(vaes)} VAEs)"
        for text, count in counted.items()
        if count
    )


def each(values: Iterable[Any]) -> str:
    """Return different values as text, separated by slashes."""
    return " / ".join(f"{value:,}" if isinstance(value, int) else str(value) for value in dict.fromkeys(values))


def _starts(rows: Rows) -> set[float]:
    return {row["gamma_start"] for row in rows if row["gamma_mode"] == "learned"}


def _sides(rows: Rows) -> list[str]:
    texts = []
    for name, shape in dict.fromkeys((_name(row["dataset"]), row.get("image_shape")) for row in rows):
        _, side = _PAPER_DATA.get(name, (0, None))
        if shape and side and not shape.startswith(f"{side}x{side}"):
            texts.append(f"images {shape} where the paper has {side}x{side}")
    return list(dict.fromkeys(texts))


def _subsets(rows: Rows) -> list[str]:
    texts = []
    for name, count in dict.fromkeys((_name(row["dataset"]), row["train_images"]) for row in rows):
        paper, _ = _PAPER_DATA.get(name, (None, 0))
        if paper is None:
            texts.append(f"{name} is no data set of the paper")
        elif count < paper:
            texts.append(f"{count:,} images of {name} where the paper trains on {paper:,}")
    return texts


def _name(dataset: str) -> str:
    """Return the name of a data set without its version; that of the whole for the images that the package carries."""
    name = dataset.split()[0]
    return "fashion_mnist" if name == "fashion_mnist_mini" else name


def _steps(rows: Rows) -> list[str]:
    short = sorted({row["steps"] for row in rows if row["steps"] < PAPER_STEPS})
    return [f"{each(short)} steps where the paper has {PAPER_STEPS:,}"] if short else []
