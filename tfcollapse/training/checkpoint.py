"""Checkpoints: one file each, written atomically, verified on reading, the newest two kept.

An uncompressed .npz holds every variable by name; its CRCs find flipped bytes and its directory, at the
end of the file, a truncation. It holds arrays alone (no pickles), and no framework is needed to read it.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import re
import zipfile
from collections.abc import Callable

import numpy as np

from tfcollapse.errors import RunError

KEPT = 2


def save(folder: pathlib.Path, step: int, state: dict[str, np.ndarray]) -> pathlib.Path:
    """Write `state` as the checkpoint of `step`, then drop all but the newest KEPT.

    Raises:
      RunError: the disk is full or not writable; the checkpoints before are intact.
    """
    path = folder / f"step-{step:09d}.npz"
    partial = path.with_suffix(".partial")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            np.savez(file, allow_pickle=False, **state)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            partial.unlink()
        last = steps(folder)
        kept = f"the checkpoint of step {last[-1]} is intact" if last else "there is no earlier checkpoint"
        raise RunError(
            f"checkpoint of step {step}: {error.strerror} ('{folder}'): {kept}; free space, run again"
        ) from None
    for old in steps(folder)[:-KEPT]:
        (folder / f"step-{old:09d}.npz").unlink()
    return path


def steps(folder: pathlib.Path) -> list[int]:
    """The steps that have a checkpoint, ascending."""
    matches = (re.fullmatch(r"step-(\d{9})\.npz", path.name) for path in folder.glob("step-*.npz"))
    return sorted(int(match[1]) for match in matches if match)


def newest(folder: pathlib.Path, warn: Callable[[str], None]) -> dict[str, np.ndarray] | None:
    """The state of the newest checkpoint that reads whole, or None. Says so where it passes one over."""
    for step in reversed(steps(folder)):
        path = folder / f"step-{step:09d}.npz"
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                return {name: arrays[name] for name in arrays.files}
        except (OSError, ValueError, zipfile.BadZipFile, KeyError, EOFError) as error:
            warn(f"checkpoint '{path.name}' is damaged ({error}): falling back to the one before")
            path.unlink()
    return None
