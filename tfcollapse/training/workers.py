"""Let the processes that train one run together agree: who writes, and what all of them must hold."""

from __future__ import annotations

import contextlib
import json
import traceback
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from tfcollapse.errors import RunError
from tfcollapse.training import strategy as strategies


class Workers:
    """Connect the workers of a strategy. A process that is alone agrees with itself at no cost.

    Args:
      strategy: what `tfcollapse.training.strategy.make` returned.

    Attributes:
      number: the number of this worker, from 0.
      count: how many workers there are.
    """

    def __init__(self, strategy: Any):
        self.strategy = strategy
        self.number, self.count = strategies.workers_of(strategy) or (0, 1)

    @property
    def chief(self) -> bool:
        """Return whether this process reads and writes the run's directory. The first worker alone does."""
        return self.number == 0

    def gather(self, *values: float) -> np.ndarray:
        """Return the values of every worker, float64 [workers, values]. All workers must call it at the same point."""
        if self.count == 1:
            return np.array([values], np.float64)
        table = np.zeros((self.count, len(values)))
        table[self.number] = values
        return self._sum(table)

    def from_chief(self, value: np.ndarray | None) -> np.ndarray:
        """Return the chief's array in every worker, whatever the others pass. It travels as float64."""
        if self.count == 1:
            return value
        (ndim, *shape) = self.gather(*_shape(value if self.chief else None))[0].astype(int)
        own = np.asarray(value, np.float64) if self.chief else np.zeros(shape[:ndim])
        return self._sum(own.reshape(shape[:ndim]))

    def share(self, row: Any) -> Any:
        """Return the chief's row in every worker, whatever the others pass. They wait for it here."""
        if self.count == 1:
            return row
        text = np.frombuffer(json.dumps(row).encode(), np.uint8)
        return json.loads(bytes(self.from_chief(text).astype(np.uint8)))

    def check_same(self, what: str, *parts: bytes) -> None:
        """Check that all workers hold the same bytes. Raises RunError, which names them by `what`."""
        sums = self.gather(float(zlib.crc32(b"".join(parts))))[:, 0]
        if len(set(sums)) > 1:
            raise RunError(f"worker {self.number} of {self.count}: expected the same {what} on every worker")

    def describe(self) -> dict[str, Any]:
        """Return what a record says of the devices: the strategy's name, its replicas and its workers."""
        replicas = self.strategy.num_replicas_in_sync
        name = "multiworker" if self.count > 1 else "mirrored" if replicas > 1 else "one"
        return {"strategy": name, "replicas": replicas, "workers": self.count}

    def _sum(self, values: np.ndarray) -> np.ndarray:
        import tensorflow as tf

        zeros, own_replicas = np.zeros_like(values), self.strategy.num_replicas_in_sync // self.count
        first = self.strategy.experimental_distribute_values_from_function(
            # The replicas of a worker are one process, so its first replica alone gives the values.
            lambda context: tf.constant(values if context.replica_id_in_sync_group % own_replicas == 0 else zeros)
        )
        return self.strategy.reduce(tf.distribute.ReduceOp.SUM, first, axis=None).numpy()

    @contextlib.contextmanager
    def loss_reported(self) -> Iterator[None]:
        """Turn the loss of another worker into one clear line. Raises RunError."""
        if self.count == 1:
            yield
            return
        import tensorflow as tf

        lost = (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError, tf.errors.InternalError)
        try:
            yield
        except lost as error:
            # Their frames hold a pool of threads that TensorFlow has not closed. Freed only when Python ends, it would
            # print a traceback of its own (tf.distribute's all-reduce outside of a graph).
            traceback.clear_frames(error.__traceback__)
            raise RunError(
                f"worker {self.number} of {self.count}: another worker has stopped ({type(error).__name__}); see what "
                "it printed, and start the same command on every worker again: it goes on from the last checkpoint"
            ) from None


def _shape(value: np.ndarray | None) -> list[int]:
    """Return [ndim, *shape] padded with zeros to five numbers. Weights have four dimensions at most."""
    shape = [] if value is None else list(np.shape(value))
    return [len(shape), *shape, *[0] * (4 - len(shape))]
