"""Declare a study beyond the paper: whether a VAE is trained where the AE that starts from the same weights is.

Section 5 of the paper says that an AE which is stuck at a bad minimum makes a VAE with a large error, and that the KL
term is then not the one to blame. Some starts of a convolutional network are never left, others are. Here an AE and a
VAE of t = 2 are trained from each of 8 starts on CelebA. The two have the same initial weights, the same images in the
same order, and differ in the KL term and the noise of z alone.

    tfcollapse sweep twins --preset standing

What to expect: if the KL term is to blame, AEs are trained from starts from which VAEs are not. If it is not, the same
starts are left by both. Fisher's exact test decides between them. It needs starts of both kinds, and seven pairs at
least. The 8 seeds are the study's own number; `--seeds` sets another. In `standing`, both were trained from 3 starts,
and neither from the other 5 (results/twins).

The presets `standing` and `quick` have 8 channels at 32x32, and gamma in closed form (eq. (10)). `standing` has 600
steps, which is enough to see which networks have left their start: in `fig2`, the two VAEs that had not left it after
600 steps had not after 10,000. `quick` has 200 steps on images of `fashion_mnist_mini`, of 32x32. `--list` estimates
20 minutes for `standing`, on two idle cores with a matrix product at 195 GFLOP/s.
"""

from tfcollapse import Data, Network, Objective, Run, Study, Training, claims, figures, grid


def _pairs(gamma: str = "optimal", **base: object) -> list[Run]:
    """Return an AE and a VAE."""
    return grid(Run(**base), {"objective": [Objective(kind="ae"), Objective(gamma=gamma)]})


def _convolutional(channels: int = 64, **sizes: int) -> Network:
    return Network(architecture="convolutional", depth=2, base_channels=channels, **sizes)


_STANDING = Training(steps=600, halve_every=240, log_every=50, evaluate_every=200, checkpoint_every=200)
_SHORT = Training(steps=200, halve_every=80, log_every=50, evaluate_every=200, checkpoint_every=200)
_SMOKE = Training(steps=10, halve_every=4, batch=16, log_every=5, evaluate_every=10, checkpoint_every=10)

STUDY = Study(
    title="Is a VAE trained where its AE is? Convolutional networks of equal starts on CelebA",
    presets={
        "paper": _pairs("learned", data=Data(name="celeb_a", channels=3), network=_convolutional()),
        "standing": _pairs(data=Data(name="celeb_a", channels=3), network=_convolutional(8), training=_STANDING),
        "quick": _pairs(
            data=Data(name="fashion_mnist_mini", resize=(32, 32)), network=_convolutional(8), training=_SHORT
        ),
        "smoke": _pairs(
            data=Data(name="fashion_mnist_mini", train=128, test=32, resize=(32, 32)),
            network=_convolutional(2, latent_dim=8),
            training=_SMOKE,
        ),
    },
    draw=figures.twins_figure,
    claims=claims.twins_claims,
    tells_apart=("objective", "seed"),
    seeds=8,
)
