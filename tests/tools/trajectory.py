"""How far N replicas are from one device after 200 steps, as a JSON object.

    python tests/tools/trajectory.py [--jit off] N [NAME...]

A process of its own for each N, as TensorFlow takes one set of devices a process. Beside it stands how far one device
is from itself where every batch is reversed, images and noise together: the same sums in another order, and so the
distance that arithmetic in float32 allows.
"""

import argparse
import json

import keras
import numpy as np
from examples import tiny

from tfcollapse.config.declaration import Network, Objective
from tfcollapse.config.overrides import replace
from tfcollapse.data.dataset import load
from tfcollapse.models.build import build
from tfcollapse.training import strategy
from tfcollapse.training.batches import batches_for_steps
from tfcollapse.training.tensorflow_engine import TensorFlowEngine, use_xla

STEPS = 200


def narrow(**own):
    return replace(tiny(), {"network": Network(depth=1, base_channels=2, latent_dim=6, **own)})


SIDE = {"convolutional": 8, "residual": 32}
"""Of the images of each. Measured under batch normalisation: replicas end up to 8 times as far away as batches reversed
do at 8 pixels, and as far at 32."""


RUNS = {
    "ae": tiny(objective=Objective(kind="ae")),
    "gamma learned": tiny(objective=Objective(gamma_start=0.1, warmup="kl", warmup_steps=50)),
    "gamma optimal": tiny(),
    "gamma fixed": tiny(objective=Objective(gamma="fixed", gamma_start=0.1)),
    "free bits": tiny(objective=Objective(gamma="optimal", kl_constraint="free_bits", kl_nats=0.05)),
    "capacity": tiny(objective=Objective(gamma="optimal", kl_constraint="capacity", kl_nats=3.0, warmup_steps=50)),
    "encoder ahead": tiny(encoder_ahead=100),
    "importance weights": tiny(objective=Objective(gamma_start=0.1, importance_samples=3)),
    "convolutional": narrow(architecture="convolutional"),
    "batch norm": narrow(architecture="residual", block_depth=1, batch_norm=True),
}
OPTIMIZERS = {
    "adam": lambda run: None,
    "sgd": lambda run: keras.optimizers.SGD(1e-2 if run.objective.kind == "ae" else 1e-6, name="sgd"),
}


def images_of(run):
    if run.network.architecture == "dense":
        return load(run.data).train
    coarse = np.random.default_rng(0).integers(0, 256, (200, 4, 4, 3), dtype=np.uint8)
    times = SIDE[run.network.architecture] // 4
    return coarse.repeat(times, axis=1).repeat(times, axis=2)


def engine_on(run, devices, optimizer):
    """An engine of `run` on so many devices."""
    with strategy.make("auto", devices).scope():
        model = build(run, images_of(run).shape[1:])
        jit = use_xla(run.training, run.network)
        return TensorFlowEngine(model, run.training, jit=jit, optimizer=OPTIMIZERS[optimizer](run))


def trajectory(engine, run, order=slice(None)):
    """The weights and metrics after STEPS steps, each batch in another order."""
    images, rows = images_of(run), []
    for step in range(0, STEPS, 10):
        batches, noise = batches_for_steps(run, images, step, 10)
        rows.append(engine.train_steps(batches[:, order], noise[:, order]))
    weights = {name: value for name, value in engine.state().items() if name.startswith("model/")}
    return weights, {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}


def apart(ours, theirs):
    """The largest difference of two arrays of one name, relative to the largest number in the array."""
    assert set(ours) == set(theirs)
    return max(
        float(np.abs(np.float64(ours[name]) - theirs[name]).max() / max(np.abs(theirs[name]).max(), 1e-12))
        for name in theirs
    )


def compare(run, devices, optimizer):
    """The two distances, of weights and of metrics, and the first and last loss."""
    engine = engine_on(run, None, optimizer)
    start = engine.state()
    alone = trajectory(engine, run)
    engine.restore(start)
    reversed_ = trajectory(engine, run, order=slice(None, None, -1))
    several = trajectory(engine_on(run, devices, optimizer), run)
    loss = alone[1]["loss"]
    found = {"loss": [float(loss[0]), float(loss[-1])]}
    for place, name in enumerate(("weights", "metrics")):
        found[name] = {
            "replicas": apart(several[place], alone[place]),
            "reversed": apart(reversed_[place], alone[place]),
        }
    return found


def chosen(name):
    """The runs and optimisers of a NAME: those of RUNS mean every optimiser, and "ae, sgd" one."""
    pairs = {f"{run}, {optimizer}": (run, optimizer) for run in RUNS for optimizer in OPTIMIZERS}
    return [(name, optimizer) for optimizer in OPTIMIZERS] if name in RUNS else [pairs[name]]


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("devices", metavar="N")
    parser.add_argument("names", metavar="NAME", nargs="*", help=f"{', '.join(RUNS)}; 'ae, sgd' is one optimiser's")
    parser.add_argument("--jit", choices=["auto", "off"], default="auto", help="off: without XLA")
    asked = parser.parse_args()
    strategy.make("auto", asked.devices)
    runs = {name: replace(run, {"training.jit": asked.jit}) for name, run in RUNS.items()}
    pairs = [pair for name in asked.names or RUNS for pair in chosen(name)]
    print(json.dumps({f"{name}, {kind}": compare(runs[name], asked.devices, kind) for name, kind in pairs}))
