"""Open regular files alone, write files whole or not at all, and report a fault of the disk or of a file in one line.

A directory of runs may come from a stranger. Its files are opened without following symbolic links, and a FIFO or a
device is never opened, so that nothing outside the directory is read or written and nothing waits.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import pathlib
import re
import secrets
import stat
import tempfile
from collections.abc import Iterator
from typing import IO, Any

from tfcollapse.errors import RunError
from tfcollapse.records import remedies

JSON_BYTES = 64 << 20
"""The length at which the reading of a JSON file stops. A longer file is cut and refused; no record is so long."""

MARKED = 4_096
"""The number of bytes at each end of a file in which `replacing` looks for a mark."""

_KINDS = {
    stat.S_IFREG: "a regular file",
    stat.S_IFDIR: "a directory",
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def kind(path: str | os.PathLike[str], follow: bool = False) -> str | None:
    """Return what is at `path`, such as "a regular file" or "a symbolic link"; None where there is nothing.

    Args:
      path: the place.
      follow: look at what a symbolic link leads to, and not at the link itself.

    Raises:
      RunError: the place cannot be looked at, as in a directory that may not be read.
    """
    try:
        return _KINDS.get(stat.S_IFMT(os.stat(path, follow_symlinks=follow).st_mode), "something else")
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise RunError(f"'{path}' cannot be read: {getattr(error, 'strerror', None) or error}") from None


def existing_directory(path: str | os.PathLike[str]) -> pathlib.Path:
    """Return the path of a directory that is there. Raises RunError."""
    there = kind(path, follow=True)
    if there is None:
        raise RunError(f"'{path}': there is no such directory")
    if there != "a directory":
        raise RunError(f"'{path}': expected a directory, received {there}")
    return pathlib.Path(path)


def open_regular(path: str | os.PathLike[str], follow: bool = False) -> IO[bytes]:
    """Open a regular file for reading.

    Args:
      path: the file.
      follow: a symbolic link is followed, as for a file that the user names himself.

    Raises:
      RunError: there is no such file, it is no regular file, or it cannot be read.
    """
    if kind(path, follow) is None:
        raise RunError(f"'{path}': there is no such file")
    return _opened(path, os.O_RDONLY, "rb", follow)


def open_for_appending(path: str | os.PathLike[str]) -> IO[bytes]:
    """Open a regular file for reading and for writing at its end; make it where it is missing.

    Raises:
      RunError: there is something other than a regular file.
      OSError: the disk cannot be written; see `disk_errors`.
    """
    return _opened(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, "a+b")


def _opened(path: str | os.PathLike[str], flags: int, mode: str, follow: bool = False) -> IO[bytes]:
    """Open a file without waiting, and make sure that it is a regular one before and after."""
    received = kind(path, follow)
    if received in (None, "a regular file"):
        try:
            number = os.open(path, flags | os.O_NONBLOCK | (0 if follow else os.O_NOFOLLOW), 0o666)
        except OSError as error:
            if flags & os.O_CREAT:
                raise
            raise RunError(f"'{path}' cannot be read: {error.strerror}") from None
        received = _KINDS.get(stat.S_IFMT(os.fstat(number).st_mode))
        if received == "a regular file":
            return os.fdopen(number, mode)
        os.close(number)
    remedy = remedies.of_writing(received) if flags & os.O_CREAT else remedies.of_reading(received, follow)
    raise RunError(f"'{path}': expected a regular file, received {received}: {remedy}")


def check_directory(path: pathlib.Path) -> None:
    """Check that a directory of ours is there, and is no symbolic link to another place. Raises RunError."""
    received = kind(path)
    if received != "a directory":
        raise RunError(
            f"'{path}': expected a directory, received {received or 'nothing'}: {remedies.MOVE}, which may be a link"
        )


@contextlib.contextmanager
def disk_errors(path: pathlib.Path) -> Iterator[None]:
    """Turn a full, read-only or forbidden disk into one clear line.

    Args:
      path: the file or directory that the message names.

    Raises:
      RunError: the body of the `with` statement raised an OSError.
    """
    try:
        yield
    except OSError as error:
        raise RunError(f"'{path}': {error.strerror or error}: {remedies.of_disk(error)}") from None


def check_name(path: str | os.PathLike[str]) -> None:
    """Check that a path is text, before any work is done in vain: Keras and JSON cannot write one that is not.

    Raises:
      RunError: the absolute path is not valid UTF-8, or holds a NUL.
    """
    whole = os.path.abspath(path)
    try:
        whole.encode("utf-8")
    except UnicodeEncodeError:
        raise RunError(f"'{whole}': expected a path in UTF-8, received other bytes: {remedies.ANOTHER}") from None
    if "\0" in whole:
        raise RunError(f"'{whole}': expected a path, received one with a NUL: {remedies.ANOTHER}")


def check_writable(path: pathlib.Path) -> None:
    """Make the directory `path` and check that a file can be written in it, before any work is done in vain.

    The check writes 4,096 bytes to a temporary file.

    Raises:
      RunError: the directory cannot be made or written, or its path is not UTF-8.
    """
    check_name(path)
    with disk_errors(path):
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path) as file:
            file.write(b"0" * 4096)


@contextlib.contextmanager
def replacing(path: pathlib.Path, *marks: bytes) -> Iterator[pathlib.Path]:
    """Yield a temporary path to write to, and move it to `path` afterwards.

    The temporary file replaces `path` only if the body of the `with` statement succeeds. Otherwise it is removed, and
    `path` stays as it was. The content and the new name have reached the disk when the `with` statement ends. What a
    killed writer of `path` left is removed first.

    Args:
      path: the file to write.
      marks: bytes of which a file of ours has one among its first or last `MARKED` bytes. Another file is not replaced.
        Without marks any regular file is.

    Raises:
      RunError: the disk cannot be written, or there is something at `path` that must not be replaced.
    """
    check_replaceable(path, *marks)
    with disk_errors(path), temporary(path) as partial:
        yield partial
        move(partial, path)


@contextlib.contextmanager
def temporary(path: pathlib.Path) -> Iterator[pathlib.Path]:
    """Yield the path of a new, empty file beside `path`, whose name ends in that of `path`.

    The file is removed afterwards, unless it was moved away. What a killed writer of `path` left is removed first.

    Raises:
      OSError: the disk cannot be written.
    """
    sweep(path.parent, path.name)
    partial = path.with_name(f".partial-{secrets.token_hex(4)}-{path.name}")
    held = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o666)
    try:
        with contextlib.suppress(OSError):  # a disk that knows no locks
            fcntl.flock(held, fcntl.LOCK_SH)  # while it is held, `sweep` leaves the file alone
        yield partial
    finally:
        os.close(held)
        with contextlib.suppress(OSError):
            partial.unlink()


def move(partial: pathlib.Path, path: pathlib.Path) -> None:
    """Bring a file to the disk, and then move it to `path` in the same directory, which outlasts a loss of power.

    Raises:
      OSError: the disk cannot be written.
    """
    with open_regular(partial) as written:
        os.fsync(written.fileno())
    partial.replace(path)
    sync_directory(path.parent)


def check_replaceable(path: pathlib.Path, *marks: bytes) -> None:
    """Check that `replacing` would replace what is at `path`, before any work is done in vain. Raises RunError."""
    received = kind(path)
    if received not in (None, "a regular file"):
        raise RunError(
            f"'{path}': expected a file that can be replaced, received {received}: {remedies.of_writing(received)}"
        )
    if received is None or not marks:
        return
    with open_regular(path) as file:
        head = file.read(MARKED)
        file.seek(-min(MARKED, file.seek(0, os.SEEK_END)), os.SEEK_END)
        tail = file.read(MARKED)
    if not any(mark in head or mark in tail for mark in marks):
        raise RunError(f"'{path}' was not written by tfcollapse: expected a file of ours: {remedies.MOVE}")


def sweep(directory: pathlib.Path, name: str | None = None) -> None:
    """Remove the temporary files that killed writers of `replacing` left in a directory.

    Args:
      directory: the directory.
      name: of the file whose leftovers are removed; None for those of any file.

    Raises:
      OSError: a leftover cannot be removed.
    """
    wanted = r"\.partial-([0-9a-f]{8}-)?" + (".+" if name is None else re.escape(name))
    for entry in os.scandir(directory):
        if re.fullmatch(wanted, entry.name) and entry.is_file(follow_symlinks=False):
            with contextlib.suppress(FileNotFoundError, RunError), open_regular(entry.path) as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    continue  # its writer lives
                os.unlink(entry.path)


def sync_directory(path: pathlib.Path) -> None:
    """Bring the names of a directory to the disk, so that a file that was moved there outlasts a loss of power.

    Raises:
      OSError: the disk cannot be written.
    """
    number = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(number)
    except OSError as error:
        if error.errno != errno.EINVAL:  # a file system that cannot do this
            raise
    finally:
        os.close(number)


def sha256(path: pathlib.Path) -> str:
    """Return the sha256 of a regular file, in hexadecimal digits. Raises RunError."""
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]


def read_json(path: pathlib.Path) -> dict[str, Any]:
    """Read one JSON object from the regular file `path`.

    Raises:
      RunError: the file cannot be read, is not valid JSON, or holds something other than an object.
    """
    with open_regular(path) as file:
        try:
            values = json.loads(file.read(JSON_BYTES).decode())
        except (OSError, ValueError, RecursionError) as error:
            raise RunError(f"'{path}' cannot be read: {error}") from None
    if not isinstance(values, dict):
        raise RunError(f"'{path}': expected a JSON object, received {type(values).__name__}")
    return values
