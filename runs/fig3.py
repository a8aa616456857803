"""Declare Figure 3: reconstruction error against depth, for convolutional AEs and VAEs on ImageNet at 64x64.

Dai, Wang, Wipf: The Usual Suspects? Reassessing Blame for VAE Posterior Collapse. ICML 2020, Appendix A.

    tfcollapse sweep fig3 --preset paper --seeds 3

What to expect (the paper gives a plot and no numbers): the trend of Figure 1. One seed is 15 runs of 250K steps on the
1.28 million images of `imagenet_resized/64x64`, which are streamed from the image cache.

The presets `standing` and `quick` have 8 channels at 32x32, and gamma in closed form (eq. (10)). Their images are those
of `tiny_imagenet`, a TFDS directory of 64x64 images without a builder class. `standing` has 8,000 steps, `quick` 400.
What `fig1_middle` says of budgets and of Adam's epsilon holds here too. `--list` estimates 2.5 hours for `standing`, on
two idle cores with a matrix product at 195 GFLOP/s.
"""

from tfcollapse import Data, Network, Run, Study, Training, claims, depth_sweep, figures

DEPTHS = (1, 2, 3, 4, 5)


def _narrow(training: Training) -> Run:
    """Return the run of the presets `standing` and `quick`."""
    return Run(
        data=Data(name="tiny_imagenet", channels=3),
        network=Network(architecture="convolutional", base_channels=8),
        training=training,
    )


_STANDING = Training(steps=8_000, halve_every=3_200, log_every=50, checkpoint_every=1_000)
_SHORT = Training(steps=400, halve_every=160, log_every=50, evaluate_every=200, checkpoint_every=200)
_SMOKE = Training(steps=10, halve_every=4, batch=16, log_every=5, evaluate_every=10, checkpoint_every=10)

STUDY = Study(
    title="Reconstruction error against depth: convolutional networks on ImageNet, 64x64",
    presets={
        "paper": depth_sweep(
            Run(data=Data(name="imagenet_resized/64x64", channels=3), network=Network(architecture="convolutional")),
            DEPTHS,
            "learned",
            100_000,
        ),
        "standing": depth_sweep(_narrow(_STANDING), DEPTHS, "optimal", 3_200),
        "quick": depth_sweep(_narrow(_SHORT), DEPTHS, "optimal", 160),
        "smoke": depth_sweep(
            Run(
                data=Data(name="fashion_mnist_mini", train=128, test=32, resize=(64, 64)),
                network=Network(architecture="convolutional", base_channels=2, latent_dim=8),
                training=_SMOKE,
            ),
            (1, 2),
            "optimal",
            4,
        ),
    },
    draw=figures.depth_figure,
    claims=claims.depth_claims,
)
