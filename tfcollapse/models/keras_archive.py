"""Check a .keras file as an archive of bytes: its members, its configuration's length, the arrays that it claims."""

from __future__ import annotations

import contextlib
import math
import os
import pathlib
import stat
import zipfile
from collections.abc import Iterator
from typing import IO

import h5py

from tfcollapse.errors import RunError
from tfcollapse.records.files import open_regular

CONFIG, WEIGHTS = "config.json", "model.weights.h5"
_CONFIG_BYTES = 16 << 20
_MEMBERS = 10_000
_RATIO = 100
"""The largest ratio of uncompressed to compressed size that an archive may have."""
_LEVELS, _OBJECTS = 100, 1_000_000
"""The deepest group, and the largest number of groups and arrays, in a file of weights."""


@contextlib.contextmanager
def checked_archive(path: pathlib.Path) -> Iterator[zipfile.ZipFile]:
    """Open a .keras file after its members have been checked. Nothing is unpacked.

    Raises:
      RunError: the file is missing, no regular file or no archive, or its members are not those of a .keras file.
    """
    with _opened(path) as file:
        try:
            archive = zipfile.ZipFile(file)
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
            raise RunError(f"model '{path}': expected a .keras file, received no such archive: {error}") from None
        with archive:
            fault = _fault(archive.infolist(), os.fstat(file.fileno()).st_size)
            if fault:
                raise RunError(f"model '{path}': expected a .keras file, received {fault}")
            yield archive


def check_weights(archive: zipfile.ZipFile) -> None:
    """Check that the arrays of weights are no larger than the file that holds them, and lie in it. None is read.

    Raises:
      ValueError: the file claims more than it holds, is nested too deeply, or points to another file.
    """
    size = archive.getinfo(WEIGHTS).file_size
    with archive.open(WEIGHTS) as member, h5py.File(member, "r") as file:
        claimed = sum(_bytes(array) for array in _arrays(file))
    if claimed > size:
        raise ValueError(f"weights of {size} bytes that claim {claimed}")


def _opened(path: pathlib.Path) -> IO[bytes]:
    try:
        return open_regular(path, follow=True)
    except RunError as error:
        raise RunError(f"model {error}") from None


def _fault(members: list[zipfile.ZipInfo], size: int) -> str | None:
    """Say what is wrong with the members of an archive of `size` bytes; None where nothing is."""
    names = [member.filename for member in members]
    inside = sum(member.file_size for member in members)
    if inside > _RATIO * size + _CONFIG_BYTES or sum(member.compress_size for member in members) > size:
        return f"{size} bytes that unpack to {inside}"
    missing = [name for name in (CONFIG, WEIGHTS) if name not in names]
    if missing:
        return f"an archive without {missing[0]}"
    if len(names) > _MEMBERS:
        return f"an archive of {len(names)} members"
    twice = {name for name in names if names.count(name) > 1} if len(set(names)) < len(names) else None
    if twice:
        return f"an archive that holds '{min(twice)[:80]}' twice"
    for member in members:
        parts = pathlib.PurePosixPath(member.filename).parts
        if member.filename.startswith("/") or ".." in parts or "\\" in member.filename:
            return f"an archive with a member '{member.filename[:80]}'"
        if stat.S_IFMT(member.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
            return f"an archive whose member '{member.filename[:80]}' is no file"
        if member.flag_bits & 1:
            return "an archive with a password"
    if next(member.file_size for member in members if member.filename == CONFIG) > _CONFIG_BYTES:
        return "a configuration of more than 16 MiB"
    return None


def _arrays(file: h5py.File) -> Iterator[h5py.Dataset]:
    """Yield every array of a file once, through hard links alone. Raises ValueError."""
    waiting: list[tuple[h5py.Group, int]] = [(file, 0)]
    seen = set()
    while waiting:
        group, level = waiting.pop()
        if level > _LEVELS or len(seen) > _OBJECTS:
            raise ValueError("weights that are nested too deeply, or too many")
        for name in group:
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise ValueError(f"weights with a link '{name[:80]}'")
            found = group[name]
            place = h5py.h5o.get_info(found.id).addr
            if place in seen:
                continue
            seen.add(place)
            if isinstance(found, h5py.Group):
                waiting.append((found, level + 1))
            elif isinstance(found, h5py.Dataset):
                yield found


def _bytes(array: h5py.Dataset) -> int:
    """Return the bytes that an array takes in memory. Raises ValueError where it lies in another file."""
    if array.external or array.is_virtual:
        raise ValueError(f"weights '{array.name[:80]}' that lie in another file")
    return math.prod(array.shape or ()) * array.dtype.itemsize
