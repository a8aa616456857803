"""Find for Proposition 2 the best posterior of any decoder at a gamma, by descent in float64."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.optimize
import tensorflow as tf

from tfcollapse.lab.float64 import in_float64
from tfcollapse.models.autoencoder import Autoencoder
from tfcollapse.theory.thresholding import Response

_RESTARTS = 6
_OPTIONS = {"maxiter": 300, "maxcor": 20, "ftol": 1e-12, "gtol": 1e-7}
_EXACT = {"maxiter": 800, "maxcor": 30, "ftol": 0.0, "gtol": 1e-8}


@dataclass(frozen=True)
class Scaled:
    """A posterior, and the scales w_j on its latents (the last paragraph of Appendix C).

    Attributes:
      response: f and the KL, both summed over images.
      scale: w, [latent_dim], in [0, 1].
      mean, sigma: the moments of each image's posterior, [n, latent_dim].
    """

    response: Response
    scale: np.ndarray
    mean: np.ndarray
    sigma: np.ndarray

    def collapsed(self, tolerance: float = 1e-6) -> np.ndarray:
        """Return which latents are at the prior for every image: bool [latent_dim].

        A latent is at the prior where |mu| and |sigma - 1| are below `tolerance`.
        """
        off = np.maximum(np.abs(self.mean), np.abs(self.sigma - 1)).max(axis=0)
        return off < tolerance


class DecoderResponse:
    """The best use of a decoder at each gamma, found by descent over the posterior of every image.

    Every image has free moments of its own. The expectation over z is taken over fixed draws in pairs, each z with its
    mirror image. The draws are the same for every gamma and image: with draws of its own, an image could be told from
    the others at no KL. A constant is added to the decoder's output and kept at its optimum, so that ignoring z gives
    exactly the mean predictor.

    Args:
      model: a VAE of this package.
      images: float [n, h, w, c] in [0, 1].
      pairs: the number of pairs of draws.
      seed: the seed of the draws.

    Attributes:
      ceiling: n d gamma-bar of these images: the squared error of the mean predictor, summed over images and pixels.
    """

    def __init__(self, model: Autoencoder, images: np.ndarray, pairs: int = 8, seed: int = 0):
        self.model = in_float64(model)
        self.images = np.asarray(images, np.float64)
        self.shape = (len(images), model.latent_dim)
        draws = np.random.default_rng(seed).standard_normal((pairs, 1, model.latent_dim))
        self.noise = tf.constant(np.concatenate([draws, -draws]))
        self.ceiling = float(np.square(self.images - self.images.mean(axis=0)).sum())
        self._slopes = tf.function(self._value_and_slopes, jit_compile=True)

    def best(self, gamma: float) -> Response:
        """Return f and the KL of the best posterior found at `gamma`, with every scale at 1.

        One descent starts at the encoder's own posterior, and one near the prior.
        """
        encoded = self.model.encode(self.images)
        mean, log_variance = (np.asarray(part) for part in encoded)
        starts = [np.concatenate([mean.ravel(), log_variance.ravel()])]
        starts.append(0.1 * starts[0])
        candidates = [self._descend(start, gamma, _OPTIONS, bounds=None) for start in starts]
        return self._read(min(candidates, key=lambda point: self._cost(point, gamma)))

    def staircase(self, gammas: Sequence[float]) -> list[Scaled]:
        """Return the best scales and posterior at each gamma.

        Args:
          gammas: ascending values; the descent at each one starts where the one before has ended.
        """
        mean, log_variance = (np.asarray(part) for part in self.model.encode(self.images))
        point = np.concatenate([mean.ravel(), log_variance.ravel(), np.ones(self.shape[1])])
        bounds = [(None, None)] * (2 * mean.size) + [(0.0, 1.0)] * self.shape[1]
        steps = []
        for gamma in gammas:
            point = self._pruned(self._descend(point, gamma, _EXACT, bounds), gamma)
            mean, log_variance, scale = self._parts(point)
            steps.append(Scaled(self._read(point), scale.copy(), mean.copy(), np.exp(log_variance / 2)))
        return steps

    def _pruned(self, point: np.ndarray, gamma: float) -> np.ndarray:
        """Return the point without those latents whose removal costs no more.

        A removed latent has scale 0, and its posterior is the prior. Each latent is tried alone. Then the weakest ones
        are tried together, up to all of them, because a descent may end where every latent helps the others.
        """
        order = np.argsort(self._parts(point)[2])
        for cut in [*([latent] for latent in order), *(order[:count] for count in range(2, len(order) + 1))]:
            candidate = point.copy()
            for part in self._parts(candidate):  # each part is a view of the candidate
                part[..., cut] = 0.0
            if self._cost(candidate, gamma) <= self._cost(point, gamma):
                point = candidate
        return point

    def _cost(self, point: np.ndarray, gamma: float) -> float:
        response = self._read(point)
        return response.f / gamma + 2 * response.kl

    def _descend(self, start: np.ndarray, gamma: float, options: dict, bounds: list | None) -> np.ndarray:
        def function(point: np.ndarray) -> tuple[float, np.ndarray]:
            mean, log_variance, scale = self._parts(point)
            value, slopes = self._slopes(
                *(tf.constant(part, tf.float64) for part in (mean, log_variance, scale, gamma))
            )
            slope = np.concatenate([np.ravel(part) for part in slopes])
            return float(value), slope[: len(point)]

        for _ in range(_RESTARTS):  # a kink of a ReLU network ends a line search; a restart goes on
            result = scipy.optimize.minimize(
                function, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options
            )
            start = result.x
            if bounds is None or result.success:
                break
        return start

    def _parts(self, point: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        size = self.shape[0] * self.shape[1]
        scale = point[2 * size :] if len(point) > 2 * size else np.ones(self.shape[1])
        return point[:size].reshape(self.shape), point[size : 2 * size].reshape(self.shape), scale

    def _read(self, point: np.ndarray) -> Response:
        mean, log_variance, scale = map(tf.constant, self._parts(point))
        f, kl = self._terms(mean, log_variance, scale)
        return Response(float(f), float(kl))

    def _value_and_slopes(self, mean, log_variance, scale, gamma):
        with tf.GradientTape() as tape:
            tape.watch([mean, log_variance, scale])
            f, kl = self._terms(mean, log_variance, scale)
            value = f / gamma + 2 * kl
        return value, tape.gradient(value, [mean, log_variance, scale])

    def _terms(self, mean, log_variance, scale):
        latents = (mean + tf.exp(0.5 * log_variance) * self.noise) * scale
        flat = tf.reshape(latents, (-1, self.shape[1]))
        outputs = tf.reshape(self.model.decode(flat), (-1, *self.images.shape))
        residual = self.images - outputs
        residual -= tf.stop_gradient(tf.reduce_mean(residual, axis=(0, 1)))
        f = tf.reduce_sum(tf.square(residual)) / len(self.noise)
        kl = 0.5 * tf.reduce_sum(tf.square(mean) + tf.exp(log_variance) - log_variance - 1.0)
        return f, kl
