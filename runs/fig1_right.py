"""Declare Figure 1 (right): errors of residual AEs with b blocks of c convolutions at every scale, on four datasets.

Dai, Wang, Wipf: The Usual Suspects? Reassessing Blame for VAE Posterior Collapse. ICML 2020, section 6. Each error is
divided by that of (b, c) = (1, 2) on the same dataset. The ratios are averaged over SVHN, CIFAR-10, CIFAR-100 and
CelebA.

    tfcollapse sweep fig1_right --preset paper --seeds 3

What to expect (the paper gives a plot and no numbers): once the network is deep, more convolutions in a block raise the
error, and so do more blocks. One seed is 48 runs of 250K steps. The deepest network has 80 convolutions in the encoder
of 32x32 images.

The presets `standing` and `quick` have images of 16x16 and 4 channels at 32x32 (so 8 at 16x16). `standing` has 3,000
steps, `quick` 300. `standing` trained every network: 3.98 hours of one core, beside other work. From c = 2 to
c = 5 the error rises by 13% to 35%, on each dataset and at each b. From b = 1 to b = 4 it falls by 3% to 18%. So at
this length the rise with c is reproduced, and the one with b is not. (4, 5) against (1, 2) is too close to call. The
images of SVHN in results/fig1_right are cut from its official test split.
"""

from tfcollapse import Data, Network, Objective, Run, Study, Training, claims, figures, grid

DATASETS = ("svhn_cropped", "cifar10", "cifar100", "celeb_a")


def _cells(
    data: list[Data],
    blocks: tuple[int, ...] = (1, 2, 4),
    block_depths: tuple[int, ...] = (2, 3, 4, 5),
    **base: object,
) -> list[Run]:
    axes = {"data": data, "network.depth": blocks, "network.block_depth": block_depths}
    return grid(Run(objective=Objective(kind="ae"), **base), axes)


def _narrow(training: Training) -> list[Run]:
    """Return the runs of the presets `standing` and `quick`."""
    return _cells(
        [Data(name=name, resize=(16, 16), channels=3) for name in DATASETS],
        network=Network(architecture="residual", base_channels=4),
        training=training,
    )


_STANDING = Training(steps=3_000, halve_every=1_200, log_every=50, checkpoint_every=1_000)
_SHORT = Training(steps=300, halve_every=120, log_every=50, evaluate_every=300, checkpoint_every=150)
_SMOKE = Training(steps=10, halve_every=4, batch=16, log_every=5, evaluate_every=10, checkpoint_every=10)

STUDY = Study(
    title="Reconstruction error against residual blocks and their depth, mean over four datasets",
    presets={
        "paper": _cells([Data(name=name, channels=3) for name in DATASETS], network=Network(architecture="residual")),
        "standing": _narrow(_STANDING),
        "quick": _narrow(_SHORT),
        "smoke": _cells(
            [Data(name="fashion_mnist_mini", train=count, test=32, resize=(32, 32)) for count in (96, 128)],
            (1, 2),
            (2, 3),
            network=Network(architecture="residual", base_channels=2, latent_dim=8),
            training=_SMOKE,
        ),
    },
    draw=figures.residual_figure,
    claims=claims.residual_claims,
    tells_apart=("objective", "dataset", "first_train", "depth", "block_depth"),
)
