"""Reading arrays that may outgrow memory: memory-mapped rows by index, or block by block."""

from __future__ import annotations

import mmap
from collections.abc import Iterator

import numpy as np

MEMORY_BUDGET = 1 << 30
"""Bytes of mapped images that may stay resident; of a larger file, pages are given back as soon as they are copied."""


def gather(images: np.ndarray, indices: np.ndarray) -> np.ndarray:
    """`images[indices]`, a copy: [*indices.shape, *images.shape[1:]]."""
    chosen = images[indices]
    _release(images)
    return chosen


def blocks(images: np.ndarray, size: int) -> Iterator[np.ndarray]:
    """`images` in order, copied `size` at a time; the last block may be shorter."""
    for start in range(0, len(images), size):
        block = np.array(images[start : start + size])
        _release(images)
        yield block


def _release(images: np.ndarray) -> None:
    """Give mapped pages back: they stay in the system's page cache while it has room; a fault reads them again."""
    if images.nbytes <= MEMORY_BUDGET:
        return
    owner: object = images
    while isinstance(owner, np.ndarray):
        owner = owner.base
    if isinstance(owner, mmap.mmap):
        owner.madvise(mmap.MADV_DONTNEED)
