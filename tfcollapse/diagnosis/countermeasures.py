"""Name what revived the units of a VAE that was stuck, as the study `countermeasures` measured it."""

from __future__ import annotations

import functools
import pathlib
from collections.abc import Mapping
from typing import Any, NamedTuple

from tfcollapse.config.declaration import Run
from tfcollapse.records.arms import by_network, by_objective
from tfcollapse.records.columns import COLUMNS, declared
from tfcollapse.records.comparison import compare
from tfcollapse.records.seed_noise import spread_of
from tfcollapse.records.statistics import PLAIN, Row, Rows, at_depth, dataset_without_version, mean_and_sd, measured
from tfcollapse.records.table import read_table
from tfcollapse.records.trained import marked, not_trained

TABLE = pathlib.Path(__file__).with_name("countermeasures.csv")
"""The table of `results/countermeasures`, which the package carries."""
_SHARE = 0.5
"""The share of the dead units that must have come back."""
_MOST = 3
"""How many are named."""

_IN_STEPS = ("training.encoder_ahead", "objective.warmup_steps")
"""The settings that count steps. For a run of another length they keep their share of the steps."""

_IN_KERAS = {
    "skips from z": "z beside the input of every decoder layer",
    "residual": (
        "from the second hidden layer on `h + Dense(width, activation='relu')(h)`, whose kernels start divided by the "
        "number of these layers"
    ),
    "layer norm": "for each hidden layer `ReLU()(LayerNormalization()(Dense(width)(h)))`",
    "residual, layer norm": (
        "from the second hidden layer on `h + ReLU()(LayerNormalization()(Dense(width)(h)))`, and the first one "
        "without `h +`"
    ),
    "he_normal start": "`kernel_initializer='he_normal'`",
    "orthogonal start": "`kernel_initializer='orthogonal'`",
    "epsilon 1e-12": "`Adam(epsilon=1e-12)`",
    "encoder ahead": "ten updates of the encoder for one of the decoder at first",
}
"""How a user's own model has what an arm has, by the arm's name or the parts of it."""


class Countermeasure(NamedTuple):
    """An arm of the study that brought back most of the units that the plain VAE lacks, and lowered its error.

    Attributes:
      name: of the change, such as "layer norm".
      settings: the changed fields, by their key; the value is that of the study.
      steps: of the study's runs.
      units, rank, error: active units, effective rank of the latents' means, and squared error per pixel, of the VAE;
        means over seeds. The rank says in how many directions the units differ.
    """

    name: str
    settings: Mapping[str, Any]
    steps: int
    units: float
    rank: float
    error: float

    def arguments(self, run: Run) -> str:
        """Return what `tfcollapse train` takes to have this in a run."""
        share = run.training.steps / self.steps
        scaled = {key: max(1, round(value * share)) for key, value in self.settings.items() if key in _IN_STEPS}
        return " ".join(f"--set {key}={value}" for key, value in {**self.settings, **scaled}.items())

    def is_in(self, run: Run) -> bool:
        """Return whether a run has this already. The length of a lead or of a warm-up may be another."""
        has = declared(run)
        return all(
            bool(has[COLUMNS[key]]) if key in _IN_STEPS else has[COLUMNS[key]] == value
            for key, value in self.settings.items()
        )

    def in_keras(self, run: Run) -> str:
        """Return how a user's own model has it, or the settings of ours where Keras has no line for it."""
        lines = [_IN_KERAS.get(part, "") for part in self.name.split(", ")]
        return _IN_KERAS.get(self.name) or (", ".join(lines) if all(lines) else self.arguments(run))


def helpful(rows: Rows) -> list[Countermeasure]:
    """Return the arms of the deepest networks of a table that helped, the one with the least error first.

    An arm has helped where its VAE was trained, has at least half of the units that the shallowest plain VAE has beyond
    the deepest plain one, and an error clearly smaller than that of the latter.

    Args:
      rows: the rows of a table of the study; runs that have not ended are left out.
    """
    vaes = [row for row in marked(rows) if row["objective"] != "AE"]
    deep, shallow = (at_depth(vaes, choose) for choose in (max, min))
    plain = by_network(deep).get(PLAIN, [])
    units, errors = _mean(plain, "active_units"), measured(plain, "train_error")
    goal = _mean(by_network(shallow).get(PLAIN, []), "active_units")
    found = []
    for name, chosen in {**by_objective(deep), **by_network(deep)}.items():
        measures = (_mean(chosen, measure) for measure in ("active_units", "effective_rank", "train_error"))
        one = Countermeasure(name, _settings(chosen[0], plain), chosen[0]["steps"], *measures)
        revived = goal > units and one.units >= units + _SHARE * (goal - units)  # no comparison with nan holds
        if (
            one.settings
            and revived
            and not not_trained(chosen)
            and compare(measured(chosen, "train_error"), errors, spread_of(deep)).sign < 0
        ):
            found.append(one)
    return sorted(found, key=lambda one: one.error)


def advice(run: Run, *, own_model: bool) -> str:
    """Say what revived a VAE of our own measurements, and where that was measured; an empty text where nothing did.

    Args:
      run: the run that collapsed. What it has already is not named.
      own_model: whether its network is the user's own, and not the one that the run declares.
    """
    rows = read_table(TABLE)
    found = [one for one in helpful(rows) if own_model or not one.is_in(run)][:_MOST]
    if not found:
        return ""
    deep = at_depth([row for row in rows if row["objective"] != "AE"], max)
    first, before = deep[0], _mean(by_network(deep)[PLAIN], "active_units")
    how = [one.in_keras(run) if own_model else one.arguments(run) for one in found]
    lines = [
        f"'{one.name}' kept {one.units:.3g} of {first['latent_dim']} units, effective rank {one.rank:.3g} ({line})"
        for one, line in zip(found, how, strict=True)
    ]
    return (
        f"{'; '.join(lines)}, each with a smaller error than the plain network, which kept {before:.3g} (measured on "
        f"{_where(first)})"
    )


@functools.cache  # every diagnosis asks, and the table is the package's own
def what_kept_units() -> str:
    """Say in short by which names of the study a deep VAE kept its units; an empty text where it did not.

    A diagnosis says it of a model whose kind it does not know, so it gives no line to paste.
    """
    rows = read_table(TABLE)
    names = [f"'{one.name}'" for one in helpful(rows)[:_MOST]]
    if not names:
        return ""
    listed = " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
    return f"{listed} kept such units in {_where(at_depth(rows, max)[0])}"


def _where(row: Row) -> str:
    return (
        f"dense VAEs of depth {row['depth']}, {dataset_without_version(row)}, {row['steps']:,} steps: "
        "results/countermeasures"
    )


def _mean(rows: Rows, measure: str) -> float:
    """Return the mean over seeds, nan where there is none."""
    return mean_and_sd(measured(rows, measure))[0]


def _settings(row: Row, plain: Rows) -> dict[str, Any]:
    """Return the fields in which a row differs from the plain one, by their key."""
    return {
        key: row[column]
        for key, column in COLUMNS.items()
        if plain
        and column not in ("objective", "seed")
        and row.get(column) is not None
        and row[column] != plain[0].get(column)
    }
