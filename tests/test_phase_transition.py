"""A unit of a logistic VAE lives below the top eigenvalue of the whitened covariance, and tells beta."""

import functools

import numpy as np
import pytest
import tensorflow as tf
from scipy.optimize import minimize

import tfcollapse as tc

COUNT, DIMENSIONS = 64, 6
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(11)
WEIGHTS = WEIGHTS / WEIGHTS.sum()


def grey():
    """Numbers between 0 and 1 with one factor, [64, 6]."""
    random = np.random.default_rng(0)
    factor = random.standard_normal((COUNT, 1))
    logits = 1.6 * factor @ random.standard_normal((1, DIMENSIONS)) + 0.3 * random.standard_normal((COUNT, DIMENSIONS))
    return 1 / (1 + np.exp(-logits))


def top_eigenvalue(x):
    """Of F^-1/2 C F^-1/2 at the collapsed point, where every mean is the data's: C = Cov(x), F = diag(mu (1 - mu))."""
    mean = x.mean(axis=0)
    root = np.sqrt(mean * (1 - mean))
    return np.linalg.eigvalsh(np.cov(x.T, bias=True) / np.outer(root, root))[-1]


@functools.cache
def trained(share):
    """The VAE of one unit, free Gaussian posteriors, at beta = share * eigenvalue: the exact optimum by L-BFGS."""
    x = grey()
    beta = share * top_eigenvalue(x)
    data = tf.constant(x)

    @tf.function
    def energy(flat):
        weights, bias = flat[:DIMENSIONS], flat[DIMENSIONS : 2 * DIMENSIONS]
        mean, log_variance = tf.split(flat[2 * DIMENSIONS :], 2)
        z = mean[:, None] + tf.exp(0.5 * log_variance)[:, None] * NODES
        logits = z[:, :, None] * weights + bias
        errors = tf.nn.sigmoid_cross_entropy_with_logits(tf.broadcast_to(data[:, None], logits.shape), logits)
        kl = 0.5 * (mean**2 + tf.exp(log_variance) - log_variance - 1)
        return tf.reduce_mean(tf.reduce_sum(errors, 2) @ WEIGHTS[:, None]) + beta * tf.reduce_mean(kl)

    def value_and_gradient(flat):
        flat = tf.constant(flat)
        with tf.GradientTape() as tape:
            tape.watch(flat)
            value = energy(flat)
        return value.numpy(), tape.gradient(value, flat).numpy()

    start = np.concatenate(
        [np.full(DIMENSIONS, 0.3), np.log(x.mean(0) / (1 - x.mean(0))), 0.3 * (x - x.mean(0)).sum(1), np.zeros(COUNT)]
    )
    flat = minimize(value_and_gradient, start, jac=True, method="L-BFGS-B", options={"maxiter": 5_000, "ftol": 1e-15}).x
    mean, log_variance = np.split(flat[2 * DIMENSIONS :], 2)
    return x, beta, flat[:DIMENSIONS], flat[DIMENSIONS : 2 * DIMENSIONS], mean, log_variance


@pytest.mark.parametrize(("share", "alive"), [(0.95, True), (1.05, False)])
def test_the_unit_lives_below_the_eigenvalue_and_dies_above_it(share, alive):
    assert (trained(share)[4].var() > 0.01) == alive


@pytest.mark.parametrize("share", [0.3, 0.6])
def test_the_unit_tells_the_beta_that_it_was_trained_under(share):
    x, beta, weights, bias, mean, log_variance = trained(share)

    def row(examples):
        """The posterior is free: it is looked up, not computed."""
        return np.argmin(np.square(examples[:, None] - x[None]).sum(axis=2), axis=1)

    found = tc.diagnose(
        lambda examples: (mean[row(examples), None], log_variance[row(examples), None]),
        lambda z: z * weights + bias,
        x,
        likelihood="bernoulli",
        beta=beta,
    )
    assert found.measurements.implied_gamma == pytest.approx(beta, rel=0.02)
    assert found.measurements.second_moment == pytest.approx([1.0], abs=0.01)
    assert "the decoder's output is taken for logits" in str(found)
    # Cross-entropy on numbers between 0 and 1 assumes more noise than they have.
    assert found.measurements.dispersion < 0.5
    assert any("the data are not binary" in note for note in found.verdict.notes)
