"""Declare a study beyond the paper: how probable it is that training reaches a given error, by depth (eq. (9)).

Section 5.1 supposes that training almost never ends in the set S_epsilon of eq. (9), the AEs whose error is at most
epsilon, and concludes by eq. (10) that the VAE's gamma is at least epsilon. Here the AEs of depth 2, 6 and 10 are
trained from 12 seeds each. The share of seeds whose error is at most epsilon estimates Prob(S_epsilon), for every
epsilon at once.

    tfcollapse sweep reach --preset paper

What to expect: the curve of depth 10 lies to the right of that of depth 2. An epsilon that every shallow AE reaches is
then reached by no deep one. The 12 seeds are the study's own number; `--seeds` sets another.

`standing` has 10,000 steps on all of Fashion-MNIST, `quick` 800 steps on 6,000 images. `--list` estimates 1.5 hours for
`standing`, 38 hours for `paper` and 8 minutes for `quick`, on two idle cores with a matrix product at 195 GFLOP/s.
"""

from tfcollapse import Data, Network, Objective, Run, Study, Training, claims, figures, grid

DEPTHS = (2, 6, 10)


def _cells(depths: tuple[int, ...] = DEPTHS, **base: object) -> list[Run]:
    return grid(Run(objective=Objective(kind="ae"), **base), {"network.depth": depths})


_STANDING = Training(steps=10_000, halve_every=4_000, evaluate_every=200)
_SHORT = Training(steps=800, halve_every=320, evaluate_every=200)
_SMOKE = Training(steps=20, halve_every=8, log_every=10, evaluate_every=10, checkpoint_every=10)

STUDY = Study(
    title="The probability that training reaches an error: dense AEs on Fashion-MNIST",
    presets={
        "paper": _cells(data=Data(name="fashion_mnist")),
        "standing": _cells(data=Data(name="fashion_mnist"), training=_STANDING),
        "quick": _cells(data=Data(name="fashion_mnist_mini"), training=_SHORT),
        "smoke": _cells(
            (1, 3),
            data=Data(name="fashion_mnist_mini", train=256, test=64),
            network=Network(width=32, latent_dim=8),
            training=_SMOKE,
        ),
    },
    draw=figures.reach_figure,
    claims=claims.reach_claims,
    tells_apart=("objective", "depth"),
    seeds=12,
)
