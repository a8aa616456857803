"""Write and read checkpoints: one file each, written atomically, verified on reading, the newest two kept.

A checkpoint is an uncompressed .npz file that holds every variable by name. It holds arrays alone and no pickles, so
that no framework is needed to read it. The name of the file ends in the first digits of the sha256 of its content, by
which any damage shows.
"""

from __future__ import annotations

import math
import os
import pathlib
import re
import zipfile
import zlib
from collections.abc import Callable

import numpy as np

from tfcollapse.errors import RunError
from tfcollapse.records import files

KEPT = 2
"""The number of checkpoints of a run that are kept."""


def save(folder: pathlib.Path, step: int, state: dict[str, np.ndarray]) -> pathlib.Path:
    """Write the checkpoint of `step` in the directory `folder`, then drop all but the newest KEPT.

    An earlier checkpoint of the same step is replaced.

    Args:
      state: every variable by name, as `Engine.state` returns them.

    Returns:
      The path of the checkpoint.

    Raises:
      RunError: the disk is full or not writable. The earlier checkpoints are intact.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        files.check_directory(folder)
        with files.temporary(folder / f"step-{step:09d}") as partial:
            with partial.open("wb") as file:
                np.savez(file, allow_pickle=False, **state)
            path = folder / f"step-{step:09d}-{_digest(partial)}.npz"
            files.move(partial, path)
    except OSError as error:
        earlier = steps(folder)
        left = f"the checkpoint of step {earlier[-1]} is intact" if earlier else "there is no earlier checkpoint"
        raise RunError(
            f"checkpoint of step {step}: {error.strerror} ('{folder}'): {left}; free space, run again"
        ) from None
    others = [other for other in _files(folder) if other != path]
    of_other_steps = [other for other in others if other.name[:14] != path.name[:14]]
    for old in set(others) - set(of_other_steps[1 - KEPT :]):
        with files.disk_errors(folder):
            old.unlink()
    return path


def steps(folder: pathlib.Path) -> list[int]:
    """Return the steps that have a checkpoint, ascending."""
    return [int(path.name[5:14]) for path in _files(folder)]


def newest(folder: pathlib.Path, warn: Callable[[str], None]) -> dict[str, np.ndarray] | None:
    """Return the state of the newest whole checkpoint in `folder`, or None where there is none.

    A damaged checkpoint is renamed to .damaged, and the one before it is tried.

    Args:
      warn: called with one line for each damaged checkpoint.

    Raises:
      RunError: a file cannot be read at all, so that it is not known whether it is damaged; `folder` or a file in it is
        a symbolic link.
    """
    for path in reversed(_files(folder)):
        try:
            if path.name == f"{path.name[:14]}-{_digest(path)}.npz":
                return _read(path)
        except OSError as error:
            raise RunError(f"checkpoint '{path}': {error.strerror}") from None
        except (ValueError, EOFError, KeyError, NotImplementedError, RuntimeError, zipfile.BadZipFile, zlib.error):
            pass  # the digest is right, and yet this is no archive of arrays: another program wrote the file
        warn(f"checkpoint '{path.name}' is damaged: falling back to the one before")
        with files.disk_errors(folder):
            path.rename(path.with_suffix(".damaged"))
    return None


def _read(path: pathlib.Path) -> dict[str, np.ndarray]:
    """Return the arrays of a file. Raises ValueError where an array claims more bytes than the file has."""
    with files.open_regular(path) as file, zipfile.ZipFile(file) as archive:
        size = os.fstat(file.fileno()).st_size
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
    """Return the checkpoints, by step. Raises RunError where `folder` is something other than a directory."""
    if files.kind(folder) is None:
        return []
    files.check_directory(folder)
    return sorted(
        path for path in folder.glob("step-*.npz") if re.fullmatch(r"step-\d{9}-[0-9a-f]{12}\.npz", path.name)
    )


def _digest(path: pathlib.Path) -> str:
    return files.sha256(path)[:12]
