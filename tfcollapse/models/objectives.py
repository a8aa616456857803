"""The paper's objectives as pure functions of tensors, per example, in keras.ops.

gamma is the decoder VARIANCE everywhere. Like the paper, eq. (4) leaves out a factor 1/2 and d log 2 pi;
`negative_elbo` puts both back.
"""

from __future__ import annotations

import math

from keras import ops


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


def optimal_gamma(squared_error, dimensions: int, batch_mean=ops.mean):
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
