"""Make what is timed with TensorFlow, JAX and Keras. Each contender is a function of a number of steps."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from tfcollapse.backend import backend
from tfcollapse.config.declaration import Run
from tfcollapse.models import networks
from tfcollapse.models.build import build
from tfcollapse.training import engines
from tfcollapse.training.batches import batches_for_steps
from tfcollapse.training.optimizer import adam

Contender = Callable[[int], None]


def ours(run: Run, images: np.ndarray) -> Contender:
    """Make the contender of this package's own loop: draws, updates and metrics, without the files of a run."""
    engine = engines.engine(build(run, images.shape[1:]), run)
    on_device = engine.put_on_device(images)

    def call(steps: int) -> None:
        end = engine.step + steps
        while engine.step < end:
            count = min(run.training.log_every, end - engine.step)
            engine.train_steps(*batches_for_steps(run, images, engine.step, count, on_device=on_device))

    return call


def keras_fit(run: Run, images: np.ndarray) -> Contender:
    """Make the contender of Keras' `fit`: a `PlainVAE` of the same networks, or an AE compiled with "mse"."""
    shape, variational = images.shape[1:], run.objective.kind == "vae"
    encoder, decoder = networks.build(run.network, shape, variational=variational, seed=run.seed)
    if variational:
        model = PlainVAE(encoder, decoder)
        model.compile(optimizer=adam(run.training))
    else:
        model = keras.Sequential([encoder, decoder])
        model.compile(optimizer=adam(run.training), loss="mse")
    pixels = as_pixels(images)

    @functools.lru_cache(maxsize=1)
    def epoch(steps: int) -> np.ndarray:
        return np.resize(pixels, (steps * run.training.batch, *shape))

    def call(steps: int) -> None:
        data = epoch(steps)
        model.fit(data, None if variational else data, batch_size=run.training.batch, epochs=1, verbose=0)

    return call


class PlainVAE(keras.Model):
    """Train a VAE as the example on keras.io does: its own train step, fixed weights on both terms, TensorFlow."""

    def __init__(self, encoder: keras.Model, decoder: keras.Model):
        super().__init__()
        self.encoder, self.decoder = encoder, decoder
        self.seeds = keras.random.SeedGenerator(0)
        self.trackers = [keras.metrics.Mean(name=name) for name in ("loss", "reconstruction_loss", "kl_loss")]
        self.built = True

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        return self.trackers

    def train_step(self, data: Any) -> dict[str, Any]:
        import tensorflow as tf

        with tf.GradientTape() as tape:
            mean, log_variance = self.encoder(data)
            noise = keras.random.normal(ops.shape(mean), seed=self.seeds)
            reconstruction = self.decoder(mean + ops.exp(0.5 * log_variance) * noise)
            axes = tuple(range(1, len(data.shape)))
            error = ops.mean(ops.sum(ops.square(data - reconstruction), axis=axes))
            kl = -0.5 * (1 + log_variance - ops.square(mean) - ops.exp(log_variance))
            kl = ops.mean(ops.sum(kl, axis=1))
            loss = error + kl
        self.optimizer.apply(tape.gradient(loss, self.trainable_weights), self.trainable_weights)
        for tracker, value in zip(self.trackers, (loss, error, kl), strict=True):
            tracker.update_state(value)
        return {tracker.name: tracker.result() for tracker in self.trackers}


def sgemm(size: int) -> Contender:
    """Make the contender whose step is one product of two `size` x `size` float32 matrices."""
    factor = ops.convert_to_tensor(np.random.default_rng(0).standard_normal((size, size)).astype(np.float32))
    product = compiled(ops.matmul)
    return lambda count: _finished([product(factor, factor) for _ in range(count)])


def products(run: Run, shape: tuple[int, ...]) -> Contender:
    """Make the contender of a dense network's matrix products alone, which says what its arithmetic costs."""
    variational = run.objective.kind == "vae"
    parts = networks.build(run.network, shape, variational=variational, seed=run.seed)
    kernels = [w.value for part in parts for w in part.weights if w.path.endswith("kernel")]
    draw, batch = np.random.default_rng(0), run.training.batch
    # Two of each take turns. XLA would compute a product that does not change once, outside the loop.
    sides = [
        [ops.convert_to_tensor(draw.standard_normal((2, batch, n)).astype(np.float32)) for n in k.shape]
        for k in kernels
    ]
    shapes = [(batch, k.shape[1]) for k in kernels] + [tuple(k.shape) for k in kernels]
    shapes += [(batch, k.shape[0]) for k in kernels[1:]]  # nothing flows back into the image

    def step(i: Any, kernels: list[Any], sides: list[list[Any]]) -> list[Any]:
        before, after = ([side[place][i % 2] for side in sides] for place in (0, 1))
        results = [ops.matmul(x, kernel) for x, kernel in zip(before, kernels, strict=True)]
        results += [ops.matmul(ops.transpose(x), y) for x, y in zip(before, after, strict=True)]
        return results + [ops.matmul(y, ops.transpose(k)) for y, k in zip(after[1:], kernels[1:], strict=True)]

    def loop(count: Any, kernels: list[Any], sides: list[list[Any]]) -> list[Any]:
        return ops.fori_loop(0, count, lambda i, _: step(i, kernels, sides), [ops.zeros(shape) for shape in shapes])

    program = compiled(loop)
    return lambda count: _finished(program(ops.convert_to_tensor(count, "int32"), kernels, sides))


def updates(run: Run, shape: tuple[int, int, int]) -> Contender:
    """Make the contender of Adam's updates alone, which says what their memory traffic costs."""
    model, optimizer = build(run, shape), adam(run.training)
    optimizer.build(model.trainable_variables)
    gradients = [ops.full(variable.shape, 1e-3) for variable in model.trainable_variables]
    groups = (model.trainable_variables, optimizer.variables) if backend() == "jax" else ()

    def loop(count: Any, state: Any, gradients: list[Any]) -> Any:
        def step(_: Any, state: Any) -> Any:
            if backend() == "jax":
                return optimizer.stateless_apply(state[1], gradients, state[0])
            optimizer.apply(gradients, model.trainable_variables)  # TensorFlow's variables are their own state
            return state

        return ops.fori_loop(0, count, step, state)

    program = compiled(loop)
    state = [[variable.value for variable in group] for group in groups] or [[ops.zeros((1, 1))]]
    return lambda count: _finished(program(ops.convert_to_tensor(count, "int32"), tuple(state), gradients)[0])


def drawing(run: Run, images: np.ndarray) -> Contender:
    """Make the contender that draws the images and the noise of each batch, and nothing else."""
    return lambda count: [batches_for_steps(run, images, step, 1) for step in range(count)] and None


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return `function` compiled as one XLA program."""
    if backend() == "jax":
        import jax

        return jax.jit(function)
    import tensorflow as tf

    return tf.function(function, jit_compile=True)


def as_pixels(images: np.ndarray) -> np.ndarray:
    """Return uint8 images as float32 in [0, 1]."""
    return images.astype(np.float32) / 255.0


def _finished(values: list[Any]) -> None:
    """Wait until the last of `values` is computed."""
    for value in values[-1:]:
        ops.convert_to_numpy(value[:1])
