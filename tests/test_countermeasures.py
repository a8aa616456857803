"""Test the objectives against posterior collapse: closed forms, naive oracles in float64, engines, refusals."""

import dataclasses
import math

import numpy as np
import pytest
import scipy.special
import tensorflow as tf
from examples import tiny
from processes import under_jax

from tfcollapse.config.declaration import Network, Run
from tfcollapse.config.objective import Objective
from tfcollapse.config.overrides import replace, shorten
from tfcollapse.diagnosis.blame.arms import Arm, other_objectives
from tfcollapse.diagnosis.blame.verdict import late_gamma
from tfcollapse.diagnosis.run_diagnosis import diagnose_run
from tfcollapse.errors import ConfigError
from tfcollapse.models import objectives
from tfcollapse.models.autoencoder import load_model
from tfcollapse.models.build import build
from tfcollapse.models.description import describe
from tfcollapse.studies.cost import flops_per_step
from tfcollapse.training import engines
from tfcollapse.training.trainer import train

FIXED = {"gamma": "fixed", "gamma_start": 0.4}
ARMS = {
    "cyclical": Objective(gamma="optimal", warmup="cyclical", warmup_steps=8),
    "held": Objective(gamma_start=0.05, warmup="hold_gamma", warmup_steps=4),
    "free bits": Objective(gamma="optimal", kl_constraint="free_bits", kl_nats=0.05),
    "capacity": Objective(gamma="optimal", kl_constraint="capacity", kl_nats=3.0, warmup_steps=4, beta=5.0),
    "floor": Objective(gamma="optimal", kl_constraint="floor", kl_nats=0.2),
    "importance": Objective(gamma_start=0.05, importance_samples=3),
}


def vae(objective, seed=0):
    """Return a small VAE with biases that are not zero, images and noise."""
    model = build(tiny(objective=objective), (3, 3, 1))
    random = np.random.default_rng(seed)
    for variable in (*model.encoder.weights, *model.decoder.weights):
        variable.assign(variable + 0.1 * random.standard_normal(variable.shape))
    images = random.random((4, 3, 3, 1)).astype(np.float32)
    return model, images, random.standard_normal((4, model.noise_dim)).astype(np.float32)


def moments(model, images):
    mean, log_variance = (np.asarray(value, np.float64) for value in model.encode(images))
    return mean, log_variance, 0.5 * (mean**2 + np.exp(log_variance) - log_variance - 1)


def errors(model, images, latents):
    decoded = np.asarray(model.decode(latents.astype(np.float32)), np.float64)
    return ((decoded - images) ** 2).sum(axis=(1, 2, 3))


def mean_loss(model, images, noise, step=0):
    return float(tf.reduce_mean(model.loss_terms(images, noise, step).loss))


def plain(model, images, noise, charged, gamma=0.4, weight=1.0):
    """Return eq. (4) averaged over the batch, with `charged` [batch] in the place of the KL."""
    mean, log_variance, _ = moments(model, images)
    error = errors(model, images, mean + np.exp(0.5 * log_variance) * noise)
    return np.mean(error / gamma + 9 * math.log(gamma) + weight * (2 * charged + model.latent_dim))


def test_a_cycle_rises_over_its_first_half_and_starts_again():
    shares = [float(objectives.cyclical(tf.constant(step), 8)) for step in range(18)]
    assert shares == pytest.approx([0.25, 0.5, 0.75, 1, 1, 1, 1, 1] * 2 + [0.25, 0.5])
    assert [float(objectives.cyclical(tf.constant(step), 1)) for step in range(3)] == [1, 1, 1]
    model, images, noise = vae(Objective(**FIXED, beta=2.0, warmup="cyclical", warmup_steps=8))
    assert [float(model.loss_terms(images, noise, step).kl_weight) for step in (0, 3, 9)] == [0.5, 2.0, 1.0]


def test_free_bits_are_free_up_to_the_threshold_and_no_further():
    kl = np.array([[0.1, 0.6], [0.3, 1.0]], np.float32)  # means 0.2 and 0.8
    for nats, expected in ((0.5, 0.5 + 0.8), (0.1, 0.2 + 0.8), (2.0, 4.0)):
        charged = objectives.free_bits(tf.constant(kl), nats, objectives.mean_over_batch)
        assert float(tf.reduce_mean(charged)) == pytest.approx(expected, rel=1e-6)
    with tf.GradientTape() as tape:
        values = tf.Variable(kl)
        charged = tf.reduce_sum(objectives.free_bits(values, 0.5, objectives.mean_over_batch))
    assert tape.gradient(charged, values).numpy().tolist() == [[0, 1], [0, 1]]


def test_free_bits_capacity_and_floor_in_the_loss():
    model, images, noise = vae(Objective(**FIXED, kl_constraint="free_bits", kl_nats=0.05))
    units = moments(model, images)[2].mean(axis=0)
    assert 0 < (units < 0.05).sum() < len(units)
    expected = plain(model, images, noise, np.maximum(units, 0.05).sum())
    assert mean_loss(model, images, noise) == pytest.approx(expected, rel=1e-5)
    model, images, noise = vae(Objective(**FIXED, kl_constraint="capacity", kl_nats=3.0, warmup_steps=4, beta=5.0))
    kl = moments(model, images)[2].sum(axis=1).mean()
    for step, target in ((0, 0.75), (1, 1.5), (9, 3.0)):
        expected = plain(model, images, noise, abs(kl - target), weight=5.0)
        assert mean_loss(model, images, noise, step) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("nats", [1e-4, 0.2, 5.0, 40.0])
def test_the_floor_is_the_kl_of_a_unit_at_its_bound(nats, tmp_path):
    bound = objectives.largest_log_variance(nats)
    assert 0.5 * (math.exp(bound) - bound - 1) == pytest.approx(nats, rel=1e-9)
    model, images, _ = vae(Objective(gamma="optimal", kl_constraint="floor", kl_nats=nats))
    for bias, close in ((50.0, nats), (-5.0, None)):
        model.encoder.log_variance.bias.assign(np.full(model.latent_dim, bias, np.float32))
        units = moments(model, images)[2]
        assert (units >= nats * (1 - 1e-4) - 1e-6).all()  # float32's rounding of 1
        if close:
            mean = moments(model, images)[0]
            np.testing.assert_allclose(units - mean**2 / 2, close, rtol=2e-3)
    model.save(tmp_path / "m.keras")
    np.testing.assert_array_equal(moments(load_model(tmp_path / "m.keras"), images)[1], moments(model, images)[1])


def test_importance_weights_against_a_naive_oracle():
    model, images, noise = vae(Objective(**FIXED, importance_samples=3))
    mean, log_variance, _ = moments(model, images)
    weights = []
    for k in range(3):
        epsilon = noise.reshape(4, 3, -1)[:, k]
        sigma = np.exp(0.5 * log_variance)
        z = mean + sigma * epsilon
        log_q = (-0.5 * ((z - mean) / sigma) ** 2 - np.log(sigma) - 0.5 * math.log(2 * math.pi)).sum(axis=1)
        log_p = (-0.5 * z**2 - 0.5 * math.log(2 * math.pi)).sum(axis=1)
        log_x = -0.5 * (errors(model, images, z) / 0.4 + 9 * math.log(0.4))
        weights.append(log_x + log_p - log_q)
    bound = scipy.special.logsumexp(weights, axis=0) - math.log(3)
    expected = np.mean(-2 * bound) + model.latent_dim
    assert mean_loss(model, images, noise) == pytest.approx(expected, rel=1e-5)


def test_one_importance_sample_is_the_elbo_and_more_are_a_tighter_bound():
    model, images, _ = vae(Objective(**FIXED))
    draws = 4_000
    tiled, random = np.repeat(images[:1], draws, axis=0), np.random.default_rng(1)
    noise = random.standard_normal((draws, model.latent_dim)).astype(np.float32)
    elbo = model.loss_terms(tiled, noise, 0).loss.numpy()
    mean, log_variance = model.encode(tiled)
    latents = mean + tf.exp(0.5 * log_variance) * noise
    error = objectives.squared_error(tiled, model.decode(latents))[:, None]
    ratio = objectives.log_ratio(latents, noise, log_variance)[:, None]
    one = objectives.importance_weighted(error, ratio, tf.constant(0.4), 9, model.latent_dim).numpy()
    assert abs(one.mean() - elbo.mean()) < 4 * (one - elbo).std() / math.sqrt(draws)
    several = objectives.importance_weighted(
        tf.reshape(error, (-1, 8)), tf.reshape(ratio, (-1, 8)), tf.constant(0.4), 9, model.latent_dim
    ).numpy()
    assert several.mean() < elbo.mean()


def test_gamma_is_held_and_then_goes_its_way():
    for gamma in ("learned", "optimal"):
        model, images, noise = vae(Objective(gamma=gamma, gamma_start=0.05, warmup="hold_gamma", warmup_steps=4))
        model.log_gamma.assign(math.log(0.3))
        free = 0.3 if gamma == "learned" else model.loss_terms(images, noise, 4).squared_error.numpy().mean() / 9
        for step, expected in ((0, 0.05), (3, 0.05), (4, free), (9, free)):
            with tf.GradientTape() as tape:
                terms = model.loss_terms(images, noise, tf.constant(step))
            assert float(terms.gamma) == pytest.approx(expected, rel=1e-5)
            if gamma == "learned":
                assert (float(tape.gradient(terms.loss, model.log_gamma)) == 0) == (step < 4)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"kl_constraint": "floor", "kl_nats": 0.0}, "kl_nats: expected > 0"),
        ({"kl_constraint": "floor", "kl_nats": 400.0}, "kl_nats: expected a floor from 0.0001 to 40 nats a unit"),
        ({"kl_constraint": "floor", "kl_nats": 1e-18}, "kl_nats: expected a floor from 0.0001 to 40 nats a unit"),
        ({"kl_nats": 0.5}, "kl_nats: expected a kl_constraint with it, received 0.5 and none"),
        ({"kl_constraint": "capacity", "kl_nats": 1.0, "warmup": "kl"}, "'capacity' has a schedule of its own"),
        ({"warmup": "hold_gamma", "gamma": "fixed"}, "'hold_gamma' needs a gamma that moves"),
        ({"importance_samples": 2, "gamma": "optimal"}, "expected gamma learned or fixed, received optimal"),
        ({"importance_samples": 2, "beta": 2.0}, "expected beta 1.0, received 2.0"),
        ({"importance_samples": 2, "warmup": "cyclical"}, "expected warmup none or hold_gamma, received cyclical"),
        (
            {"importance_samples": 2, "kl_constraint": "free_bits", "kl_nats": 1.0},
            "expected kl_constraint none or floor",
        ),
    ],
)
def test_what_cannot_be_combined_is_refused_in_one_line(fields, message):
    with pytest.raises(ConfigError, match=message) as refused:
        Objective(**fields)
    assert "\n" not in str(refused.value)


def test_a_floor_needs_an_encoder_that_has_it():
    from tfcollapse import Autoencoder

    model, *_ = vae(Objective())
    with pytest.raises(ConfigError, match="expected one whose sigma keeps every KL at 0.2 nats or more"):
        Autoencoder(model.encoder, model.decoder, Objective(kl_constraint="floor", kl_nats=0.2))


def test_a_shorter_run_has_a_shorter_rise_of_the_capacity():
    run = replace(Run(), {"objective": Objective(kl_constraint="capacity", kl_nats=5.0, warmup_steps=1_000)})
    assert shorten(run, run.training.steps // 10).objective.warmup_steps == 100


@pytest.mark.parametrize("name", ARMS)
def test_names_differ_and_a_step_lowers_the_loss(name):
    assert len({objective.label for objective in ARMS.values()} | {"VAE"}) == len(ARMS) + 1
    model, images, noise = vae(ARMS[name])
    optimizer = tf.keras.optimizers.SGD(1e-4)
    before = mean_loss(model, images, noise)
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(model.loss_terms(images, noise, 0).loss)
    found = tape.gradient(loss, model.trainable_variables)
    pairs = [(g, v) for g, v in zip(found, model.trainable_variables, strict=True) if g is not None]
    optimizer.apply_gradients(pairs)
    assert mean_loss(model, images, noise) < before


def steps_of(objective):
    """Return the metrics of 10 steps on random images, as nested lists by name."""
    run = tiny(objective=objective)
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (10, 16, 3, 3, 1), dtype=np.uint8)
    model = build(run, (3, 3, 1))
    noise = random.standard_normal((10, 16, model.noise_dim)).astype(np.float32)
    engine = engines.engine(model, replace(run, {"training.batch": 16}))
    return {name: values.tolist() for name, values in engine.train_steps(images, noise).items()}


@pytest.mark.slow
def test_both_engines_train_every_arm_alike():
    code = "import json, test_countermeasures as t\n"
    code += "print(json.dumps({name: t.steps_of(objective) for name, objective in t.ARMS.items()}))"
    for name, theirs in under_jax(code).items():
        ours = steps_of(ARMS[name])
        assert len(set(ours["loss"])) == 10
        for metric, values in ours.items():
            assert values == pytest.approx(theirs[metric], rel=1e-5, abs=1e-6), (name, metric)


@pytest.mark.parametrize(
    "objective",
    [
        Objective(**FIXED, beta=2.0, warmup="kl", warmup_steps=7),
        Objective(**FIXED, beta=2.0, warmup="cyclical", warmup_steps=7),
        Objective(**FIXED, beta=2.0, warmup="cyclical", warmup_steps=1),
        Objective(**FIXED, beta=2.0, warmup="gamma", warmup_steps=7),
        Objective(gamma_start=0.05, beta=2.0, warmup="hold_gamma", warmup_steps=7),
    ],
    ids=lambda objective: f"{objective.warmup} {objective.warmup_steps}",
)
def test_keras_evaluates_the_objective_after_its_schedule(objective):
    model, images, _ = vae(objective)
    if objective.gamma == "learned":
        model.log_gamma.assign(math.log(0.4))
    model.compile("sgd")
    found = model.evaluate(images, verbose=0, return_dict=True)
    kl = moments(model, images)[2].sum(axis=1)
    expected = plain(model, images, np.zeros((4, model.latent_dim)), kl, gamma=0.4, weight=2.0)
    assert found["loss"] == pytest.approx(expected, rel=1e-5)
    assert found["gamma"] == pytest.approx(0.4)


def test_every_sample_is_decoded_and_counted():
    network = Network(depth=2)
    one, five = (Run(network=network, objective=Objective(importance_samples=k)) for k in (1, 5))
    shape = (28, 28, 1)
    encoder, decoder = (describe(one, shape)[part]["flops"] for part in ("encoder", "decoder"))
    for run, samples in ((one, 1), (five, 5)):
        assert run.flops_per_image(shape) == describe(run, shape)["flops_per_image"] == encoder + samples * decoder
    assert flops_per_step(five, shape) == 3 * 64 * (encoder + 5 * decoder)


def test_a_distance_from_a_capacity_is_no_weight_on_the_kl():
    capacity = replace(tiny(objective=ARMS["capacity"]), {"training.steps": 40})
    assert "VAE, beta 1" not in other_objectives(capacity)
    assert "VAE, beta 1" in other_objectives(tiny(objective=Objective(beta=5.0)))
    assert not late_gamma(
        Arm("VAE", error=0.01, gamma=1.0), replace(capacity, {"objective.gamma": "learned"}).objective
    )


def test_a_gamma_that_is_held_is_held_in_closed_form_too():
    arms = other_objectives(tiny(objective=Objective(gamma_start=0.05, warmup="hold_gamma")))
    assert arms["VAE, gamma in closed form"].objective.gamma_start == 0.05
    arms = other_objectives(tiny(objective=Objective(gamma_start=0.05)))
    assert arms["VAE, gamma in closed form"].objective.gamma_start == 1.0


def test_a_diagnosis_of_a_run_with_a_capacity_declares_no_weight(tmp_path):
    run = tiny(objective=ARMS["capacity"])
    result = train(run, tmp_path, report=lambda progress: None)
    assert "affine_active_units" not in result  # no gamma of which it would be known what an affine VAE keeps
    diagnosis = diagnose_run(tmp_path / run.run_id)
    assert "the KL is drawn to 3 nats in sum" in " ".join(diagnosis.verdict.notes)
    assert diagnosis.measurements.gamma is None


def test_a_diagnosis_says_what_the_kl_term_has_beyond_equation_4(tmp_path):
    run = tiny(objective=ARMS["free bits"])
    run = replace(run, {"training": dataclasses.replace(run.training, steps=20)})
    train(run, tmp_path, report=lambda progress: None)
    notes = " ".join(diagnose_run(tmp_path / run.run_id).verdict.notes)
    assert "the loss as declared: eq. (4), but no unit pays for a KL below 0.05 nats" in notes
