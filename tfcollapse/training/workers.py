"""The processes that train one run together: who writes, and what they must agree on."""

from __future__ import annotations

import contextlib
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from tfcollapse.errors import RunError
from tfcollapse.training import strategy as strategies


class Workers:
    """The workers of a strategy; one process alone agrees with itself at no cost.

    Attributes:
      number: this worker's, from 0.
      count: how many there are.
    """

    def __init__(self, strategy: Any):
        self.strategy = strategy
        self.number, self.count = strategies.workers_of(strategy) or (0, 1)

    @property
    def chief(self) -> bool:
        """Whether this process reads and writes the run's directory: the first one does, alone."""
        return self.number == 0

    def gather(self, *values: float) -> np.ndarray:
        """Every worker's values, [workers, values]; all call it at the same point."""
        if self.count == 1:
            return np.array([values], np.float64)
        table = np.zeros((self.count, len(values)))
        table[self.number] = values
        return self._sum(table)

    def from_chief(self, value: np.ndarray | None) -> np.ndarray:
        """The chief's array in every worker, whatever they pass; float64 is exact for all that it carries."""
        if self.count == 1:
            return value
        (ndim, *shape) = self.gather(*_shape(value if self.chief else None))[0].astype(int)
        own = np.asarray(value, np.float64) if self.chief else np.zeros(shape[:ndim])
        return self._sum(own.reshape(shape[:ndim]))

    def text_from_chief(self, text: str) -> str:
        """The chief's text in every worker."""
        if self.count == 1:
            return text
        return bytes(self.from_chief(np.frombuffer(text.encode(), np.uint8)).astype(np.uint8)).decode()

    def check_same(self, what: str, *parts: bytes) -> None:
        """Raise RunError where the workers do not hold the same bytes."""
        sums = self.gather(float(zlib.crc32(b"".join(parts))))[:, 0]
        if len(set(sums)) > 1:
            raise RunError(f"worker {self.number} of {self.count}: expected the same {what} on every worker")

    def _sum(self, values: np.ndarray) -> np.ndarray:
        import tensorflow as tf

        zeros = np.zeros_like(values)
        first = self.strategy.experimental_distribute_values_from_function(
            # a worker's replicas are one process: only its first one speaks
            lambda context: tf.constant(values if context.replica_id_in_sync_group % self._local == 0 else zeros)
        )
        return self.strategy.reduce(tf.distribute.ReduceOp.SUM, first, axis=None).numpy()

    @property
    def _local(self) -> int:
        return self.strategy.num_replicas_in_sync // self.count

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """Turn the loss of another worker into one clear line. Raises RunError."""
        if self.count == 1:
            yield
            return
        import tensorflow as tf

        lost = (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError, tf.errors.InternalError)
        try:
            yield
        except lost as error:
            raise RunError(
                f"worker {self.number} of {self.count}: another worker has stopped ({type(error).__name__}); see what "
                "it printed, and start the same command on every worker again: it goes on from the last checkpoint"
            ) from None


def _shape(value: np.ndarray | None) -> list[int]:
    """[ndim, *shape] padded to five numbers, as weights have four dimensions at most."""
    shape = [] if value is None else list(np.shape(value))
    return [len(shape), *shape, *[0] * (4 - len(shape))]
