"""The paper's objectives as pure functions of tensors, per example, in keras.ops.

gamma is the decoder VARIANCE everywhere. Like the paper, eq. (4) leaves out a factor 1/2 and d log 2 pi;
`negative_elbo` puts both back.
"""

from __future__ import annotations

import math

import scipy  # whose parts are loaded when they are first used
from keras import ops

from tfcollapse.config.objective import Objective


def squared_error(images, reconstructions):
    """Return ||x - x_hat||^2, summed over pixels and channels.

    Args:
      images, reconstructions: [batch, ...], pixels in [0, 1].

    Returns:
      [batch].
    """
    return ops.sum(ops.square(images - reconstructions), axis=tuple(range(1, len(images.shape))))


def kl_per_dimension(mean, log_variance):
    """Return KL[q(z_j | x) || N(0, 1)] = (mu^2 + sigma^2 - log sigma^2 - 1) / 2, eq. (37), in nats.

    Args:
      mean, log_variance: [batch, latent], of q(z | x).

    Returns:
      [batch, latent].
    """
    return 0.5 * (ops.square(mean) + ops.exp(log_variance) - log_variance - 1.0)


def gaussian_energy(squared_error, gamma, dimensions: int):
    """Return the data term of eq. (4), ||x - x_hat||^2 / gamma + d log gamma, [batch].

    Args:
      squared_error: [batch], summed over pixels.
      gamma: decoder variance, scalar.
      dimensions: d, pixels times channels.
    """
    return squared_error / gamma + dimensions * ops.log(gamma)


def vae_energy(squared_error, kl, gamma, dimensions: int, latent_dim: int, kl_weight=1.0):
    """Return eq. (4) per example, with a weight on its KL part.

    Args:
      squared_error: [batch], summed over pixels, of one sample of z.
      kl: [batch], nats, summed over latent dimensions.
      gamma: decoder variance, scalar.
      dimensions: d, pixels times channels.
      latent_dim: kappa; sigma^2 - log sigma^2 + mu^2 summed is 2 KL + kappa.
      kl_weight: 1 is eq. (4).

    Returns:
      [batch].
    """
    return gaussian_energy(squared_error, gamma, dimensions) + kl_weight * (2.0 * kl + latent_dim)


def negative_elbo(squared_error, kl, gamma, dimensions: int):
    """Return the bound of eq. (2) on -log p(x), [batch]: nats per image, with the 1/2 and the log 2 pi.

    The arguments are those of `vae_energy`.
    """
    return 0.5 * (gaussian_energy(squared_error, gamma, dimensions) + dimensions * math.log(2 * math.pi)) + kl


def free_bits(kl_per_dimension, nats: float, batch_mean):
    """Return the KL of which every unit is charged `nats` at least, Kingma et al. (2016), eq. (15), one unit a group.

    The mean over the batch of what is returned is the sum over units of max(nats, mean KL of the unit). A unit at or
    below `nats` has no gradient.

    Args:
      kl_per_dimension: [batch, latent], nats.
      nats: the KL that is free, for each unit.
      batch_mean: the mean over the batch, of which these values may be a share.

    Returns:
      [batch], nats.
    """
    above = ops.stop_gradient(batch_mean(kl_per_dimension)) > nats
    return ops.sum(ops.where(above, kl_per_dimension, nats), axis=-1)


def distance_from_capacity(kl, capacity, batch_mean):
    """Return the distance of the KL from a target, Burgess et al. (2018), eq. (8), before its weight.

    The mean over the batch of what is returned is |mean KL - capacity|.

    Args:
      kl: [batch], nats, summed over latent dimensions.
      capacity: the target, nats, scalar.
      batch_mean: as for `free_bits`.

    Returns:
      [batch], nats.
    """
    return ops.sign(ops.stop_gradient(batch_mean(kl)) - capacity) * (kl - capacity)


def largest_log_variance(nats: float) -> float:
    """Return the log variance at which a unit whose mean is 0 has a KL of `nats`: the bound of a KL floor.

    Below it (v - log v - 1) / 2 >= `nats`, whatever the mean is (Razavi et al. 2019, section 2.1).
    """
    root = scipy.special.lambertw(-math.exp(-2.0 * nats - 1.0)).real  # -v: (-v) exp(-v) = -exp(-2 nats - 1)
    return math.log(-root)


def bounded_log_variance(log_variance, nats: float):
    """Return `log_variance`, smoothly bounded so that no unit's KL is below `nats`; as it is where `nats` is 0."""
    if not nats:
        return log_variance
    bound = largest_log_variance(nats)
    return bound - ops.softplus(bound - log_variance)


def importance_weighted(squared_error, log_ratio, gamma, dimensions: int, latent_dim: int):
    """Return -2 log (1/K) sum_k w_k, Burda et al. (2015), eq. (8), with the constants that eq. (4) leaves out.

    log w_k is minus half of the energy of sample k, in which log q(z | x) - log p(z) stands for the KL. One sample has
    in expectation the energy of eq. (4).

    Args:
      squared_error: [batch, samples], summed over pixels.
      log_ratio: [batch, samples], log q(z | x) - log p(z), nats.
      gamma: decoder variance, scalar.
      dimensions, latent_dim: as for `vae_energy`.

    Returns:
      [batch].
    """
    energy = gaussian_energy(squared_error, gamma, dimensions) + 2.0 * log_ratio
    samples = squared_error.shape[1]
    return -2.0 * (ops.logsumexp(-0.5 * energy, axis=1) - math.log(samples)) + latent_dim


def log_ratio(sample, noise, log_variance):
    """Return log q(z | x) - log p(z) of z = mean + sigma * noise, nats, summed over the last axis."""
    return 0.5 * ops.sum(ops.square(sample) - ops.square(noise) - log_variance, axis=-1)


def mean_over_batch(values):
    """Return the mean over the first axis."""
    return ops.mean(values, axis=0)


def optimal_gamma(squared_error, dimensions: int, batch_mean=mean_over_batch):
    """Return the gamma that minimises eq. (4) with all else fixed, eq. (10): the mean squared error per pixel, scalar.

    Args:
      squared_error: [batch], summed over pixels.
      dimensions: d, pixels times channels.
      batch_mean: the mean over the batch, of which `squared_error` may be a share.
    """
    return batch_mean(squared_error) / dimensions


def warmup(step, length: int):
    """Return the share of a warm-up that is done at `step` (from 0): linear, 1 from step `length` - 1 on.

    It starts at 1 / length, not 0, so that a gamma scaled by it stays positive.
    """
    return ops.minimum((ops.cast(step, "float32") + 1.0) / length, 1.0)


def cyclical(step, length: int):
    """Return the share of the KL weight at `step` (from 0) of cycles of `length` steps, Fu et al. (2019), eq. (6).

    It rises linearly over the first half of a cycle, and is 1 over the other half.
    """
    return warmup(ops.mod(step, length), max(1, length // 2))


def schedule(objective: Objective, step, dtype):
    """Return the share of its warm-up that `objective` is at, a scalar; 1 where it has none."""
    if objective.warmup == "none":
        return ops.ones((), dtype)
    return ops.cast((cyclical if objective.warmup == "cyclical" else warmup)(step, objective.warmup_steps), dtype)


def charged_kl(objective: Objective, kl_per_dimension, step, batch_mean):
    """Return what the KL term of `objective` charges, [batch], nats: the sum over units, but for a constraint.

    Args:
      objective: the declaration.
      kl_per_dimension: [batch, latent], nats.
      step: updates done so far, an integer scalar.
      batch_mean: the mean over the batch, of which these values may be a share.
    """
    if objective.kl_constraint == "free_bits":
        return free_bits(kl_per_dimension, objective.kl_nats, batch_mean)
    kl = ops.sum(kl_per_dimension, axis=-1)
    if objective.kl_constraint == "capacity":
        capacity = objective.kl_nats * ops.cast(warmup(step, objective.warmup_steps), kl.dtype)
        return distance_from_capacity(kl, capacity, batch_mean)
    return kl
