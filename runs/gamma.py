"""Declare a study beyond the paper: active units and error as a fixed gamma grows.

Section 3, category (ii), and Proposition 2 say that a large gamma prunes latents, and that all of them are pruned at
some finite value. Section 4 says which latents an affine VAE keeps: the directions whose variance (the eigenvalue of
the centred covariance) is above gamma. The study draws both over one axis, together with learned values of gamma. The
networks have depth 2 and 4 (hidden layers in the encoder and in the decoder).

    tfcollapse sweep gamma --preset paper --seeds 3

What to expect: active units fall as gamma grows. At depth 2 their number is near the affine prediction, at depth 4
below it. A learned gamma ends at the VAE's own error. The preset `paper` learns gamma from 1, and takes some 6 hours a
seed.

The preset `quick` has 800 steps on 6,000 images and takes 2 minutes. It learns gamma from 0.01, and also sets it in
closed form (eq. (10)), because a learned log gamma moves at most 2e-4 a step.
"""

from tfcollapse import Data, Network, Objective, Run, Study, Training, claims, figures, grid

GAMMAS = (0.001, 0.01, 0.03, 0.1, 0.3, 1.0, 10.0, 30.0)


def _cells(learned: list[Objective], gammas: tuple[float, ...] = GAMMAS, **base: object) -> list[Run]:
    fixed = [Objective(gamma="fixed", gamma_start=gamma) for gamma in gammas]
    return grid(Run(**base), {"network.depth": (2, 4), "objective": [*fixed, *learned]})


_NEAR = [Objective(gamma="learned", gamma_start=0.01), Objective(gamma="optimal")]
_SHORT = Training(steps=800, halve_every=320, evaluate_every=200)
_SMOKE = Training(steps=20, halve_every=8, log_every=10, evaluate_every=10, checkpoint_every=10)

STUDY = Study(
    title="Active units and error against gamma: dense VAEs on Fashion-MNIST",
    presets={
        "paper": _cells([Objective()]),
        "quick": _cells(_NEAR, data=Data(name="fashion_mnist_mini"), training=_SHORT),
        "smoke": _cells(
            _NEAR,
            (0.01, 10.0),
            data=Data(name="fashion_mnist_mini", train=256, test=64),
            network=Network(width=32, latent_dim=8),
            training=_SMOKE,
        ),
    },
    draw=figures.gamma_figure,
    claims=claims.gamma_claims,
    tells_apart=("objective", "gamma_mode", "gamma_start", "depth"),
)
