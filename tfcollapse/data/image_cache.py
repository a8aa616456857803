"""Keep decoded images as memory-mapped uint8 arrays, and verify them at every load."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import pathlib
import re
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfcollapse.data.array_files import header_of, open_regular
from tfcollapse.data.pixels import Pixels, survey
from tfcollapse.data.preparation import Preparation
from tfcollapse.data.splits import Split
from tfcollapse.errors import DataError, line_of

_FORMAT = 2
"""The version of what a directory of the cache holds, a part of its name."""
_WRITING = ".writing-"
"""How the name of a directory that is being written begins. Its writer holds a lock on it."""
_LEFT_BEHIND = re.compile(re.escape(_WRITING) + r"|\..+-[0-9a-f]{12}-\w{8}$")
"""The names of such directories; the second form is that of earlier versions, which held no lock."""
_UNLOCKED_SECONDS = 600.0
"""The age from which an unlocked directory of such a name, untouched since, is what a killed writer left behind."""


@dataclass(frozen=True)
class Dataset:
    """The two splits of one dataset.

    Attributes:
      train, test: uint8 [n, height, width, channels], read-only.
      source: the name and version of the dataset, and what was made of it, as records state them.
      sha256: of the pixels of each split as it was summed, in C order; `train` and `test` may be its first images.

    Example:
      >>> tc.load(tc.Data(name="fashion_mnist_mini", test=100)).test.shape
      (100, 28, 28, 1)
    """

    train: np.ndarray
    test: np.ndarray
    source: str
    sha256: Mapping[str, str]

    @property
    def digest(self) -> str:
        """Return 16 hexadecimal digits that identify the pixels of both splits: the same on every machine."""
        splits = [[self.sha256[split], list(getattr(self, split).shape)] for split in ("train", "test")]
        return hashlib.sha256(json.dumps(splits).encode()).hexdigest()[:16]

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Return (height, width, channels) of the images."""
        height, width, channels = self.train.shape[1:]
        return height, width, channels


@dataclass(frozen=True)
class Entry:
    """One directory of the cache: what it was made from.

    Attributes:
      label: a readable start of the directory's name.
      origin: the path of the file or of the prepared dataset.
      content: a checksum of what lies there.
      preparation: what is done to every image.
    """

    label: str
    origin: str
    content: str
    preparation: Preparation

    @property
    def path(self) -> pathlib.Path:
        """Return the directory: other content or another preparation has another one."""
        key = json.dumps([_FORMAT, self.content, self.preparation.crop, self.preparation.resize])
        return cache_directory() / f"{self.label}-{hashlib.sha256(key.encode()).hexdigest()[:12]}"


class _DamagedError(Exception):
    """A directory of the cache that does not hold what was written."""


def cache_directory() -> pathlib.Path:
    """Return the directory of decoded images: TFCOLLAPSE_CACHE, or ~/.cache/tfcollapse."""
    return pathlib.Path(os.path.expanduser(os.environ.get("TFCOLLAPSE_CACHE", "~/.cache/tfcollapse")))


def sha256_of(images: np.ndarray) -> str:
    """Return the sha256 of the pixels of `images`, in C order."""
    return hashlib.sha256(np.ascontiguousarray(images).data).hexdigest()


def read(entry: Entry) -> Dataset | None:
    """Map the images of an entry, after a comparison of their checksums; None where they have to be written.

    A damaged entry is removed.

    Raises:
      DataError: this user may not read the entry, or not remove a damaged one.
    """
    try:
        return _read(entry.path)
    except FileNotFoundError:
        return None
    except _DamagedError:
        pass
    with _locked(entry.path.parent):  # another process may have put a sound one in its place meanwhile
        try:
            return _read(entry.path)
        except FileNotFoundError:
            return None
        except _DamagedError as error:
            _discard(entry.path, str(error))
            return None


def _read(folder: pathlib.Path) -> Dataset:
    if not os.path.lexists(folder):
        raise FileNotFoundError(folder)
    try:
        meta, arrays = _meta(folder), {}
        for split in ("train", "test"):
            arrays[split], checksum = _mapped(folder / f"{split}.npy")
            if [list(arrays[split].shape), checksum] != [meta["shapes"][split], meta["sha256"][split]]:
                raise ValueError(f"{split}.npy has other pixels than were written")
        return Dataset(train=arrays["train"], test=arrays["test"], source=str(meta["source"]), sha256=meta["sha256"])
    except PermissionError as error:
        raise DataError(f"image cache '{folder}': {error.strerror}; set TFCOLLAPSE_CACHE to one of your own") from None
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise _DamagedError(line_of(error)) from None


def _meta(folder: pathlib.Path) -> Any:
    """Return what meta.json says. Raises OSError or ValueError."""
    with open_regular(folder / "meta.json") as file:
        try:
            return json.loads(file.read())
        except RecursionError:
            raise ValueError("meta.json is nested too deeply") from None


def write(entry: Entry, source: str, splits: Mapping[str, Split]) -> None:
    """Write the images of both splits as an entry of the cache, whole or not at all.

    Another process may write the same entry at the same time. The first one to finish puts it in place, and the images
    of the other are dropped. Entries of what the same origin held before are removed, and what killed writers left.

    Args:
      entry: what the images are made from.
      source: the name and version of the dataset, as records state them.
      splits: the images of "train" and "test".

    Raises:
      DataError: the prepared images differ in size, their numbers cannot be taken, or the disk cannot hold them.
      ConfigError: the images do not have the crop.
    """
    target = entry.path
    pixels = survey(splits, f"dataset '{source}'")
    entry.preparation.check_room(pixels, sum(split.count for split in splits.values()), target.parent)
    with _new_directory(target) as folder:
        written = {
            name: _decode(source, split, pixels, entry.preparation, folder / f"{name}.npy")
            for name, split in splits.items()
        }
        meta = {
            "source": source + pixels.note,
            "origin": entry.origin,
            "content": entry.content,
            "shapes": {name: shape for name, (shape, _) in written.items()},
            "sha256": {name: checksum for name, (_, checksum) in written.items()},
        }
        (folder / "meta.json").write_text(json.dumps(meta, indent=1))
    _sweep(entry)


@contextlib.contextmanager
def _new_directory(target: pathlib.Path) -> Iterator[pathlib.Path]:
    folder = None
    with contextlib.ExitStack() as stack:
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            folder = pathlib.Path(tempfile.mkdtemp(prefix=f"{_WRITING}{target.name}-", dir=target.parent))
            stack.enter_context(_locked(folder))
            folder.chmod(0o755)  # several users may share a cache
            yield folder
            folder.rename(target)
        except OSError as error:
            # Another process may have written the same images there meanwhile. Its images serve as well.
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                raise DataError(
                    f"image cache '{target}': {error.strerror}: free space, or set TFCOLLAPSE_CACHE"
                ) from None
        finally:
            if folder is not None and folder.exists():
                shutil.rmtree(folder)


def _decode(
    source: str, split: Split, pixels: Pixels, preparation: Preparation, path: pathlib.Path
) -> tuple[list[int], str]:
    """Write one split to the .npy file `path`, and return its shape and the sha256 of its pixels.

    The images are written one after another: a full disk would kill a process that writes through a memory map.
    """
    shape = [split.count, *preparation.shape(pixels.shape)]
    checksum, written = hashlib.sha256(), 0
    with path.open("wb") as file:
        header: dict[str, Any] = {"descr": "|u1", "fortran_order": False, "shape": tuple(shape)}
        np.lib.format.write_array_header_1_0(file, header)
        for original in split.read():
            image = preparation(original, pixels)
            if [*image.shape] != shape[1:]:
                raise DataError(
                    f"dataset '{source}': expected images of one size, received {pixels.shape} and {original.shape}: "
                    "set data.crop or data.resize"
                )
            file.write(image.tobytes())
            checksum.update(image.tobytes())
            written += 1
    if written != split.count:
        raise DataError(f"dataset '{source}': expected {split.count} images, as it says, received {written}")
    return shape, checksum.hexdigest()


def _mapped(path: pathlib.Path) -> tuple[np.ndarray, str]:
    """Map a .npy file of `_decode`, and return it with the sha256 of its pixels alone. Raises OSError or ValueError.

    The bytes of a header may differ with the version of NumPy. What it says must not.
    """
    with open_regular(path) as file:
        header = header_of(file)
        file.seek(header.length)
        checksum = hashlib.file_digest(file, "sha256").hexdigest()
        if header.dtype != np.uint8 or header.fortran_order:
            raise ValueError(f"{path.name} says that it is not uint8 in C order")
        return np.memmap(file, np.uint8, "r", header.length, header.shape), checksum


def _sweep(entry: Entry) -> None:
    """Remove what nobody needs: entries of the origin's earlier content, and the directories of killed writers."""
    for folder in entry.path.parent.iterdir():
        with contextlib.suppress(OSError):
            if _LEFT_BEHIND.match(folder.name):
                if time.time() - max(path.stat().st_mtime for path in (folder, *folder.iterdir())) > _UNLOCKED_SECONDS:
                    with _locked(folder, wait=False):
                        shutil.rmtree(folder)
            elif folder.name.startswith(f"{entry.label}-") and _is_older(folder, entry):
                shutil.rmtree(folder)


def _is_older(folder: pathlib.Path, entry: Entry) -> bool:
    """Return whether a directory holds what the origin of `entry` held before, or was written by an earlier version."""
    try:
        meta = _meta(folder)
        return "origin" not in meta or (meta["origin"] == entry.origin and meta["content"] != entry.content)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _discard(folder: pathlib.Path, reason: str) -> None:
    """Remove a damaged entry: a directory, or whatever stands in its place."""
    try:
        if folder.is_dir() and not folder.is_symlink():
            aside = pathlib.Path(tempfile.mkdtemp(prefix=_WRITING, dir=folder.parent))
            folder.rename(aside)  # at once, so that no other process finds half of it
            shutil.rmtree(aside)
        else:
            folder.unlink()
    except FileNotFoundError:
        return  # another process has removed it
    except OSError as error:
        raise DataError(
            f"image cache '{folder}' is damaged ({reason}) and cannot be removed ({error.strerror}): set "
            "TFCOLLAPSE_CACHE to one of your own"
        ) from None


@contextlib.contextmanager
def _locked(folder: pathlib.Path, *, wait: bool = True) -> Iterator[None]:
    """Hold a lock on a directory; without `wait`, an OSError says that another process holds it."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)
