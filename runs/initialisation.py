"""Declare a study beyond the paper: Figure 1 (left) for AEs alone, from three kinds of start, at depths up to 20.

The starts are Glorot's uniform one, which the paper's defaults give, He's, and an orthogonal one. Glorot's start halves
the variance of the signal at every ReLU layer. At depth 10 the differences between images therefore reach the output a
thousand times weaker than at depth 1, and a bad start looks like a bad minimum. He's start preserves the size of the
signal; an orthogonal start loses it as Glorot's does. The table holds the standard deviation of the signal after every
layer before the first step.

    tfcollapse sweep initialisation --preset paper --seeds 3

What to expect: if the start alone makes the error rise with depth, the rise is gone with He's start. One seed is 21
runs of 250K steps, which take some 17 hours on two CPU cores.

The preset `quick` has 800 steps on 6,000 images, and takes 3 minutes.
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
