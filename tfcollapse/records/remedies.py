"""Say what to do about a place that cannot be read or written. No remedy is to remove anything."""

from __future__ import annotations

import errno

RESTORE = "restore it, or name another place"
MOVE = "move it away, or name another place"
ANOTHER = "name another place"
MADE_ANEW = "move it away, and the same command makes it anew"


def of_reading(received: str | None, named: bool) -> str:
    """Return what to do where a file was to be read.

    Args:
      received: what is there instead, as `files.kind` returns it.
      named: whether the user has named the file himself; else it is one of a directory of ours.
    """
    if not named:
        return RESTORE
    return "name a file in it" if received == "a directory" else "name another file"


def of_writing(received: str | None) -> str:
    """Return what to do where a file was to be written, and there is something else."""
    return "name a file, or another directory" if received == "a directory" else MOVE


def of_disk(error: OSError) -> str:
    """Return what to do after an error of the disk at a place that was to be written."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"free space, or {ANOTHER}, then run again"
    if error.errno in (errno.EEXIST, errno.ENOTDIR):
        return f"expected a directory, received a file: {ANOTHER}"
    return f"{ANOTHER}, then run again"
