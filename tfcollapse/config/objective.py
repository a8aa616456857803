"""Declare what is minimised: the squared error of an AE, or eq. (4) of a VAE and what others put in its place."""

from __future__ import annotations

from typing import Literal

from tfcollapse.config.validation import bounded, changed, declaration
from tfcollapse.errors import ConfigError

_SCHEDULES = {
    "none": "",
    "kl": " + KL warm-up",
    "cyclical": " + cyclical KL",
    "gamma": " + gamma warm-up",
    "hold_gamma": " + gamma held",
}
_CONSTRAINTS = {"none": "", "free_bits": " + free bits", "capacity": " + capacity", "floor": " + KL floor"}

_FLOOR = (1e-4, 40.0)
"""The least and the largest floor under a unit's KL, nats. Its largest variance is 0.98, and 7e-36."""


@declaration
class Objective:
    """The objective that is minimised: the squared error of an AE, or eq. (4) of a VAE.

    `warmup`, `kl_constraint` and `importance_samples` are what others do against posterior collapse.

    Attributes:
      kind: "ae" or "vae"; every other field is a VAE's, and stays at its default for an AE.
      gamma: the decoder VARIANCE: "learned" (a scalar log gamma under the same Adam), "optimal"
        (closed form, eq. (10), on each batch) or "fixed" at `gamma_start`.
      gamma_start: the first value of a learned gamma, the value of a fixed one.
      beta: final weight on the KL term (1 is eq. (4)).
      warmup: what is different in the first `warmup_steps` steps.
        "kl" raises the weight on the KL linearly to `beta` (Bowman et al. 2016).
        "cyclical" does so over the first half of every `warmup_steps` steps, and holds it over the other half (Fu et
        al. 2019, section 3.2, with R = 0.5); it goes on to the end of training.
        "gamma" raises gamma linearly to its value, which a learned gamma would undo, so it is refused there.
        "hold_gamma" holds gamma at `gamma_start`; after that it is learned, or in closed form.
      warmup_steps: the length of the warm-up or of a cycle, in steps; the length of the rise of a capacity.
      kl_constraint: what the KL term is held to, by `kl_nats`.
        "free_bits" charges each unit no less than `kl_nats` for its KL, averaged over the batch (Kingma et al. 2016,
        eq. (15), one unit a group): below that the KL is free.
        "capacity" charges the distance of the KL, summed over units and averaged over the batch, from a target, with
        the weight `beta`; the target rises linearly to `kl_nats` (Burgess et al. 2018, eq. (8)).
        "floor" bounds every sigma_z so that no unit's KL is below `kl_nats` (Razavi et al. 2019, section 2.1, for a
        prior without structure).
      kl_nats: of a constraint, nats: for each unit, or for "capacity" in sum over units.
      importance_samples: K, samples of z for each image; above 1 the objective is -2 times the importance-weighted
        bound of Burda et al. (2015), eq. (8), without the constants that eq. (4) leaves out.

    Raises:
      ConfigError: a field of another name, type or range, or fields that contradict each other.

    Example:
      >>> tc.Objective(kind="ae").label, tc.Objective(warmup="kl").label
      ('AE', 'VAE + KL warm-up')
      >>> tc.Objective(kl_constraint="free_bits", kl_nats=0.5).label
      'VAE + free bits'
    """

    kind: Literal["ae", "vae"] = "vae"
    gamma: Literal["learned", "optimal", "fixed"] = "learned"
    gamma_start: float = bounded(1.0, above=0)
    beta: float = bounded(1.0, least=0)
    warmup: Literal["none", "kl", "cyclical", "gamma", "hold_gamma"] = "none"
    warmup_steps: int = bounded(100_000, least=1, most=1 << 30)
    kl_constraint: Literal["none", "free_bits", "capacity", "floor"] = "none"
    kl_nats: float = bounded(1.0, above=0)
    importance_samples: int = bounded(1, least=1, most=1 << 10)

    def validate(self) -> None:
        """Check the fields against each other. Raises ConfigError."""
        if self.kind == "ae" and set(changed(self)) != {"kind"}:
            raise ConfigError(f"Objective: an AE takes no field but its kind, received {changed(self)}")
        if self.warmup == "gamma" and self.gamma == "learned":
            raise ConfigError(
                "Objective.warmup: a schedule on gamma needs gamma 'fixed' or 'optimal', received "
                "'learned', which would undo it: set objective.gamma, or warm up 'kl' instead"
            )
        if self.warmup == "hold_gamma" and self.gamma == "fixed":
            raise ConfigError(
                "Objective.warmup: 'hold_gamma' needs a gamma that moves afterwards, received gamma 'fixed': set "
                "objective.gamma to 'learned' or 'optimal'"
            )
        if self.kl_constraint == "capacity" and self.warmup != "none":
            raise ConfigError(
                "Objective.kl_constraint: 'capacity' has a schedule of its own over warmup_steps, received warmup "
                f"'{self.warmup}': set objective.warmup to 'none', or choose another constraint"
            )
        self._check_nats()
        if self.importance_samples > 1:
            self._check_importance_samples()

    def _check_nats(self) -> None:
        if self.kl_constraint == "none" and "kl_nats" in changed(self):
            raise ConfigError(
                f"Objective.kl_nats: expected a kl_constraint with it, received {self.kl_nats:g} and none: set "
                "objective.kl_constraint to 'free_bits', 'capacity' or 'floor', or leave kl_nats out"
            )
        least, most = _FLOOR
        if self.kl_constraint == "floor" and not least <= self.kl_nats <= most:
            raise ConfigError(
                f"Objective.kl_nats: expected a floor from {least:g} to {most:g} nats a unit, whose variance "
                f"float32 tells from 1 and from 0, received {self.kl_nats:g}"
            )

    def _check_importance_samples(self) -> None:
        allowed = {
            "gamma": ("learned", "fixed"),
            "beta": (1.0,),
            "warmup": ("none", "hold_gamma"),
            "kl_constraint": ("none", "floor"),
        }
        for name, values in allowed.items():
            if getattr(self, name) not in values:
                raise ConfigError(
                    f"Objective.importance_samples: several samples weigh the whole bound of eq. (2): expected {name} "
                    f"{' or '.join(map(str, values))}, received {getattr(self, name)}: change it, or take one sample"
                )

    @property
    def kl_weight(self) -> float | None:
        """Return the weight on the KL after warm-up; None where a distance from a capacity is weighted. @private"""
        return None if self.kl_constraint == "capacity" else self.beta

    @property
    def settled_step(self) -> int:
        """Return a number of updates after which every schedule is over, or at the end of a cycle. @private"""
        return 2 * self.warmup_steps - 1

    @property
    def kl_floor(self) -> float:
        """Return the KL in nats below which no unit can fall; 0 where there is no such bound. @private"""
        return self.kl_nats if self.kl_constraint == "floor" else 0.0

    @property
    def has_schedule(self) -> bool:
        """Say whether `warmup_steps` counts. @private"""
        return self.warmup != "none" or self.kl_constraint == "capacity"

    @property
    def has_closed_gamma(self) -> bool:
        """Say whether a gamma in closed form, eq. (10), minimises this objective. @private"""
        return self.importance_samples == 1

    @property
    def label(self) -> str:
        """Return the name of this objective in tables and figures."""
        if self.kind == "ae":
            return "AE"
        weighted = " + importance weights" if self.importance_samples > 1 else ""
        gamma = f" (gamma {self.gamma_start:g})" if self.gamma == "fixed" else ""
        return f"VAE{_SCHEDULES[self.warmup]}{_CONSTRAINTS[self.kl_constraint]}{weighted}{gamma}"


def schedule_label(warmup: str, steps: int) -> str:
    """Name the schedule of a VAE, such as "KL warm-up over 8000 steps". One without a warm-up is a capacity's."""
    name = (_SCHEDULES[warmup] or _CONSTRAINTS["capacity"]).removeprefix(" + ")
    return f"{name} {'in cycles of' if warmup == 'cyclical' else 'over'} {steps} steps"
