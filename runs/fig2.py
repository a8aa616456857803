"""Declare Figure 2: histograms of sigma_z, for convolutional VAEs with t = 2, 4 and 5 convolutions a scale on CelebA.

Dai, Wang, Wipf: The Usual Suspects? Reassessing Blame for VAE Posterior Collapse. ICML 2020, section 6.

    tfcollapse sweep fig2 --preset paper --seeds 3

What to expect (the paper gives plots and no numbers): with depth the error grows, and more values of sigma_z are near
1. One seed is 3 runs of 250K steps.

The presets `standing` and `quick` have 8 channels at 32x32, and gamma in closed form (eq. (10)). `standing` has 10,000
steps, `quick` 1,000. `standing` does not train every network (results/fig2): of one seed, the VAEs of t = 2 and 4 ended
with every unit dead and an error 19% above that of an image of means, and that of t = 5 was trained. Whether more
steps or another gamma would train the two was not tried. The page marks them, as an untrained network has every sigma_z
near 1 too. The KL term is not what keeps t = 2 from training: the AE of the same start is not trained either, and from
three other starts both are (`twins`, 600 steps). `standing` took 1.8 core hours.
"""

from tfcollapse import Data, Network, Objective, Run, Study, Training, claims, figures, grid


def _cells(depths: tuple[int, ...] = (2, 4, 5), **base: object) -> list[Run]:
    return grid(Run(**base), {"network.depth": depths})


def _narrow(training: Training) -> list[Run]:
    """Return the runs of the presets `standing` and `quick`."""
    return _cells(
        data=Data(name="celeb_a", channels=3),
        network=Network(architecture="convolutional", base_channels=8),
        objective=Objective(gamma="optimal"),
        training=training,
    )


_STANDING = Training(steps=10_000, halve_every=4_000, log_every=50, checkpoint_every=1_000)
_SHORT = Training(steps=1000, halve_every=400, log_every=50, evaluate_every=200, checkpoint_every=200)
_SMOKE = Training(steps=10, halve_every=4, batch=16, log_every=5, evaluate_every=10, checkpoint_every=10)

STUDY = Study(
    title="sigma_z against depth: convolutional VAEs on CelebA",
    presets={
        "paper": _cells(data=Data(name="celeb_a", channels=3), network=Network(architecture="convolutional")),
        "standing": _narrow(_STANDING),
        "quick": _narrow(_SHORT),
        "smoke": _cells(
            (1, 2),
            data=Data(name="fashion_mnist_mini", train=128, test=32, resize=(64, 64)),
            network=Network(architecture="convolutional", base_channels=2, latent_dim=8),
            objective=Objective(gamma="optimal"),
            training=_SMOKE,
        ),
    },
    draw=figures.sigma_figure,
    claims=claims.sigma_claims,
)
