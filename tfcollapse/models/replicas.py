"""Compute over the whole batch, of which a replica of a `tf.distribute` strategy has a share, perhaps an empty one."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import keras
import tensorflow as tf


def total(values: tf.Tensor) -> tf.Tensor:
    """Return the sum of `values`, a tensor of every replica, over the replicas."""
    context = tf.distribute.get_replica_context()
    return values if context.num_replicas_in_sync == 1 else context.all_reduce(tf.distribute.ReduceOp.SUM, values)


class WholeBatch:
    """The batch of which this replica has a share.

    Where a share is empty, every replica on a CPU takes the whole batch: oneDNN's convolutions and pooling fail on no
    image at all (TensorFlow 2.21).

    Args:
      share: this replica's images, [share, ...].

    Attributes:
      replicas: how many share the batch.
      images: those that this replica computes, [images, ...].
      weight: of each of them, a scalar: 1, or a part of it where every replica computes them.
    """

    def __init__(self, share: tf.Tensor):
        context = tf.distribute.get_replica_context()
        self.replicas = context.num_replicas_in_sync
        self.images, self.weight = share, tf.ones(())
        own = tf.shape(share)[0]
        self._size = total(own)
        if self.replicas > 1 and "CPU" in tf.distribute.get_strategy().extended.worker_devices[0]:
            one_is_empty = total(tf.cast(own == 0, tf.int32)) > 0
            whole = context.all_gather(share, axis=0)
            self.images = tf.concat(
                [whole[: tf.where(one_is_empty, self._size, 0)], share[: tf.where(one_is_empty, 0, own)]], axis=0
            )
            self.weight = tf.where(one_is_empty, 1 / self.replicas, 1.0)

    def part_of_mean(self, values: tf.Tensor) -> tf.Tensor:
        """Return what values of `images`, [images, ...], contribute to the mean, to which all replicas' parts sum."""
        return tf.reduce_sum(values, axis=0) * tf.cast(self.weight, values.dtype) / tf.cast(self._size, values.dtype)

    def mean(self, values: tf.Tensor) -> tf.Tensor:
        """Return the mean over the batch, [...], of values for the `images` of every replica, [images, ...]."""
        return total(self.part_of_mean(values))


def all_or_none(gradients: list[tf.Tensor]) -> list[tf.Tensor]:
    """Return the gradients, or NaN in all replicas where one of them is not finite in one: then all skip the step."""
    finite = tf.stack([tf.reduce_all(tf.math.is_finite(gradient)) for gradient in gradients])
    broken = total(tf.cast(~tf.reduce_all(finite), tf.float32))
    return [tf.where(broken > 0, tf.constant(float("nan"), gradient.dtype), gradient) for gradient in gradients]


@contextlib.contextmanager
def synchronised(model: keras.Model) -> Iterator[None]:
    """Let batch normalisation take its moments over the whole batch inside the `with` statement, on several replicas.

    A replica's own share has no moments where it is empty.
    """
    several = model.distribute_strategy.num_replicas_in_sync > 1
    layers = [layer for layer in model._flatten_layers() if isinstance(layer, keras.layers.BatchNormalization)]
    before = [layer.synchronized for layer in layers]
    try:
        for layer in layers:
            layer.synchronized = layer.synchronized or several
        yield
    finally:
        for layer, own in zip(layers, before, strict=True):
            layer.synchronized = own
