"""Declare a study beyond the paper: two kinds of KL warm-up against none, at three depths.

Section 5.2 of the paper calls KL warm-up a schedule that raises gamma from a small value. Figure 1 (left) of this
project has the usual form, a schedule on the weight of the KL term. The study has both beside a VAE without warm-up and
beside the AE. Section 5.2 expects that the VAE's error is not below the AE's, however small gamma is at any time, and
that the posterior of a deep VAE may collapse all the same.

    tfcollapse sweep warmup --preset paper --seeds 3

What to expect: warm-up lowers the VAE's error to some extent (section 6), but not to that of the AE, and a deep VAE
keeps few units. In all presets gamma is in closed form (eq. (10)), for the three kinds of VAE to differ in their
warm-up alone: a learned gamma would undo a schedule on gamma. The schedule multiplies gamma by a share that rises from
almost 0 to 1 over 2/5 of the steps, as the other one does with the KL weight.

`standing` has 20,000 steps on all of Fashion-MNIST, `quick` 800 steps on 6,000 images. `--list` estimates 1 hour for
`standing`, 13 hours a seed for `paper` and 3 minutes for `quick`, on two idle cores with a matrix product at 195
GFLOP/s.
"""

from tfcollapse import Data, Network, Objective, Run, Study, Training, claims, figures, grid

DEPTHS = (2, 6, 10)


def _cells(warmup_steps: int, depths: tuple[int, ...] = DEPTHS, **base: object) -> list[Run]:
    warm = [Objective(gamma="optimal", warmup=kind, warmup_steps=warmup_steps) for kind in ("kl", "gamma")]
    objectives = [Objective(kind="ae"), Objective(gamma="optimal"), *warm]
    return grid(Run(**base), {"network.depth": depths, "objective": objectives})


_STANDING = Training(steps=20_000, halve_every=8_000, evaluate_every=200)
_SHORT = Training(steps=800, halve_every=320, evaluate_every=200)
_SMOKE = Training(steps=20, halve_every=8, log_every=10, evaluate_every=10, checkpoint_every=10)

STUDY = Study(
    title="KL warm-up on the weight and on gamma: dense VAEs on Fashion-MNIST",
    presets={
        "paper": _cells(100_000, data=Data(name="fashion_mnist")),
        "standing": _cells(8_000, data=Data(name="fashion_mnist"), training=_STANDING),
        "quick": _cells(320, data=Data(name="fashion_mnist_mini"), training=_SHORT),
        "smoke": _cells(
            8,
            (1, 3),
            data=Data(name="fashion_mnist_mini", train=256, test=64),
            network=Network(width=32, latent_dim=8),
            training=_SMOKE,
        ),
    },
    draw=figures.depth_figure,
    claims=claims.warmup_claims,
)
