"""Handle SIGTERM and Ctrl-C during training: the steps at hand end, their state is saved, then the process stops."""

from __future__ import annotations

import os
import signal
import socket
import threading
from types import FrameType, TracebackType

from tfcollapse.errors import Terminated

DEADLINE = 9.0
"""Seconds after SIGTERM at which the process ends, even if a step or a compilation has not ended.

Schedulers kill after 10 seconds or more. The run then goes on from its last checkpoint.
"""


class Preemption:
    """Catch SIGTERM and Ctrl-C inside a `with` statement, so that the loop can save before it stops.

    A signal sets `signal_number`, and the loop calls `stop` when it has saved. A second Ctrl-C stops at once. Outside
    the main thread Python receives no signals, and nothing is caught. Ctrl-C is not caught either where it is ignored
    or has a handler that is not Python's own.

    Attributes:
      signal_number: the signal that asks the process to stop, or None.
    """

    def __init__(self) -> None:
        self.signal_number: int | None = None
        self._earlier_handlers: dict[int, object] = {}
        self._ended = threading.Event()

    def stop(self) -> None:
        """Raise what the signal stands for: KeyboardInterrupt, or Terminated (exit status 143)."""
        raise KeyboardInterrupt if self.signal_number == signal.SIGINT else Terminated

    def __enter__(self) -> Preemption:
        if threading.current_thread() is not threading.main_thread():
            return self
        caught = [signal.SIGTERM]
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            caught.append(signal.SIGINT)
        self._earlier_handlers = {number: signal.signal(number, self._handle) for number in caught}
        # A handler in Python runs only after the operation at hand, however long that takes. Python's own C code
        # writes the number of the signal into this pipe at once.
        self._reader, self._writer = socket.socketpair()
        self._writer.setblocking(False)
        self._earlier_wakeup = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        threading.Thread(target=self._watch, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._earlier_handlers:
            return
        self._ended.set()
        signal.set_wakeup_fd(self._earlier_wakeup)
        for number, handler in self._earlier_handlers.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        self._writer.close()  # this ends `_watch`

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and self.signal_number is not None:
            raise KeyboardInterrupt
        self.signal_number = number

    def _watch(self) -> None:
        """End the process DEADLINE seconds after SIGTERM, unless the `with` statement has ended before."""
        with self._reader:
            while received := self._reader.recv(1):
                if received[0] == signal.SIGTERM and not self._ended.wait(DEADLINE):
                    os.write(2, b"tfcollapse: stopped before the step at hand ended; run again to resume\n")
                    os._exit(128 + signal.SIGTERM)
