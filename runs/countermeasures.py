"""Declare a study beyond the paper: what others do against posterior collapse, side by side on a VAE that collapses.

The paper ends with a prediction: what makes a deep AE better, such as an architecture, a training procedure or a start,
can likely be adapted to reduce the risk of collapse (section 7). Section 2 lists what others do: most change the KL
term. The study has both at the depth where the plain VAE keeps few units.

Changes of the network and of the training, each for an AE and its VAE: He's start, an orthogonal start, an epsilon of
1e-12 in Adam, connections from z to every layer of the decoder, residual layers, layer normalisation, both of them, and
an encoder that is ahead of its decoder. Changes of the objective alone, for a VAE: warm-up of the KL weight and of
gamma, cyclical annealing, free bits, a capacity target, a floor under each unit's KL, gamma held small and then let go,
and the importance-weighted bound. The docstrings of `Objective`, `Network` and `Training` name the source of each. The
plain AE and VAE of depth 2 stand beside them.

    tfcollapse sweep countermeasures --preset standing --seeds 3

What to expect by the paper: the better the AE of an arm, the more units its VAE keeps; and no change of the objective
brings the error of the VAE to that of the plain AE.

In 20,000 steps on one seed, the three arms with skip connections have better AEs and keep more units; among the six
other pairs of an AE and its VAE, no such relation is seen. Some counts of units were not at rest. Active units after
10,000, 15,000 and 20,000 steps: gamma held 58, 23, 14; importance weights 46, 45, 30; a floor under the KL 42, 54, 36;
skips from z 51, 28, 24; the plain VAE 22, 4, 3; with residual layers, and with free bits, 64 at each. They are of the
images that training watches.

Gamma is in closed form (eq. (10)) but for the importance-weighted bound, where it is learned from 0.1. The amounts are
0.5 nats a unit of free bits, a target of 25 nats with the weight 100, a floor of 0.2 nats a unit, 5 importance samples,
cycles of a quarter of the steps, and 2/5 of the steps for every warm-up, the hold of gamma at 0.001, and the encoder's
lead.

`standing` has 20,000 steps on all of Fashion-MNIST, `quick` 800 steps on 6,000 images.
"""

from tfcollapse import Data, Network, Objective, Run, Study, Training, claims, figures, grid

DEPTH, SHALLOW = 10, 2

_NETWORKS = (
    {"network.initializer": "he_normal"},
    {"network.initializer": "orthogonal"},
    {"training.epsilon": 1e-12},
    {"network.architecture": "skip_dense"},
    {"network.architecture": "residual_dense"},
    {"network.norm": "layer"},
    {"network.architecture": "residual_dense", "network.norm": "layer"},
)


def _objectives(steps: int) -> list[Objective]:
    optimal = {"gamma": "optimal", "warmup_steps": 2 * steps // 5}
    return [
        Objective(**optimal, warmup="kl"),
        Objective(**optimal, warmup="gamma"),
        Objective(gamma="optimal", warmup="cyclical", warmup_steps=steps // 4),
        Objective(**optimal, warmup="hold_gamma", gamma_start=1e-3),
        Objective(gamma="optimal", kl_constraint="free_bits", kl_nats=0.5),
        Objective(**optimal, kl_constraint="capacity", kl_nats=25.0, beta=100.0),
        Objective(gamma="optimal", kl_constraint="floor", kl_nats=0.2),
        Objective(gamma_start=0.1, importance_samples=5),
    ]


def _cells(depth: int = DEPTH, shallow: int = SHALLOW, **base: object) -> list[Run]:
    """Return plain twins of both depths, twins of every change of network or training, and VAEs of every objective."""
    plain = Run(**base)
    twins = [Objective(kind="ae"), Objective(gamma="optimal")]
    ahead = {"training.encoder_ahead": 2 * plain.training.steps // 5}
    changes = [{key: (value,) for key, value in change.items()} for change in (*_NETWORKS, ahead)]
    return [
        *grid(plain, {"network.depth": (shallow, depth), "objective": twins}),
        *(run for change in changes for run in grid(plain, {**change, "network.depth": (depth,), "objective": twins})),
        *grid(plain, {"network.depth": (depth,), "objective": _objectives(plain.training.steps)}),
    ]


_STANDING = Training(steps=20_000, halve_every=8_000, evaluate_every=200)
_SHORT = Training(steps=800, halve_every=320, evaluate_every=200)
_SMOKE = Training(steps=20, halve_every=8, log_every=10, evaluate_every=10, checkpoint_every=10)

STUDY = Study(
    title="What revives a dead unit? Countermeasures on dense VAEs of depth 10 on Fashion-MNIST",
    presets={
        "paper": _cells(data=Data(name="fashion_mnist")),
        "standing": _cells(data=Data(name="fashion_mnist"), training=_STANDING),
        "quick": _cells(data=Data(name="fashion_mnist_mini"), training=_SHORT),
        "smoke": _cells(
            3,
            1,
            data=Data(name="fashion_mnist_mini", train=256, test=64),
            network=Network(width=32, latent_dim=8),
            training=_SMOKE,
        ),
    },
    draw=figures.countermeasures_figure,
    claims=claims.countermeasures_claims,
    tells_apart=(
        *("objective", "gamma_mode", "gamma_start", "beta", "warmup", "warmup_steps"),
        *("kl_constraint", "kl_nats", "importance_samples"),
        *("architecture", "norm", "initializer", "epsilon", "encoder_ahead", "depth"),
    ),
)
