"""Declare a study beyond the paper: Figure 1 (left) from three kinds of start, for AEs at depths up to 20, and VAEs.

The starts are Glorot's uniform one, which the paper's defaults give, He's, and an orthogonal one. Glorot's start
halves the variance of the signal at every ReLU layer. The differences between images therefore reach the output of a
deep network much weaker than that of a shallow one, and a bad start looks like a bad minimum. He's start loses much
less of the signal; an orthogonal start loses it as Glorot's does. The table holds the standard deviation of the
signal after every layer before the first step.

At depths 2, 6 and 10 a VAE stands beside the AE of each start. It shows whether the units come back with the error. At
these depths the AE from Glorot's start is also trained with an epsilon of 1e-12 in Adam. The AE's loss is a mean over
pixels, so its gradients may be small beside the paper's epsilon of 1e-8, which slows training down. The AE of depth 10
is also trained for twice the steps, which tells a slow network from one that is stuck.

    tfcollapse sweep initialisation --preset paper --seeds 3

What to expect: if the start alone makes the error rise with depth, the rise is gone with He's start. If epsilon makes
it rise, it is gone with 1e-12.

At depth 10 and 10,000 steps He's VAE has 19 active units, and Glorot's has 3. Other runs of the same networks, with
20,000 steps and a slower fall of the learning rate, end with 5 and 3 (the study countermeasures).

The preset `paper` learns gamma from 1; the others set it in closed form (eq. (10)). `standing` has 10,000 steps on all
of Fashion-MNIST, `quick` 800 steps on 6,000 images. `--list` estimates 1.5 hours for `standing`, 43 hours a seed for
`paper` and 8 minutes for `quick`, on two idle cores with a matrix product at 195 GFLOP/s.
"""

from tfcollapse import Data, Network, Objective, Run, Study, Training, claims, figures, grid

STARTS = ("glorot_uniform", "he_normal", "orthogonal")
DEPTHS = (1, 2, 4, 6, 8, 10, 20)
SHORT_DEPTHS = (1, 2, 4, 6, 10, 20)
SOME_DEPTHS = (2, 6, 10)


def _cells(
    vae: Objective, depths: tuple[int, ...] = SHORT_DEPTHS, some: tuple[int, ...] = SOME_DEPTHS, **base: object
) -> list[Run]:
    """Return AEs of every start and depth; at some depths VAEs and a smaller epsilon; at the last twice the steps."""
    ae, its_vae = Run(objective=Objective(kind="ae"), **base), Run(objective=vae, **base)
    twice = {"training.steps": (2 * ae.training.steps,), "training.halve_every": (2 * ae.training.halve_every,)}
    return [
        *grid(ae, {"network.initializer": STARTS, "network.depth": depths}),
        *grid(its_vae, {"network.initializer": STARTS, "network.depth": some}),
        *grid(ae, {"training.epsilon": (1e-12,), "network.depth": some}),
        *grid(ae, {"network.depth": some[-1:], **twice}),
    ]


_OPTIMAL = Objective(gamma="optimal")
_STANDING = Training(steps=10_000, halve_every=4_000, evaluate_every=200)
_SHORT = Training(steps=800, halve_every=320, evaluate_every=200)
_SMOKE = Training(steps=20, halve_every=8, log_every=10, evaluate_every=10, checkpoint_every=10)

STUDY = Study(
    title="Does the bad minimum survive a good start? Dense AEs and VAEs on Fashion-MNIST",
    presets={
        "paper": _cells(Objective(), DEPTHS),
        "standing": _cells(_OPTIMAL, data=Data(name="fashion_mnist"), training=_STANDING),
        "quick": _cells(_OPTIMAL, data=Data(name="fashion_mnist_mini"), training=_SHORT),
        "smoke": _cells(
            _OPTIMAL,
            (1, 3),
            (3,),
            data=Data(name="fashion_mnist_mini", train=256, test=64),
            network=Network(width=32, latent_dim=8),
            training=_SMOKE,
        ),
    },
    draw=figures.initialisation_figure,
    claims=claims.initialisation_claims,
    tells_apart=("objective", "initializer", "epsilon", "steps", "halve_every", "depth"),
)
