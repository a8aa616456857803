"""Declare a study beyond the paper: active units and error as a fixed gamma grows, and small fixed gammas at depth.

Section 3, category (ii), and Proposition 2 say that a large gamma prunes latents, and that all of them are pruned at
some finite value. Section 4 says which latents an affine VAE keeps: the directions whose variance (the eigenvalue of
the centred covariance) is above gamma. The study draws both over one axis, together with learned values of gamma. The
networks have depth 2 and 4 (hidden layers in the encoder and in the decoder).

Section 7, point 3, says of a deep VAE that has collapsed: "explicitly forcing gamma to be small does not fix this
problem". Depths 8 and 10 therefore have the small values of gamma, and a gamma that is learned, but no large values.

    tfcollapse sweep gamma --preset paper --seeds 3

What to expect: active units fall as gamma grows. Their number is at or below the affine prediction
at both depths. A learned gamma ends at the VAE's own error. At depth 10 a small fixed gamma may bring units back; the
question is whether the error comes down to that of depth 2.

The preset `paper` learns gamma from 1. The others learn it from 0.01 and also set it in closed form (eq. (10)), because
a learned log gamma moves about 2e-4 a step. `standing` has 10,000 steps on all of Fashion-MNIST, `quick` 800 steps on
6,000 images. `--list` estimates 1.1 hours for `standing`, 24 hours a seed for `paper` and 6 minutes for `quick`, on two
idle cores with a matrix product at 195 GFLOP/s.
"""

from tfcollapse import Data, Network, Objective, Run, Study, Training, claims, figures, grid

SMALL = (0.001, 0.003, 0.01)
LARGE = (0.03, 0.1, 0.3, 1.0, 10.0, 30.0)


def _cells(
    free: list[Objective],
    small: tuple[float, ...] = SMALL,
    large: tuple[float, ...] = LARGE,
    deep: tuple[int, ...] = (8, 10),
    **base: object,
) -> list[Run]:
    """Return VAEs of depth 2 and 4 at every fixed gamma, deep ones at the small values, and the objectives `free`."""
    few, many = ([Objective(gamma="fixed", gamma_start=gamma) for gamma in some] for some in (small, small + large))
    return [
        *grid(Run(**base), {"network.depth": (2, 4), "objective": [*many, *free]}),
        *grid(Run(**base), {"network.depth": deep, "objective": [*few, *free]}),
    ]


_NEAR = [Objective(gamma="learned", gamma_start=0.01), Objective(gamma="optimal")]
_STANDING = Training(steps=10_000, halve_every=4_000, evaluate_every=200)
_SHORT = Training(steps=800, halve_every=320, evaluate_every=200)
_SMOKE = Training(steps=20, halve_every=8, log_every=10, evaluate_every=10, checkpoint_every=10)

STUDY = Study(
    title="Active units and error against gamma: dense VAEs on Fashion-MNIST",
    presets={
        "paper": _cells([Objective()]),
        "standing": _cells(_NEAR, data=Data(name="fashion_mnist"), training=_STANDING),
        "quick": _cells(_NEAR, data=Data(name="fashion_mnist_mini"), training=_SHORT),
        "smoke": _cells(
            _NEAR,
            (0.01,),
            (10.0,),
            (6,),
            data=Data(name="fashion_mnist_mini", train=256, test=64),
            network=Network(width=32, latent_dim=8),
            training=_SMOKE,
        ),
    },
    draw=figures.gamma_figure,
    claims=claims.gamma_claims,
    tells_apart=("objective", "gamma_mode", "gamma_start", "depth"),
)
