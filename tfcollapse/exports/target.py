"""Put an export at its target whole or not at all, and replace nothing there but an earlier export."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import json
import os
import pathlib
import re
import shutil
import tempfile
from collections.abc import Iterator

import tensorflow as tf

from tfcollapse.errors import ConfigError, RunError
from tfcollapse.models import keras_file
from tfcollapse.records.files import check_name, disk_errors, kind

METADATA = "assets.extra/tfcollapse.json"
"""The file of a SavedModel that says what it is. TensorFlow leaves this folder to the users of the format."""

_SAVED_MODEL = re.compile(
    r"saved_model\.pb|fingerprint\.pb|variables(/variables\.(index|data-\d+-of-\d+))?|assets(/.*)?|assets\.extra(/tfcollapse\.json)?"
)
"""What is in a SavedModel of ours."""

_OF_A_FILE = re.compile(r".*\.(keras|h5|hdf5)", re.IGNORECASE | re.DOTALL)
"""The names that Keras' users give files."""

_BEFORE = "before"
"""The name of the earlier export while it is moved away."""

_EXCHANGE, _KEEP_EXISTING, _HERE = 2, 1, -100
"""RENAME_EXCHANGE, RENAME_NOREPLACE and AT_FDCWD of Linux."""


@contextlib.contextmanager
def replacing_export(target: pathlib.Path, force: bool) -> Iterator[pathlib.Path]:
    """Yield a path to write to, in a folder beside `target`, and move what was written to `target` afterwards.

    What stands at `target` stays there until the body of the `with` statement has succeeded and the disk holds all that
    was written. The two are then exchanged in one step. Folders that a killed process left are removed.

    Raises:
      ConfigError: something stands at `target`, and it is not an earlier export or `force` is False.
      RunError: the disk cannot be written.
    """
    check_target(target, force)
    with disk_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        folder, lock = _own_folder(target)
    try:
        with disk_errors(target):
            yield folder / target.name
            _to_disk(folder)
            check_target(target, force)  # it may have changed meanwhile
            _move(folder / target.name, target, folder / _BEFORE)
            _to_disk(target.parent, deep=False)
    except RunError as error:  # it names the file that was written, and nobody knows that folder
        raise RunError(str(error).replace(f"{folder.name}/", "")) from None
    except tf.errors.OpError as error:  # TensorFlow reports a full disk in this way
        reason = str(error.message).splitlines()[0].rpartition("; ")[2].partition(" [Op")[0][:200]
        raise RunError(f"'{target}': {reason}: free space, or choose another target") from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def check_target(target: pathlib.Path, force: bool) -> None:
    """Check that an export may be put at `target`, after what killed exports left is gone. Raises ConfigError."""
    if not target.name or target.name == "..":
        raise ConfigError(f"export target '{target}': expected a new directory, or FILE.keras")
    if _OF_A_FILE.fullmatch(target.name) and target.suffix != ".keras":
        raise ConfigError(f"export target '{target}': expected FILE.keras, or a name of a directory, received neither")
    check_name(target)
    with disk_errors(target):
        _sweep(target)
        if kind(target) is None:
            return
        if not force:
            raise ConfigError(f"export target '{target}' exists: choose another, or --force to replace it")
        other = _not_ours(target)
    if other:
        raise ConfigError(f"export target '{target}': --force replaces an earlier export, and this is none: {other}")


def _not_ours(target: pathlib.Path) -> str | None:
    """Say why what stands at `target` is not an export of ours and nothing more; None where it is one."""
    if target.is_symlink():
        return "a symlink"
    if target.is_file():
        return None if keras_file.is_export(target) else "it holds no exported tfcollapse.Autoencoder"
    if not target.is_dir():
        return "neither a file nor a directory"
    inside = [pathlib.Path(root) / name for root, *names in os.walk(target) for name in (*names[0], *names[1])]
    for path in sorted(inside):
        name = path.relative_to(target).as_posix()
        if path.is_symlink() or not (path.is_dir() or path.is_file()) or not _SAVED_MODEL.fullmatch(name):
            return f"it holds '{name}'"
    try:
        marked = "tfcollapse" in json.loads((target / METADATA).read_bytes())
    except (OSError, ValueError, TypeError, RecursionError):
        marked = False
    return None if marked else f"no {METADATA} in it says so"


def _own_folder(target: pathlib.Path) -> tuple[pathlib.Path, int]:
    """Make a folder beside `target`, and return it with a descriptor, whose lock says that this process lives."""
    while True:
        folder = pathlib.Path(tempfile.mkdtemp(prefix=f".{target.name}-", suffix=".export", dir=target.parent))
        lock = os.open(folder, os.O_RDONLY)
        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(lock, fcntl.LOCK_EX)
        if folder.exists():  # nobody swept it before it was held
            return folder, lock
        os.close(lock)


def _sweep(target: pathlib.Path) -> None:
    """Remove the folders that killed exports to `target` left, and put back an export that one had moved away."""
    ours = re.compile(re.escape(f".{target.name}-") + r"[a-z0-9_]{8}\.export")
    for folder in target.parent.iterdir() if target.parent.is_dir() else ():
        if not ours.fullmatch(folder.name) or folder.is_symlink() or not folder.is_dir():
            continue
        with contextlib.suppress(OSError):  # another process holds it, or sweeps it as well
            lock = os.open(folder, os.O_RDONLY | os.O_NOFOLLOW)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if (folder / _BEFORE).exists() and not os.path.lexists(target):
                    (folder / _BEFORE).rename(target)
                shutil.rmtree(folder)
            finally:
                os.close(lock)


def _move(new: pathlib.Path, target: pathlib.Path, before: pathlib.Path) -> None:
    """Move `new` to `target`, and what stands there away."""
    replaced = os.path.lexists(target)
    if _renamed_at_once(new, target, _EXCHANGE if replaced else _KEEP_EXISTING):
        return
    if replaced:  # a process that ends between these two lines leaves `before`, which `_sweep` puts back
        target.rename(before)
    new.rename(target)


def _renamed_at_once(old: pathlib.Path, new: pathlib.Path, flag: int) -> bool:
    """Rename in one step under a flag of Linux. Return False where the system or the file system has no such call."""
    try:
        call = ctypes.CDLL(None, use_errno=True).renameat2
    except AttributeError:
        return False
    if call(_HERE, os.fsencode(old), _HERE, os.fsencode(new), flag) == 0:
        return True
    code = ctypes.get_errno()
    if code in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP):
        return False
    raise OSError(code, os.strerror(code), str(new))


def _to_disk(folder: pathlib.Path, deep: bool = True) -> None:
    """Wait until the disk holds a folder's list of names and, where `deep`, all that is in it."""
    paths = [folder]
    if deep:
        paths += [pathlib.Path(root) / name for root, *names in os.walk(folder) for name in (*names[0], *names[1])]
    for path in paths:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
