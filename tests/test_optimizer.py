"""Test the optimiser with the encoder ahead: what lags moves as under an Adam that sees its own steps alone."""

import keras
import numpy as np
import pytest
from examples import tiny
from processes import under_jax

from tfcollapse.config.declaration import ENCODER_STEPS, Training
from tfcollapse.config.objective import Objective
from tfcollapse.config.overrides import shorten
from tfcollapse.models.build import build
from tfcollapse.training import engines
from tfcollapse.training.optimizer import EncoderAhead, adam

STEPS = 40


def moved(optimizer, gradients, steps):
    """Return the values of one variable after each of the given steps."""
    variable = keras.Variable(np.array([1.0, -2.0], np.float32))
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
    own = [step for step in range(STEPS) if step >= ahead or (step + 1) % ENCODER_STEPS == 0]
    ours = moved(EncoderAhead(0.01, behind=[0], steps=ahead), gradients, range(STEPS))
    np.testing.assert_allclose(ours, moved(keras.optimizers.Adam(0.01), gradients, own), rtol=1e-6)
    free = moved(EncoderAhead(0.01, behind=[], steps=ahead), gradients, range(STEPS))
    np.testing.assert_array_equal(free, moved(keras.optimizers.Adam(0.01), gradients, range(STEPS)))


@pytest.mark.parametrize("size", [np.inf, np.nan, 1e25])
def test_the_gradients_of_the_other_steps_may_be_anything(size):
    gradients = np.random.default_rng(0).standard_normal((STEPS, 2)).astype(np.float32)
    spoilt = np.where(np.arange(1, STEPS + 1)[:, None] % ENCODER_STEPS == 0, gradients, np.float32(size))
    ours = [moved(EncoderAhead(0.01, behind=[0], steps=STEPS), g, range(STEPS)) for g in (gradients, spoilt)]
    np.testing.assert_array_equal(*ours)


def test_a_compiled_model_is_loaded_with_it(tmp_path):
    run = tiny(encoder_ahead=20)
    model = build(run, (3, 3, 1))
    model.compile(optimizer=adam(run.training, model))
    images = np.random.default_rng(0).integers(0, 256, (48, 3, 3, 1), dtype=np.uint8)
    model.fit(images[:32], batch_size=16, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.optimizer.get_config() == model.optimizer.get_config()
    before = [np.asarray(v) for v in loaded.decoder.trainable_variables]
    loaded.fit(images[32:], batch_size=16, verbose=0)  # the third step, in which the decoder waits
    for now, then in zip(loaded.decoder.trainable_variables, before, strict=True):
        np.testing.assert_array_equal(np.asarray(now), then)


@pytest.mark.parametrize(
    "options",
    [{"amsgrad": True}, {"weight_decay": 0.1}, {"use_ema": True}, {"gradient_accumulation_steps": 2}],
    ids=str,
)
def test_options_that_move_every_variable_at_every_step_are_refused(options):
    ((name, value),) = options.items()
    with pytest.raises(ValueError, match=f"expected no {name}, received {value}"):
        EncoderAhead(0.01, behind=[], steps=1, **options)


@pytest.mark.parametrize("changed", [{"behind": [-1]}, {"steps": -3}], ids=str)
def test_negative_places_and_steps_are_refused(changed):
    with pytest.raises(ValueError, match="expected places and steps >= 0, received -"):
        EncoderAhead(0.01, **{"behind": [0], "steps": 1, **changed})


@pytest.mark.parametrize("ahead", [0, 5, 10, 35])
def test_updates_of_the_decoder_and_their_steps_agree(ahead):
    training = Training(encoder_ahead=ahead)
    for updates in range(1, 20):
        step = training.step_of_update(updates)
        assert [training.decoder_updates(s) for s in (step - 1, step)] == [updates - 1, updates]


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
