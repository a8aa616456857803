"""Train sessions in a loop: one session, or several as one program, step by step."""

from __future__ import annotations

import time
from collections.abc import Sequence

from tfcollapse.training import engines
from tfcollapse.training.preemption import Preemption
from tfcollapse.training.session import Session

_CALL_SECONDS = 1.0
"""The time that one call of the engine should take, and at most twice that: a signal is noticed between two calls."""


def train_sessions(sessions: Sequence[Session]) -> None:
    """Train sessions that all stand at the same step, until each is done or has failed.

    A session whose loss or gamma stops being finite has failed (`Session.failure`), and the others go on without it.
    A signal that asks to stop ends the loop: every session that still trains is saved first.

    Raises:
      KeyboardInterrupt, Terminated: what the signal stands for.
      RunError: another worker is lost.
    """
    workers, pace = sessions[0].workers, 1
    train_steps = engines.joint_train_steps([session.engine for session in sessions])
    for session in sessions:
        session.program_size = len(sessions)
    with Preemption() as preemption, preemption.first(), workers.loss_reported():
        while live := [session for session in sessions if session.live]:
            signal_number, negative_pace = workers.gather(preemption.signal_number or 0, -pace).max(axis=0)
            if signal_number:
                for session in live:
                    session.save()
                preemption.signal_number = int(signal_number)  # the signal may have reached another worker
                preemption.stop()
            step, start = live[0].engine.step, time.monotonic()
            batches = {session: session.next_batches(int(-negative_pace)) for session in live}
            # The program has a place for every session. A failed one computes on, on another's images, unread.
            placed = [batches.get(session, batches[live[0]]) for session in sessions]
            metrics = train_steps([images for images, _ in placed], [noise for _, noise in placed])
            pace = _next_pace(pace, time.monotonic() - start, sessions[0].run.training.log_every)
            for session, values in zip(sessions, metrics, strict=True):
                if session in live:
                    session.record_steps(step, values)


def _next_pace(pace: int, seconds: float, most: int) -> int:
    """Return the number of steps of the next call, after a call of `pace` steps that took `seconds`."""
    if seconds < _CALL_SECONDS:
        return min(2 * pace, most)
    return max(1, pace // 2) if seconds > 2 * _CALL_SECONDS else pace
