"""Read arrays that may be larger than memory: memory-mapped rows by index, or block by block."""

from __future__ import annotations

import mmap
import os
import pathlib
from collections.abc import Iterator

import numpy as np

MEMORY_BUDGET = 1 << 30
"""The bytes of mapped images that may stay in memory. The pages of a larger file are released once they are copied."""


def gather(images: np.ndarray, indices: np.ndarray) -> np.ndarray:
    """Return `images[indices]` as a copy: [*indices.shape, *images.shape[1:]]."""
    chosen = images[indices]
    _release(images)
    return chosen


def blocks(images: np.ndarray, size: int) -> Iterator[np.ndarray]:
    """Yield copies of `images` in order, `size` images at a time. The last block may be shorter."""
    for start in range(0, len(images), size):
        block = np.array(images[start : start + size])
        _release(images)
        yield block


def _release(images: np.ndarray) -> None:
    """Release the mapped pages of an array that is larger than MEMORY_BUDGET.

    The operating system keeps the pages in its page cache while there is room. They are read again when they are
    needed.
    """
    if images.nbytes <= MEMORY_BUDGET:
        return
    owner: object = images
    while isinstance(owner, np.ndarray):
        owner = owner.base
    if isinstance(owner, mmap.mmap):
        owner.madvise(mmap.MADV_DONTNEED)


def free_memory() -> int:
    """Return the bytes of memory that are free or can be made free; those of the machine where that is not known."""
    try:
        lines = pathlib.Path("/proc/meminfo").read_text().splitlines()
        return next(int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration, ValueError):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
