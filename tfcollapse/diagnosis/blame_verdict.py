"""Who is to blame for a collapse: what the arms of `tfcollapse blame` say of each suspect."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

RESPONSIBLE, CLEARED, UNTESTED, OPEN = "responsible", "cleared", "not tested", "open"
HARMFUL = ("ii", "iii", "iv", "v", "undecided")

WORSE = 1.1
"""An error is worse than another from 10% on."""
SHARE = 0.5
"""An arm relieves a collapse where it halves the wrongly dead units; an error explains another below twice it."""


@dataclasses.dataclass(frozen=True)
class Arm:
    """One training of the experiment.

    Attributes:
      name: one of `ARMS`.
      error: squared error per pixel over the training images, z sampled for a VAE.
      gamma: the decoder variance at the end, times beta, which is what prunes; None for an AE.
      active_units, kl: of a VAE, None for an AE.
      counts: units of each category; empty for an AE.
    """

    name: str
    error: float
    gamma: float | None = None
    active_units: int | None = None
    kl: float | None = None
    counts: dict[str, int] = dataclasses.field(default_factory=dict)

    @property
    def harmed(self) -> int:
        """Units that are dead and should not be."""
        return sum(count for name, count in self.counts.items() if name in HARMFUL)


VAE, AE, WARMUP, UNWEIGHTED, LEARNED, SHALLOW_AE, SHALLOW_VAE = ARMS = (
    "VAE",
    "AE twin",
    "VAE + KL warm-up",
    "VAE, beta 1",
    "VAE, gamma learned",
    "shallower AE twin",
    "shallower VAE",
)


@dataclasses.dataclass(frozen=True)
class Finding:
    """What is found of one suspect: its name, the finding, and the numbers for it."""

    suspect: str
    verdict: str
    evidence: str


def judge(arms: Sequence[Arm], pca_error: float, mean_predictor_error: float) -> list[Finding]:
    """One finding for each suspect, from the arms that were trained.

    Args:
      pca_error: of as many components as latents: the floor of linear decoders.
      mean_predictor_error: the ceiling: z ignored.
    """
    found = {arm.name: arm for arm in arms}
    base = found[VAE]
    if not base.harmed:
        nothing = f"{base.active_units} units are active, and no dead one is missed"
        return [Finding(suspect, CLEARED, nothing) for suspect in ("autoencoder base", "KL weight", "gamma", "decoder")]
    decoder = base.counts.get("iv", 0) + base.counts.get("iii", 0)
    return [
        _base(found, pca_error, mean_predictor_error),
        _relief("KL weight", base, {"warmed up": found.get(WARMUP), "at 1": found.get(UNWEIGHTED)}, "it was warmed up"),
        _relief("gamma", base, {"learned": found.get(LEARNED)}, "it was not fixed: it follows the error"),
        Finding(
            "decoder",
            RESPONSIBLE if decoder else CLEARED,
            f"{decoder} units are dead as the decoder models the images without them, or its covariance degenerated"
            if decoder
            else "it neither models the images without z nor has a covariance of its own",
        ),
    ]


def _base(found: dict[str, Arm], floor: float, ceiling: float) -> Finding:
    """Responsible where the AE is nearly as bad as the VAE without a KL term, and worse than a shallower one or PCA."""
    name, twin, shallow = "autoencoder base", found[AE], found.get(SHALLOW_AE)
    texts = [
        f"AE error {twin.error:.4g} without any KL term, VAE {found[VAE].error:.4g}",
        f"PCA {floor:.4g}, mean predictor {ceiling:.4g}",
    ]
    worse = twin.error > WORSE * floor
    if shallow is not None:
        texts.append(f"a shallower AE {shallow.error:.4g}")
        worse = twin.error > WORSE * shallow.error
        deep, vae = found[VAE], found[SHALLOW_VAE]
        texts.append(f"wrongly dead units {deep.harmed}, in the shallower VAE {vae.harmed}")
        worse = worse and vae.harmed <= SHARE * deep.harmed
    explains = twin.error > SHARE * found[VAE].error
    return Finding(name, RESPONSIBLE if worse and explains else CLEARED, "; ".join(texts))


def _relief(suspect: str, base: Arm, arms: dict[str, Arm | None], already: str) -> Finding:
    """Responsible where any of the arms, by what was done to the suspect, relieves the collapse."""
    tried = {done: arm for done, arm in arms.items() if arm is not None}
    if not tried:
        return Finding(suspect, UNTESTED, already)
    relieved = any(arm.harmed <= SHARE * base.harmed for arm in tried.values())
    harmed = [f"with it {done} {arm.harmed}" for done, arm in tried.items()]
    active = [base.active_units, *(arm.active_units for arm in tried.values())]
    text = f"wrongly dead units {base.harmed}, {', '.join(harmed)}; active {', '.join(map(str, active))}"
    return Finding(suspect, RESPONSIBLE if relieved else CLEARED, text)
