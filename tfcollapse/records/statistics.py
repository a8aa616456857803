"""Summarise the rows of a table: cells, families of objectives, and means over seeds."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import scipy  # whose parts are loaded when they are first used

from tfcollapse.config.declaration import Run

_DEFAULT = Run()

Row = Mapping[str, Any]
"""One row of a table: values by column (`records.columns.SCHEMA`)."""
Rows = Sequence[Row]

PLAIN = "plain"
"""The name of the arm of a study that changes nothing."""
_NETWORKS = {"skip_dense": "skips from z", "residual_dense": "residual"}
"""The names of dense architectures other than the plain one."""

PAPER_STEPS = 250_000
"""The number of steps of the paper's trainings (Appendix A)."""


def dataset_without_version(row: Row) -> str:
    """Return the name of a row's dataset without its version, which an unfinished run does not know."""
    return str(row["dataset"]).split()[0]


def name_of(row: Row, more: Sequence[str] = ()) -> str:
    """Return the objective of a row, such as AE (layer norm).

    In brackets stand `network_arm` where it is not plain, and `more`, what else tells the row apart.
    """
    arm = network_arm(row)
    said = [*([] if arm == PLAIN else [arm]), *more]
    return row["objective"] + (f" ({', '.join(said)})" if said else "")


def family(row: Row) -> str:
    """Return the objective of a row without its gamma, such as AE, VAE, VAE + KL warm-up or VAE + free bits."""
    return row["objective"].split(" (")[0]


def start(row: Row) -> str:
    """Return how the training of a row began: its initialiser, and Adam's epsilon where it is not the default."""
    name = str(row.get("initializer") or _DEFAULT.network.initializer)
    epsilon = row.get("epsilon") or _DEFAULT.training.epsilon
    return name if epsilon == _DEFAULT.training.epsilon else f"{name}, epsilon {epsilon:g}"


def network_arm(row: Row) -> str:
    """Return how network and training of a row differ from the plain dense ones, such as "residual, layer norm"."""
    initializer, epsilon = row.get("initializer"), row.get("epsilon") or _DEFAULT.training.epsilon
    names = {
        _NETWORKS.get(row.get("architecture", "")): True,
        "layer norm": row.get("norm") == "layer",
        f"{initializer} start": initializer not in (None, _DEFAULT.network.initializer),
        f"epsilon {epsilon:g}": epsilon != _DEFAULT.training.epsilon,
        "encoder ahead": bool(row.get("encoder_ahead")),
    }
    return ", ".join(name for name, holds in names.items() if name and holds) or PLAIN


def arms(rows: Rows) -> dict[str, list[Row]]:
    """Group rows by `start`, and by their steps where some have more than the fewest, which then stand in the name."""
    fewest = min((row["steps"] for row in rows), default=0)
    return grouped(rows, lambda row: start(row) if row["steps"] == fewest else f"{start(row)}, {row['steps']:,} steps")


def grouped(rows: Rows, name: Callable[[Row], str]) -> dict[str, list[Row]]:
    """Group rows by the name that a function gives to each, in the order in which the names come."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(name(row), []).append(row)
    return groups


def at_depth(rows: Rows, choose: Callable[[Iterable[int]], int]) -> list[Row]:
    """Return the rows at the depth that `choose`, `max` or `min`, takes among those of `rows`, at least one."""
    depth = choose(row["depth"] for row in rows)
    return [row for row in rows if row["depth"] == depth]


def aes_and_vaes(rows: Rows) -> tuple[list[Row], list[Row]]:
    """Return the rows of AEs, and those of VAEs of any objective."""
    aes, vaes = ([row for row in rows if (row["objective"] == "AE") == kind] for kind in (True, False))
    return aes, vaes


def measured(rows: Rows, measure: str) -> list[float]:
    """Return the values of the column `measure` that there are."""
    return [row[measure] for row in rows if row.get(measure) is not None]


def mean_and_sd(values: Sequence[float]) -> tuple[float, float]:
    """Return the mean and the sample standard deviation of `values`.

    The standard deviation of one value is 0. For no values both are nan.
    """
    if not values:
        return math.nan, math.nan
    return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else 0.0


class Mean(float):
    """A mean over seeds. As text it is followed by the standard deviation over seeds, where there are several."""

    def __new__(cls, values: Sequence[float]) -> Mean:
        return super().__new__(cls, mean_and_sd(values)[0])

    def __init__(self, values: Sequence[float]):
        self.sd = mean_and_sd(values)[1] if len(values) > 1 else None

    def __format__(self, form: str) -> str:
        text = super().__format__(form)
        return text if self.sd is None else f"{text} +- {self.sd:{form if form.endswith('%') else '.2g'}}"


def by(rows: Rows, key: str, measure: str) -> dict[Any, list[float]]:
    """Return the values of the column `measure` for each value of the column `key`, in ascending order of the latter.

    Rows without a measure, such as those of unfinished runs, are left out. A list is empty where no row has a measure.
    """
    keys = sorted({row[key] for row in rows})
    return {value: measured([row for row in rows if row[key] == value], measure) for value in keys}


class Share(NamedTuple):
    """The share of seeds that reach an error, an estimate of Prob(S_epsilon) of eq. (9).

    Attributes:
      epsilon: the error, per pixel.
      value: the share of seeds whose error is at most epsilon.
      low, high: the 95% interval of the probability, Clopper and Pearson's, for this epsilon by itself.
    """

    epsilon: float
    value: float
    low: float
    high: float


def share_reaching(rows: Rows, epsilon: float) -> Share:
    """Return the share of the runs that have ended whose training error is at most `epsilon`.

    A run that failed has not reached it, nor has a network that was not trained and whose error is withheld.

    Args:
      rows: the rows of one cell over seeds, at least one of which has ended.
      epsilon: an error per pixel.
    """
    ended = [row for row in rows if row["status"] != "unfinished"]
    reached = sum(row["train_error"] <= epsilon for row in ended if row.get("train_error") is not None)
    interval = scipy.stats.binomtest(reached, len(ended)).proportion_ci(0.95, method="exact")
    return Share(epsilon, reached / len(ended), float(interval.low), float(interval.high))
