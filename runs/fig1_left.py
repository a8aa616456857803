"""Declare Figure 1 (left): reconstruction error against depth, for dense AEs and VAEs on Fashion-MNIST.

Dai, Wang, Wipf: The Usual Suspects? Reassessing Blame for VAE Posterior Collapse. ICML 2020, section 6.

    tfcollapse sweep fig1_left --preset paper --seeds 3

What to expect (the paper gives a plot and no numbers): the AE's error falls with depth, then rises. The VAE's error is
above it at every depth. The error of the VAE with KL warm-up is in between. One seed is 18 runs of 250K steps, which
take at least 36 core hours, or 18 hours on two cores: nine runs of depth 1 to 4 took 11 core hours (results/paper),
and depth 10 trains 9 to 18 steps a second on one core (results/long).

The preset `standing` has 20,000 steps on all images. The preset `quick` shows within minutes whether the phenomenon
appears: it has 6,000 images and 800 steps. Both set gamma in closed form (eq. (10)), because a learned log gamma moves
about 2e-4 a step: from its start at 0 (gamma = 1) it would take 23,000 steps to gamma = 0.01. `--list` estimates 1.4
hours for `standing`, on two idle cores with a matrix product at 195 GFLOP/s.
"""

from tfcollapse import Data, Network, Run, Study, Training, claims, depth_sweep, figures

DEPTHS = (1, 2, 4, 6, 8, 10)

_STANDING = Training(steps=20_000, halve_every=8_000, evaluate_every=200)
_SHORT = Training(steps=800, halve_every=320, evaluate_every=200)
_SMOKE = Training(steps=20, halve_every=8, log_every=10, evaluate_every=10, checkpoint_every=10)

STUDY = Study(
    title="Reconstruction error against depth: dense networks on Fashion-MNIST",
    presets={
        "paper": depth_sweep(Run(data=Data(name="fashion_mnist")), DEPTHS, "learned", 100_000),
        "standing": depth_sweep(Run(data=Data(name="fashion_mnist"), training=_STANDING), DEPTHS, "optimal", 8_000),
        "quick": depth_sweep(Run(data=Data(name="fashion_mnist_mini"), training=_SHORT), DEPTHS, "optimal", 320),
        "smoke": depth_sweep(
            Run(
                data=Data(name="fashion_mnist_mini", train=256, test=64),
                network=Network(width=32, latent_dim=8),
                training=_SMOKE,
            ),
            (1, 3),
            "optimal",
            8,
        ),
    },
    draw=figures.depth_figure,
    claims=claims.depth_claims,
)
