"""Say before a long command begins how long it will take and where it writes. TensorFlow is not started for this."""

from __future__ import annotations

import os
import pathlib
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tfcollapse.config.declaration import Run


def announce(work: str, time: str, place: str | pathlib.Path | None, *, json: bool = False) -> None:
    """Print one line at once: what is done, how long it takes, where it is written.

    Args:
      work: what is done, such as "18 runs to train".
      time: how long it takes, such as "about 3m20s".
      place: the directory or file that is written; None where nothing is.
      json: whether JSON is printed to the standard output. The line then goes to standard error.
    """
    written = "nothing is written" if place is None else f"written to {place}"
    print(f"{work}: {time}; {written}", file=sys.stderr if json else sys.stdout, flush=True)


def counted(number: int, what: str) -> str:
    """Return a number of things in words, such as "1 run" or "18 runs"."""
    return f"{number} {what}{'s' * (number != 1)}"


def announce_training(
    runs: Sequence[Run],
    directories: pathlib.Path,
    place: pathlib.Path,
    data_dir: str | os.PathLike[str] | None,
    *,
    json: bool = False,
) -> None:
    """Announce the training of those of `runs` that have not ended; nothing where all have.

    Args:
      runs: the runs.
      directories: the directory of their run directories.
      place: the directory that is named as written.
      data_dir: the directory of TFDS, or None.
      json: as `announce` takes it.

    Raises:
      UserError: as `tfcollapse.studies.listing.time_left`.
    """
    from tfcollapse.studies.listing import time_left
    from tfcollapse.studies.schedule import unfinished

    waiting = unfinished(runs, directories)
    if waiting:
        work = f"{counted(len(waiting), 'run')} to train"
        time = f"{time_left(waiting, directories, data_dir)}, and some seconds a run to start"
        announce(work, time, place, json=json)
