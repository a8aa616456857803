import math

import numpy as np
import pytest
import tensorflow as tf
from examples import tiny
from keras import ops

from tfcollapse.config.declaration import Objective
from tfcollapse.models import objectives
from tfcollapse.models.build import build


def test_squared_error_sums_over_pixels():
    images = np.zeros((2, 1, 2, 1), np.float32)
    other = np.array([[[[1.0], [2.0]]], [[[0.5], [0.0]]]], np.float32)
    # 1 + 4 = 5 and 0.25 + 0 = 0.25
    assert ops.convert_to_numpy(objectives.squared_error(images, other)).tolist() == [5.0, 0.25]


def test_kl_of_known_gaussians():
    mean = np.array([[0.0, 1.0, 0.0]], np.float32)
    log_variance = np.array([[0.0, 0.0, math.log(4.0)]], np.float32)
    # prior: 0; mean 1: 1/2; variance 4: (4 - log 4 - 1) / 2 = 0.806853
    expected = [0.0, 0.5, (4 - math.log(4) - 1) / 2]
    assert ops.convert_to_numpy(objectives.kl_per_dimension(mean, log_variance))[0] == pytest.approx(expected, rel=1e-6)


def test_vae_energy_is_equation_4():
    # d = 3, kappa = 2, ||x - x_hat||^2 = 6, gamma = 0.5, mu = (1, 0), sigma^2 = (1, e):
    # 6 / 0.5 + 3 log 0.5 + (1 + e) - (0 + 1) + 1 = 12 - 2.0794415 + 3.7182818
    mean, log_variance = np.array([[1.0, 0.0]], np.float32), np.array([[0.0, 1.0]], np.float32)
    kl = ops.sum(objectives.kl_per_dimension(mean, log_variance), axis=-1)
    energy = objectives.vae_energy(np.array([6.0], np.float32), kl, ops.convert_to_tensor(0.5), 3, 2)
    assert float(energy[0]) == pytest.approx(12 + 3 * math.log(0.5) + 1 + math.e, rel=1e-6)
    # A weight of 0 leaves the data term alone.
    energy = objectives.vae_energy(np.array([6.0], np.float32), kl, ops.convert_to_tensor(0.5), 3, 2, 0.0)
    assert float(energy[0]) == pytest.approx(12 + 3 * math.log(0.5), rel=1e-6)


def test_negative_elbo_puts_the_constants_back():
    # One pixel, error 4, gamma 2, KL 0.7: -log N(2 | 0, 2) + 0.7 = (4 / 2 + log 2 + log 2 pi) / 2 + 0.7
    value = float(objectives.negative_elbo(np.float32(4.0), np.float32(0.7), ops.convert_to_tensor(2.0), 1))
    assert value == pytest.approx(0.5 * (2 + math.log(2) + math.log(2 * math.pi)) + 0.7, rel=1e-6)


def test_optimal_gamma_is_the_minimum_of_the_data_term():
    errors = np.array([3.0, 5.0, 10.0])
    best = float(objectives.optimal_gamma(errors, 2))  # (3 + 5 + 10) / 3 / 2 = 3
    assert best == pytest.approx(3.0)

    def energy(gamma):
        return float(ops.mean(objectives.gaussian_energy(errors, ops.convert_to_tensor(gamma), 2)))

    assert energy(best) < min(energy(best * 1.01), energy(best / 1.01))


def test_warmup_is_linear_and_ends_at_one():
    values = [float(objectives.warmup(ops.convert_to_tensor(step), 4)) for step in (0, 1, 3, 4, 100)]
    assert values == pytest.approx([0.25, 0.5, 1.0, 1.0, 1.0])


@pytest.mark.parametrize(
    ("objective", "step", "gamma", "kl_weight"),
    [
        (Objective(gamma="fixed", gamma_start=0.3), 0, 0.3, 1.0),
        (Objective(gamma="learned", gamma_start=2.0, beta=4.0), 0, 2.0, 4.0),
        (Objective(gamma="fixed", warmup="kl", warmup_steps=10), 4, 1.0, 0.5),
        (Objective(gamma="fixed", gamma_start=0.2, warmup="gamma", warmup_steps=10), 4, 0.1, 1.0),
        (Objective(gamma="fixed", gamma_start=0.2, warmup="gamma", warmup_steps=10), 99, 0.2, 1.0),
    ],
)
def test_gamma_and_kl_weight_follow_their_schedules(objective, step, gamma, kl_weight):
    model = build(tiny(objective=objective), (4, 4, 1))
    terms = model.loss_terms(np.zeros((2, 4, 4, 1), np.float32), np.zeros((2, 6), np.float32), step)
    assert float(terms.gamma) == pytest.approx(gamma, rel=1e-6)
    assert float(terms.kl_weight) == pytest.approx(kl_weight, rel=1e-6)


def _naive_energy(weights, images, noise, gamma):
    """Eq. (4) averaged over a batch, with loops, in float64: the oracle."""
    total = 0.0
    for image, epsilon in zip(
        images.reshape(len(images), -1).astype(np.float64), noise.astype(np.float64), strict=True
    ):
        hidden = image
        for name in ("encoder_1", "encoder_2"):
            hidden = np.maximum(0.0, hidden @ weights[f"encoder/{name}/kernel"] + weights[f"encoder/{name}/bias"])
        mean, log_variance = (
            hidden @ weights[f"encoder/{head}/kernel"] + weights[f"encoder/{head}/bias"]
            for head in ("mean", "log_variance")
        )
        sigma = [math.exp(0.5 * value) for value in log_variance]
        hidden = np.array([m + s * e for m, s, e in zip(mean, sigma, epsilon, strict=True)])
        for name in ("decoder_1", "decoder_2"):
            hidden = np.maximum(0.0, hidden @ weights[f"decoder/{name}/kernel"] + weights[f"decoder/{name}/bias"])
        output = hidden @ weights["decoder/pixels/kernel"] + weights["decoder/pixels/bias"]
        error = sum((x - y) ** 2 for x, y in zip(image, output, strict=True))
        penalty = sum(s * s - 2 * math.log(s) + m * m for m, s in zip(mean, sigma, strict=True))
        total += error / gamma + len(image) * math.log(gamma) + penalty
    return total / len(images)


def test_loss_and_gradients_agree_with_a_naive_oracle():
    model = build(tiny(objective=Objective(gamma="learned", gamma_start=0.4)), (3, 3, 1))
    random = np.random.default_rng(0)
    for variable in model.weights:  # away from zero biases, so that no gradient is trivially right
        variable.assign(variable + 0.1 * random.standard_normal(variable.shape))
    images = random.random((4, 3, 3, 1)).astype(np.float32)
    noise = random.standard_normal((4, 6)).astype(np.float32)
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(model.loss_terms(images, noise, 0).loss)
    gradients = dict(
        zip([v.path for v in model.trainable_variables], tape.gradient(loss, model.trainable_variables), strict=True)
    )
    weights = {variable.path: variable.numpy().astype(np.float64) for variable in model.weights}
    log_gamma = weights.pop("autoencoder/log_gamma")

    def energy(path=None, index=(), shift=0.0):
        moved = {name: value.copy() for name, value in weights.items()}
        if path in moved:
            moved[path][index] += shift
        return _naive_energy(
            moved, images, noise, math.exp(log_gamma + (shift if path == "autoencoder/log_gamma" else 0))
        )

    assert float(loss) == pytest.approx(energy(), rel=1e-5)
    assert len(gradients) == 15  # kernels and biases of 7 layers, and log gamma
    for path, gradient in gradients.items():
        index = tuple(int(random.integers(size)) for size in gradient.shape)
        slope = (energy(path, index, 1e-6) - energy(path, index, -1e-6)) / 2e-6
        assert float(gradient.numpy()[index]) == pytest.approx(slope, rel=2e-3, abs=2e-4), path
