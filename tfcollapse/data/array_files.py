"""Open the arrays of .npy and .npz files. Their headers are checked before anything is allocated, and nothing runs."""

from __future__ import annotations

import io
import math
import os
import pathlib
import stat
import zipfile
from collections.abc import Iterator
from typing import IO, Any, NamedTuple

import numpy as np

from tfcollapse.data.memory_mapped import free_memory
from tfcollapse.errors import DataError

SUFFIXES = (".npy", ".npz")
_UNREADABLE = (OSError, ValueError, EOFError, KeyError, RuntimeError, NotImplementedError, zipfile.BadZipFile)
"""What NumPy and zipfile raise for a damaged, encrypted or foreign file."""

_HEADER_BYTES = 1 << 14
"""More than the longest header that NumPy reads, 10,000 bytes."""


class ArrayFile:
    """A file of arrays, of which only the headers are read at first.

    Attributes:
      headers: for the name of every array its shape and type. A .npy file has one array, named "".

    Args:
      name: the path; `~` is the home directory, and a symlink is followed.
      option: what named it, as messages begin.

    Raises:
      DataError: no such file, no regular file, a damaged header.
    """

    def __init__(self, name: str, option: str = "data.name"):
        self._said, self._path = f"{option} '{name}'", pathlib.Path(os.path.expanduser(name))
        try:
            there = self._path.stat()
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise DataError(f"{self._said}: {reason}: expected a .npy or .npz file") from None
        if not stat.S_ISREG(there.st_mode):
            raise DataError(f"{self._said}: expected a regular file, .npy or .npz, received {_kind(there.st_mode)}")
        try:
            self.headers = dict(self._read_headers(there.st_size))
        except _UNREADABLE as error:
            raise self._unreadable(error) from None
        if not self.headers:
            raise DataError(f"{self._said}: expected an array, received an archive of none")

    def __getitem__(self, name: str) -> np.ndarray:
        """Return an array; that of a .npy file is mapped. Raises DataError."""
        if self.headers[name][1].hasobject:
            raise DataError(
                f"{self._said} cannot be read as an array: it holds Python objects, which are never unpickled: save "
                "an array of numbers"
            )
        shape, dtype = self.headers[name]
        needed = math.prod(shape) * dtype.itemsize
        if name and needed > free_memory():  # an archive's array is unpacked in memory
            raise self._unreadable(MemoryError(f"{needed} bytes unpacked, more than are free: save it as .npy"))
        try:
            loaded = np.load(self._path, mmap_mode="r", allow_pickle=False)
            if isinstance(loaded, np.ndarray):
                return loaded
            with loaded:
                return loaded[name]
        except (*_UNREADABLE, MemoryError) as error:
            raise self._unreadable(error) from None

    def _unreadable(self, error: BaseException) -> DataError:
        text = " ".join(str(error).split())[:160] or type(error).__name__
        return DataError(f"{self._said} cannot be read as an array: {text}")

    def _read_headers(self, size: int) -> Iterator[tuple[str, tuple[tuple[int, ...], np.dtype[Any]]]]:
        if self._path.suffix == ".npy":
            with self._path.open("rb") as file:
                yield "", _checked(header_of(file), size)
            return
        with zipfile.ZipFile(self._path) as archive:
            for member in archive.infolist():
                if member.filename.endswith(".npy"):
                    with archive.open(member) as unpacked:
                        yield member.filename.removesuffix(".npy"), _checked(header_of(unpacked), member.file_size)


class Header(NamedTuple):
    """What the header of a .npy file states, and its own length in bytes."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fortran_order: bool
    length: int


def open_regular(path: pathlib.Path) -> IO[bytes]:
    """Open a regular file for reading; no link is followed, and nothing waits for a FIFO.

    Raises:
      OSError: there is something else, or it cannot be read.
    """
    number = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    if stat.S_ISREG(os.fstat(number).st_mode):
        return open(path, "rb", opener=lambda *_: number)  # not os.fdopen: the file has its path as its name
    os.close(number)
    raise OSError(f"{path.name} is no regular file")


def header_of(file: IO[bytes]) -> Header:
    """Read the header of an open .npy file.

    Raises:
      ValueError: it is no such header, or a longer one than NumPy writes for numbers.
    """
    start = io.BytesIO(file.read(_HEADER_BYTES))
    version = np.lib.format.read_magic(start)
    read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    try:
        shape, fortran_order, dtype = read_header(start)
    except Exception as error:  # noqa: BLE001 - NumPy's parser raises many kinds for a damaged header
        raise ValueError(f"damaged header: {error}") from None
    if not all(type(size) is int and size >= 0 for size in shape):
        raise ValueError(f"its header claims the shape {shape}")
    return Header(shape, dtype, fortran_order, start.tell())


def _checked(header: Header, size: int) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Return shape and type. Raises ValueError where the array needs more than the `size` bytes of the whole file."""
    shape, dtype, _, length = header
    claimed = math.prod(shape) * dtype.itemsize
    if claimed > size - length and not dtype.hasobject:
        raise ValueError(f"its header claims {shape} of {dtype}, {claimed} bytes, where {size - length} are there")
    return shape, dtype


def _kind(mode: int) -> str:
    kinds = ((stat.S_ISDIR, "a directory"), (stat.S_ISFIFO, "a FIFO"), (stat.S_ISSOCK, "a socket"))
    return next((name for test, name in kinds if test(mode)), "a device")
