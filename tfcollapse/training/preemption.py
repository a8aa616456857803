"""SIGTERM and Ctrl-C during training: the step at hand ends, its state is saved, then the process stops."""

from __future__ import annotations

import os
import signal
import socket
import threading
from types import FrameType, TracebackType

from tfcollapse.errors import Terminated

DEADLINE = 9.0
"""Seconds after SIGTERM at which the process ends even if a step, or a compilation, has not; schedulers kill after 10
or more. The last checkpoint is then what there is."""


class Preemption:
    """A context in which the two signals only ask; `due` tells the loop, and `stop` does what was asked.

    A second Ctrl-C stops at once. Outside the main thread, where Python takes no signals, nothing changes; nor does
    Ctrl-C where it is ignored or somebody else's.
    """

    def __init__(self) -> None:
        self.asked: int | None = None
        self._before: dict[int, object] = {}
        self._ended = threading.Event()

    @property
    def due(self) -> bool:
        """Whether to stop."""
        return self.asked is not None

    def stop(self) -> None:
        """Raise what the signal stands for: KeyboardInterrupt, or Terminated (exit status 143)."""
        raise KeyboardInterrupt if self.asked == signal.SIGINT else Terminated

    def __enter__(self) -> Preemption:
        if threading.current_thread() is not threading.main_thread():
            return self
        taken = [signal.SIGTERM]
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            taken.append(signal.SIGINT)
        self._before = {number: signal.signal(number, self._ask) for number in taken}
        # A handler in Python waits for the operation at hand, however long; this pipe is written at once.
        self._heard, self._speaks = socket.socketpair()
        self._speaks.setblocking(False)
        self._wakeup = signal.set_wakeup_fd(self._speaks.fileno(), warn_on_full_buffer=False)
        threading.Thread(target=self._watch, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._before:
            return
        self._ended.set()
        signal.set_wakeup_fd(self._wakeup)
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        self._speaks.close()  # ends the watch

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and self.due:
            raise KeyboardInterrupt
        self.asked = number

    def _watch(self) -> None:
        with self._heard:
            while heard := self._heard.recv(1):
                if heard[0] == signal.SIGTERM and not self._ended.wait(DEADLINE):
                    os.write(2, b"tfcollapse: stopped before the step at hand ended; run again to resume\n")
                    os._exit(128 + signal.SIGTERM)
