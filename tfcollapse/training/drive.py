"""The loop that trains sessions: one, or several as one program, step by step."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from tfcollapse.errors import NonFiniteError
from tfcollapse.training import engines
from tfcollapse.training.session import Chunk, Session
from tfcollapse.training.stopping import Stopping


def drive(sessions: Sequence[Session]) -> dict[int, NonFiniteError]:
    """Train sessions, all at the same step, to their ends.

    Returns:
      By their place, those whose loss or gamma stopped being finite; the others go on without them.

    Raises:
      KeyboardInterrupt, Terminated: a signal asked to stop, and all have saved.
      RunError: another worker is lost.
    """
    first, failed, stopped = sessions[0], {}, False
    advance = engines.together([session.engine for session in sessions])
    held = first.engine.hold(first.dataset.train)
    for session in sessions:
        session.together = len(sessions)
    with Stopping() as stopping, first.workers.together():
        courses = [session.course(held=held) for session in sessions]
        chunks = [next(course, None) for course in courses]
        while any(chunk is not None for chunk in chunks):
            start = time.monotonic()
            gave = advance(*_filled(chunks))
            told = time.monotonic() - start, stopping.asked  # all hear the same, and stay in step
            for lane, course in enumerate(courses):
                if chunks[lane] is None:
                    continue
                try:
                    chunks[lane] = course.send((gave[lane], *told))
                except StopIteration as end:
                    chunks[lane], stopped = None, stopped or end.value
                except NonFiniteError as error:
                    chunks[lane], failed[lane] = None, error
        if stopped:
            stopping.asked = max(session.asked or 0 for session in sessions)  # another worker's signal too
            stopping.stop()
    return failed


def _filled(chunks: Sequence[Chunk | None]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Images and noise for every lane; one that has ended computes on, on another's, and nobody looks."""
    any_chunk = next(chunk for chunk in chunks if chunk is not None)
    taken = [any_chunk if chunk is None else chunk for chunk in chunks]
    return [images for images, _ in taken], [noise for _, noise in taken]
