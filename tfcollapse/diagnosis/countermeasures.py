"""Name what revived the units of a VAE that was stuck, as the study `countermeasures` measured it."""

from __future__ import annotations

import functools
import pathlib
from typing import NamedTuple

from tfcollapse.records.arms import by_network, by_objective
from tfcollapse.records.columns import COLUMNS
from tfcollapse.records.statistics import PLAIN, Row, Rows, at_depth, mean_and_sd, measured
from tfcollapse.records.table import read_table
from tfcollapse.records.trained import marked, not_trained

TABLE = pathlib.Path(__file__).with_name("countermeasures.csv")
"""The table of `results/countermeasures`, which the package carries."""
_SHARE = 0.5
"""The share of the dead units that must have come back."""
_MOST = 3
"""How many are named."""

_IN_KERAS = {
    "skips from z": "z beside the input of every decoder layer",
    "residual": "`h + Dense(width, activation='relu')(h)` for each hidden layer, its kernel's start over their number",
    "layer norm": "`LayerNormalization()` before each ReLU",
    "he_normal start": "`kernel_initializer='he_normal'`",
    "orthogonal start": "`kernel_initializer='orthogonal'`",
    "epsilon 1e-12": "`Adam(epsilon=1e-12)`",
    "encoder ahead": "ten updates of the encoder for one of the decoder at first",
}
"""How a user's own model has what an arm has, by the parts of the arm's name."""


class Countermeasure(NamedTuple):
    """An arm of the study that brought back most of the units that the plain VAE lacks, and lowered its error.

    Attributes:
      name: of the change, such as "layer norm".
      settings: what `tfcollapse train` takes for it.
      units, error: active units, and the squared error per pixel, of the VAE; means over seeds.
    """

    name: str
    settings: str
    units: float
    error: float

    @property
    def in_keras(self) -> str:
        """Return how a user's own model has it, or the settings of ours where Keras has no line for it."""
        lines = [_IN_KERAS.get(part, "") for part in self.name.split(", ")]
        return ", ".join(lines) if all(lines) else self.settings


def helpful(rows: Rows) -> list[Countermeasure]:
    """Return the arms of the deepest networks of a table that helped, the one with the least error first.

    An arm has helped where its VAE was trained, has at least half of the units that the shallowest plain VAE has beyond
    the deepest plain one, and a smaller error than the latter.

    Args:
      rows: the rows of a table of the study; runs that have not ended are left out.
    """
    vaes = [row for row in marked(rows) if row["objective"] != "AE"]
    deep, shallow = (at_depth(vaes, choose) for choose in (max, min))
    plain = by_network(deep).get(PLAIN, [])
    units, error = _mean(plain, "active_units"), _mean(plain, "train_error")
    goal = _mean(by_network(shallow).get(PLAIN, []), "active_units")
    found = []
    for name, chosen in {**by_objective(deep), **by_network(deep)}.items():
        one = Countermeasure(
            name, _settings(chosen[0], plain), *(_mean(chosen, m) for m in ("active_units", "train_error"))
        )
        revived = goal > units and one.units >= units + _SHARE * (goal - units)  # no comparison with nan holds
        if name != PLAIN and revived and one.error < error and not not_trained(chosen):
            found.append(one)
    return sorted(found, key=lambda one: one.error)


@functools.cache
def advice(*, own_model: bool) -> str:
    """Say what revived a VAE of our own measurements, and where that was measured; an empty text where nothing did.

    Args:
      own_model: whether the advice is for a model of the user's own, and not for a run of ours.
    """
    rows = read_table(TABLE)
    found = helpful(rows)[:_MOST]
    if not found:
        return ""
    deep = at_depth([row for row in rows if row["objective"] != "AE"], max)
    first, before = deep[0], _mean(by_network(deep)[PLAIN], "active_units")
    where = f"dense VAEs of depth {first['depth']}, {first['dataset'].split()[0]}, {first['steps']:,} steps"
    how = {one: one.in_keras if own_model else one.settings for one in found}
    lines = [f"'{one.name}' kept {one.units:.3g} of {first['latent_dim']} units ({how[one]})" for one in found]
    return (
        f"{'; '.join(lines)}, each with a smaller error than the plain network, which kept {before:.3g} (measured on "
        f"{where}: results/countermeasures)"
    )


def _mean(rows: Rows, measure: str) -> float:
    """Return the mean over seeds, nan where there is none."""
    return mean_and_sd(measured(rows, measure))[0]


def _settings(row: Row, plain: Rows) -> str:
    """Return the fields in which a row differs from the plain one, as `tfcollapse train` takes them."""
    changes = {
        key: row[column]
        for key, column in COLUMNS.items()
        if plain and column != "objective" and row.get(column) is not None and row[column] != plain[0].get(column)
    }
    return " ".join(f"--set {key}={value}" for key, value in changes.items())
