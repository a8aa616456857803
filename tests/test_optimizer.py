"""Test the optimiser with the encoder ahead: what lags moves as under an Adam that sees its own steps alone."""

import keras
import numpy as np
import pytest
from examples import tiny
from processes import under_jax

from tfcollapse.config.objective import Objective
from tfcollapse.config.overrides import shorten
from tfcollapse.models.build import build
from tfcollapse.training import engines
from tfcollapse.training.optimizer import PERIOD, EncoderAhead

STEPS = 40


def moved(optimizer, gradients, steps):
    """Return the values of one variable after each of the given steps."""
    variable = keras.Variable(np.array([1.0, -2.0], np.float32))
    optimizer = optimizer(variable) if callable(optimizer) else optimizer
    optimizer.build([variable])
    values = []
    for step in range(len(gradients)):
        if step in steps:
            optimizer.apply([keras.ops.convert_to_tensor(gradients[step])], [variable])
        values.append(np.asarray(variable).copy())
    return np.array(values)


@pytest.mark.parametrize("ahead", [1, 9, 10, 25, 30, STEPS])
def test_what_lags_moves_as_under_adam_of_its_own_steps(ahead):
    gradients = np.random.default_rng(0).standard_normal((STEPS, 2)).astype(np.float32)
    own = [step for step in range(STEPS) if step >= ahead or (step + 1) % PERIOD == 0]
    ours = moved(lambda v: EncoderAhead(0.01, behind=[v], steps=ahead), gradients, range(STEPS))
    np.testing.assert_allclose(ours, moved(keras.optimizers.Adam(0.01), gradients, own), rtol=1e-6)
    free = moved(lambda v: EncoderAhead(0.01, behind=[], steps=ahead), gradients, range(STEPS))
    np.testing.assert_array_equal(free, moved(keras.optimizers.Adam(0.01), gradients, range(STEPS)))


def trained(objective):
    """Return how far encoder, decoder and gamma moved in 9 steps and in 10, and the losses of 10 steps."""
    run = tiny(objective=objective, encoder_ahead=20)
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (10, 16, 3, 3, 1), dtype=np.uint8)
    model = build(run, (3, 3, 1))
    noise = random.standard_normal((10, 16, model.noise_dim)).astype(np.float32)
    parts = {"encoder": model.encoder.trainable_variables, "decoder": model.decoder.trainable_variables}
    if model.log_gamma is not None and model.log_gamma.trainable:
        parts["gamma"] = [model.log_gamma]
    engine = engines.engine(model, run)

    def weights():
        return {name: [np.asarray(v.numpy()) for v in part] for name, part in parts.items()}

    start, distances, losses = weights(), [], []
    for chunk in (slice(0, 9), slice(9, 10)):
        losses += engine.train_steps(images[chunk], noise[chunk])["loss"].tolist()
        now = weights()
        distances.append(
            {name: max(float(abs(a - b).max()) for a, b in zip(now[name], start[name], strict=True)) for name in parts}
        )
    return distances, losses


OBJECTIVES = {"ae": Objective(kind="ae"), "learned": Objective(), "optimal": Objective(gamma="optimal")}


@pytest.mark.parametrize("name", OBJECTIVES)
def test_the_decoder_and_a_learned_gamma_wait_for_the_tenth_step(name):
    (first, then), _ = trained(OBJECTIVES[name])
    assert set(first) == {"encoder", "decoder"} | ({"gamma"} if name == "learned" else set())
    assert all((first[part] > 0) == (part == "encoder") for part in first)
    assert all(then.values())


@pytest.mark.slow
def test_both_engines_wait_alike():
    code = "import json, test_optimizer as t\n"
    code += "print(json.dumps({name: t.trained(objective) for name, objective in t.OBJECTIVES.items()}))"
    for name, (distances, losses) in under_jax(code).items():
        ours, our_losses = trained(OBJECTIVES[name])
        assert our_losses == pytest.approx(losses, rel=1e-5)
        for own, other in zip(ours, distances, strict=True):
            assert own == pytest.approx(other, rel=1e-3)


def test_a_shorter_run_has_a_shorter_lead():
    run = tiny(steps=40, encoder_ahead=20)
    assert shorten(run, 20).training.encoder_ahead == 10
    assert shorten(tiny(steps=40), 20).training.encoder_ahead == 0
