"""Declare Figure 1 (middle): reconstruction error against depth, for convolutional AEs and VAEs on CIFAR-100.

Dai, Wang, Wipf: The Usual Suspects? Reassessing Blame for VAE Posterior Collapse. ICML 2020, section 6. Every scale of
the encoder, and of the decoder, has t = 1 to 5 convolutions.

    tfcollapse sweep fig1_middle --preset paper --seeds 3

What to expect (the paper gives a plot and no numbers): the trend of the dense networks. The AE's error is lowest at a
middle t. The VAE's error is above it, and the error of the VAE with KL warm-up is in between. One seed is 15 runs of
250K steps with 64 channels at 32x32. They take three months on two CPU cores, as `--list` estimates.

The presets `standing` and `quick` have 8 channels, all 50,000 images, and gamma in closed form (eq. (10)). `standing`
has 10,000 steps, `quick` 600.

In 10,000 steps, 14 of the 15 networks of `standing` were trained. The AE of t = 5 was not: it ended at the error of the
mean image (0.0706 against 0.0700), and the VAEs of t = 5 at 0.032. The trained AEs have 0.0181 at t = 1, 0.0174 at
t = 2, and 0.0271 at t = 4. These are 2.0 to 3.2 times the error of PCA. The VAEs are 1.4% to 8.8% above the AE of their
t, which single runs may differ by.

The AE's loss is a mean over pixels, so its gradients may be small beside Adam's epsilon of 1e-8, which slows an AE
down; `--set training.epsilon=1e-12` would tell, and has not been run. `--list` estimates 2.5 hours for `standing`, on
two idle cores with a matrix product at 195 GFLOP/s.
"""

from tfcollapse import Data, Network, Run, Study, Training, claims, depth_sweep, figures

DEPTHS = (1, 2, 3, 4, 5)


def _narrow(training: Training) -> Run:
    """Return the run of the presets `standing` and `quick`."""
    return Run(
        data=Data(name="cifar100", channels=3),
        network=Network(architecture="convolutional", base_channels=8),
        training=training,
    )


_STANDING = Training(steps=10_000, halve_every=4_000, log_every=50, checkpoint_every=1_000)
_SHORT = Training(steps=600, halve_every=240, log_every=50, evaluate_every=200, checkpoint_every=200)
_SMOKE = Training(steps=10, halve_every=4, batch=16, log_every=5, evaluate_every=10, checkpoint_every=10)

STUDY = Study(
    title="Reconstruction error against depth: convolutional networks on CIFAR-100",
    presets={
        "paper": depth_sweep(
            Run(data=Data(name="cifar100", channels=3), network=Network(architecture="convolutional")),
            DEPTHS,
            "learned",
            100_000,
        ),
        "standing": depth_sweep(_narrow(_STANDING), DEPTHS, "optimal", 4_000),
        "quick": depth_sweep(_narrow(_SHORT), DEPTHS, "optimal", 240),
        "smoke": depth_sweep(
            Run(
                data=Data(name="fashion_mnist_mini", train=128, test=32, resize=(32, 32)),
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
