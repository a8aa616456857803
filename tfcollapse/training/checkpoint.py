"""Checkpoints: one file each, written atomically, verified on reading, the newest two kept.

An uncompressed .npz holds every variable by name, arrays alone (no pickles), so that no framework is needed to
read it. Its name ends in the first digits of its own sha256: a file whose content is not what was written is known by
that, wherever the damage is.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
import pathlib
import re
import zipfile
import zlib
from collections.abc import Callable

import numpy as np

from tfcollapse.errors import RunError

KEPT = 2


def save(folder: pathlib.Path, step: int, state: dict[str, np.ndarray]) -> pathlib.Path:
    """Write `state` as the checkpoint of `step`, in place of an earlier one, then drop all but the newest KEPT.

    Raises:
      RunError: the disk is full or not writable; the checkpoints before are intact.
    """
    partial = folder / f"step-{step:09d}.partial"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            np.savez(file, allow_pickle=False, **state)
            file.flush()
            os.fsync(file.fileno())
        path = folder / f"step-{step:09d}-{_digest(partial)}.npz"
        partial.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            partial.unlink()
        last = steps(folder)
        kept = f"the checkpoint of step {last[-1]} is intact" if last else "there is no earlier checkpoint"
        raise RunError(
            f"checkpoint of step {step}: {error.strerror} ('{folder}'): {kept}; free space, run again"
        ) from None
    others = [other for other in _files(folder) if other != path]
    earlier = [other for other in others if other.name[:14] != path.name[:14]]
    for old in set(others) - set(earlier[1 - KEPT :]):
        old.unlink()
    return path


def steps(folder: pathlib.Path) -> list[int]:
    """The steps that have a checkpoint, ascending."""
    return [int(path.name[5:14]) for path in _files(folder)]


def newest(folder: pathlib.Path, warn: Callable[[str], None]) -> dict[str, np.ndarray] | None:
    """The state of the newest checkpoint that is whole, or None. Says so where it passes a damaged one over.

    Raises:
      RunError: a checkpoint cannot be read at all, which says nothing of its content.
    """
    for path in reversed(_files(folder)):
        try:
            if path.name == f"{path.name[:14]}-{_digest(path)}.npz":
                return _read(path)
        except OSError as error:
            raise RunError(f"checkpoint '{path}': {error.strerror}") from None
        except (ValueError, EOFError, KeyError, NotImplementedError, RuntimeError, zipfile.BadZipFile, zlib.error):
            pass  # whole, and yet no archive of arrays: somebody else's file
        warn(f"checkpoint '{path.name}' is damaged: falling back to the one before")
        path.rename(path.with_suffix(".damaged"))
    return None


def _read(path: pathlib.Path) -> dict[str, np.ndarray]:
    """The arrays of a file whose digest is right. Raises ValueError where one claims more bytes than the file has."""
    size = path.stat().st_size
    with path.open("rb") as file, zipfile.ZipFile(file) as archive:
        for member in archive.infolist():
            with archive.open(member) as opened:
                if np.lib.format.read_magic(opened) != (1, 0) or member.compress_type != zipfile.ZIP_STORED:
                    raise ValueError(f"'{member.filename}' is not as `save` writes it")
                shape, _, kind = np.lib.format.read_array_header_1_0(opened)
            claimed = math.prod(shape) * kind.itemsize
            if (
                kind.kind not in "fiu"
                or min(shape, default=0) < 0
                or claimed > member.file_size
                or member.file_size > size
            ):
                raise ValueError(f"'{member.filename}' claims what it does not hold")
        file.seek(0)
        with np.load(file, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}


def _files(folder: pathlib.Path) -> list[pathlib.Path]:
    return sorted(
        path for path in folder.glob("step-*.npz") if re.fullmatch(r"step-\d{9}-[0-9a-f]{12}\.npz", path.name)
    )


def _digest(path: pathlib.Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:12]
