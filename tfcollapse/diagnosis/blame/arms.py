"""Name the trainings ("arms") of `tfcollapse blame`, and declare what each one changes of the VAE."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from tfcollapse.config.declaration import Run
from tfcollapse.config.objective import Objective
from tfcollapse.config.overrides import replace, shorten
from tfcollapse.config.validation import changed
from tfcollapse.diagnosis.categories import CATEGORIES
from tfcollapse.errors import ConfigError

VAE, AE, SHALLOW_VAE, SHALLOW_AE, WARMUP, UNWEIGHTED, CLOSED_GAMMA, HE_VAE, HE_AE, LONG_VAE, LONG_AE, EPSILON_AE = (
    ARMS
) = (
    "VAE",
    "AE twin",
    "shallower VAE",
    "shallower AE twin",
    "VAE + KL warm-up",
    "VAE, beta 1",
    "VAE, gamma in closed form",
    "VAE, He start",
    "AE twin, He start",
    "VAE, twice the steps",
    "AE twin, twice the steps",
    "AE twin, smaller epsilon",
)
TWINS = {
    VAE: AE,
    WARMUP: AE,
    UNWEIGHTED: AE,
    CLOSED_GAMMA: AE,
    SHALLOW_VAE: SHALLOW_AE,
    HE_VAE: HE_AE,
    LONG_VAE: LONG_AE,
}
"""Every arm that is a VAE, with the AE that has its network, its start and its number of steps."""

SUSPECTS = BASE, KL_WEIGHT, GAMMA, DECODER, START, BUDGET, EPSILON = (
    "autoencoder base",
    "KL weight",
    "gamma",
    "decoder",
    "start",
    "budget",
    "Adam's epsilon",
)

HE = "he_normal"
"""The start that the arms try: its variance 2 / fan-in keeps the signal of a ReLU network at any depth."""
SMALL_EPSILON = 1e-12
"""Adam's epsilon of `EPSILON_AE`. The AE's loss is divided by the number of pixels: at the start of a dense AE of depth
10, 60% of the gradients are below the usual 1e-8."""
_WARMUP_SHARE = 0.4
"""Of the steps: 100K of 250K, as in Appendix A."""


@dataclasses.dataclass(frozen=True)
class Arm:
    """One training of the experiment.

    Attributes:
      name: what was trained, such as "VAE", "AE twin" or "VAE + KL warm-up".
      error: squared error per pixel over the training images, at a sample of z for a VAE.
      gamma: the decoder variance at the end, times beta; None for an AE.
      active_units, kl: of a VAE the units in use, which are the active ones without the weak ones, and the KL in nats;
        None for an AE.
      counts: idle units of each category, and the active ones, as the diagnosis counts them; empty for an AE.

    Example:
      >>> arm = tc.Arm("VAE", error=0.02, gamma=0.02, active_units=3, kl=9.5, counts={"active": 3, "v": 4, "i": 1})
      >>> arm.idle, arm.wrongly_idle
      ('4 (v), 1 (i)', 4)
    """

    name: str
    error: float
    gamma: float | None = None
    active_units: int | None = None
    kl: float | None = None
    counts: dict[str, int] = dataclasses.field(default_factory=dict)

    @property
    def idle(self) -> str:
        """Return the units that are not in use, of each category: "6 (v), 1 (i)"; empty where there are none."""
        return ", ".join(f"{count} ({name})" for name, count in self.counts.items() if name != "active")

    @property
    def wrongly_idle(self) -> int:
        """Return the number of units that are dead or weak and should not be."""
        return sum(self.counts.get(name, 0) for name, category in CATEGORIES.items() if category.harmful)

    @property
    def idle_by_decoder(self) -> int:
        """Return the number of units that are dead because of the kind of decoder."""
        return sum(self.counts.get(name, 0) for name, category in CATEGORIES.items() if category.by_decoder)


def arms_of(run: Run, shallower: int | None = None) -> dict[str, Run]:
    """List the trainings that the experiment needs for a VAE of ours, by the name of the arm.

    Args:
      run: the VAE.
      shallower: the depth of the shallower networks; by default 2, or one layer less where the depth is 2 or less.

    Raises:
      ConfigError: the run is an AE's, has no KL term, or `shallower` is no smaller depth that the architecture has.
    """
    if run.objective.kind != "vae":
        raise ConfigError("blame: expected a VAE, received an AE, which has no latent distribution to collapse")
    if not run.objective.beta > 0:
        raise ConfigError("blame: expected beta > 0, received a VAE without a KL term, which is an AE with noise")
    least, depth = run.network.spec.least_depth, run.network.depth
    if shallower is not None and not least <= shallower < depth:
        raise ConfigError(
            f"--shallower: expected a depth from {least} to {depth - 1}, below that of the VAE, received {shallower}: "
            "choose a smaller depth, or a deeper VAE"
        )
    chosen = min(2, depth - 1) if shallower is None else shallower
    shallow = {}
    if shallower is not None or chosen >= max(1, least):
        shallow_run = replace(run, {"network.depth": chosen})
        shallow = {SHALLOW_AE: twin_of(shallow_run), SHALLOW_VAE: shallow_run}
    return {VAE: run, AE: twin_of(run)} | shallow | other_objectives(run) | other_starts(run) | other_lengths(run)


def twin_of(run: Run) -> Run:
    """Return the AE that has the network, the start and the training of a VAE."""
    return dataclasses.replace(run, objective=Objective(kind="ae"))


def other_objectives(run: Run) -> dict[str, Run]:
    """List the arms that change the VAE's objective alone."""
    runs = {}
    if not run.objective.has_schedule and run.objective.importance_samples == 1:
        steps = max(1, math.ceil(_WARMUP_SHARE * run.training.steps))
        runs[WARMUP] = replace(run, {"objective.warmup": "kl", "objective.warmup_steps": steps})
    if run.objective.kl_weight not in (None, 1):
        runs[UNWEIGHTED] = replace(run, {"objective.beta": 1.0})
    if run.objective.gamma != "optimal" and run.objective.has_closed_gamma:
        runs[CLOSED_GAMMA] = replace(run, {"objective.gamma": "optimal"} | _closed_start(run.objective))
    return runs


def _closed_start(objective: Objective) -> dict[str, float]:
    """Return the start of a gamma in closed form: where it is held at first, that it is held at; else the default."""
    return {} if objective.warmup == "hold_gamma" else {"objective.gamma_start": 1.0}


def other_starts(run: Run) -> dict[str, Run]:
    """List the arms that change the initial weights alone."""
    if run.network.initializer.startswith("he_"):
        return {}
    started = replace(run, {"network.initializer": HE})
    return {HE_VAE: started, HE_AE: twin_of(started)}


def other_lengths(run: Run) -> dict[str, Run]:
    """List the arms that change the number of steps, and Adam's epsilon of the AE."""
    longer = shorten(run, 2 * run.training.steps)
    runs = {LONG_VAE: longer, LONG_AE: twin_of(longer)}
    if run.training.epsilon > SMALL_EPSILON:
        runs[EPSILON_AE] = replace(twin_of(run), {"training.epsilon": SMALL_EPSILON})
    return runs


def untested(run: Run) -> dict[str, str]:
    """Say of each suspect that no arm tries why that is so.

    Args:
      run: the VAE.
    """
    reasons = {
        BASE: "no shallower network was trained",
        GAMMA: "gamma is in closed form: on every batch it is the error, the value that fits it (eq. (10))",
        START: f"the initial weights are He's already ({run.network.initializer})",
        EPSILON: f"Adam's epsilon is {run.training.epsilon:g} already",
    }
    if run.objective.importance_samples > 1:
        reasons[KL_WEIGHT] = "the bound of several samples takes no weight on the KL"
        reasons[GAMMA] = "the bound of several samples has no closed form of gamma"
    elif run.objective.has_schedule:
        reasons[KL_WEIGHT] = f"the VAE itself has a schedule ({run.objective.label})"
    return reasons


def command(run: Run) -> str:
    """Write the command that trains `run`."""
    return " ".join(["tfcollapse train", *(f"--set {setting}" for setting in settings(run))])


def settings(run: Run) -> list[str]:
    """List the fields of a run that are not as in Appendix A, as `--set` takes them."""
    return [f"{key}={value}" for key, value in _flat(changed(run))]


def _flat(fields: Mapping[str, Any], head: str = "") -> list[tuple[str, Any]]:
    """Flatten the changed fields of a declaration to keys and values of `--set`."""
    pairs: list[tuple[str, Any]] = []
    for name, value in fields.items():
        if isinstance(value, dict):
            pairs += _flat(value, f"{head}{name}.")
        else:
            text = f"[{','.join(map(str, value))}]" if isinstance(value, tuple) else value
            pairs.append((f"{head}{name}", text))
    return pairs


def nothing_missed(vae: Arm) -> str:
    """Say that no unit of a VAE is wrongly idle."""
    units = "1 unit is" if vae.active_units == 1 else f"{vae.active_units} units are"
    return f"{units} in use, and no idle one is missed"
