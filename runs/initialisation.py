"""Beyond the paper: Figure 1 (left) again, AE only, from Glorot, He and orthogonal starts, depths to 20.

Glorot's uniform start, which the paper's defaults give, halves the variance of the signal at every ReLU layer: at
depth 10 the differences between images reach the output a thousand times weaker than at depth 1. A bad minimum and
a bad start then look alike. He's start keeps the signal's size; an orthogonal one loses it as Glorot's does. The table
holds the signal's standard deviation after every layer before the first step.

    tfcollapse sweep initialisation --preset paper --seeds 3

Expect: if the rise of the error with depth is a matter of the start alone, it is gone with He's. 21 runs of 250K
steps, some 17 hours a seed on two CPU cores; `quick` is 800 steps on 6,000 images, in 3 minutes.
"""

from tfcollapse import Data, Network, Objective, Run, Study, Training, claims, figures, grid

STARTS = ("glorot_uniform", "he_normal", "orthogonal")
DEPTHS = (1, 2, 4, 6, 8, 10, 20)
SHORT_DEPTHS = (1, 2, 4, 6, 10, 20)


def _cells(depths: tuple[int, ...] = DEPTHS, **base: object) -> list[Run]:
    ae = Run(objective=Objective(kind="ae"), **base)
    return grid(ae, {"network.initializer": STARTS, "network.depth": depths})


_SHORT = Training(steps=800, halve_every=320, evaluate_every=200)
_SMOKE = Training(steps=20, halve_every=8, log_every=10, evaluate_every=10, checkpoint_every=10)

STUDY = Study(
    title="Does the bad minimum survive a good start? Dense AEs on Fashion-MNIST",
    presets={
        "paper": _cells(),
        "quick": _cells(SHORT_DEPTHS, data=Data(name="fashion_mnist_mini"), training=_SHORT),
        "smoke": _cells(
            (1, 3),
            data=Data(name="fashion_mnist_mini", train=256, test=64),
            network=Network(width=32, latent_dim=8),
            training=_SMOKE,
        ),
    },
    draw=figures.initialisation_figure,
    claims=claims.initialisation_claims,
    tells_apart=("objective", "initializer", "depth"),
)
