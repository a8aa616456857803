"""The loop that trains sessions: one, or several as one program, step by step."""

from __future__ import annotations

import time
from collections.abc import Sequence

from tfcollapse.errors import NonFiniteError
from tfcollapse.training import engines
from tfcollapse.training.preemption import Preemption
from tfcollapse.training.session import Session

_CALL_SECONDS = 1.0
"""What one call of the engine is to take, at most twice this: a signal is heard between calls."""


def train_sessions(sessions: Sequence[Session]) -> dict[int, NonFiniteError]:
    """Train sessions, all at the same step, to their ends, or until a signal asks to stop: then they are saved.

    Returns:
      By their place, those whose loss or gamma stopped being finite; the others go on without them.

    Raises:
      KeyboardInterrupt, Terminated: what the signal stands for.
      RunError: another worker is lost.
    """
    workers, failed, pace = sessions[0].workers, {}, 1
    train_steps = engines.together([session.engine for session in sessions])
    for session in sessions:
        session.together = len(sessions)
    with Preemption() as stopping, workers.together():
        while live := [lane for lane, session in enumerate(sessions) if lane not in failed and not session.done]:
            asked, slowest = workers.gather(stopping.asked or 0, -pace).max(axis=0)
            if asked:
                for lane in live:
                    sessions[lane].save()
                stopping.asked = int(asked)  # another worker's too
                stopping.stop()
            step, start = sessions[live[0]].engine.step, time.monotonic()
            chunks = {lane: sessions[lane].next_batches(int(-slowest)) for lane in live}
            # a lane that has failed computes on, on another's images, and nobody looks
            taken = [chunks.get(lane, chunks[live[0]]) for lane in range(len(sessions))]
            gave = train_steps([images for images, _ in taken], [noise for _, noise in taken])
            pace = _paced(pace, time.monotonic() - start, sessions[0].run.training.log_every)
            for lane in live:
                try:
                    sessions[lane].record_steps(step, gave[lane])
                except NonFiniteError as error:
                    failed[lane] = error
    return failed


def _paced(pace: int, seconds: float, most: int) -> int:
    """Steps of the next call, after one of `pace` that took so long."""
    if seconds < _CALL_SECONDS:
        return min(2 * pace, most)
    return max(1, pace // 2) if seconds > 2 * _CALL_SECONDS else pace
