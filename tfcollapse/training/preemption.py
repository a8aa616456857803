"""Handle SIGTERM and Ctrl-C: a command ends within seconds, and training is saved before."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from types import FrameType, TracebackType
from typing import NoReturn

from tfcollapse.errors import RunError, Terminated

DEADLINE = 9.0
"""Seconds after a signal at which the process ends, even if a training step or a compilation has not ended.

Schedulers kill after 10 seconds or more. The run then goes on from its last checkpoint.
"""

ANSWER = 3.0
"""Seconds after a signal at which a command ends, even if what it waits for, outside of training, has not ended."""


class _Watch:
    """End the process where the main thread does not answer a signal in time.

    Python runs a handler in the main thread, and only after the operation at hand. That operation may be a call of
    TensorFlow that waits for other workers for ever. But Python's own C code writes the number of the signal into a
    pipe at once, and a thread reads it.

    Args:
      numbers: the signals.
      seconds: how long the thread waits for `answered`.
      advice: what the last line says beside the fact that the process was stopped.

    Attributes:
      answered: what the main thread sets when it has dealt with the signal.
    """

    def __init__(self, numbers: set[int], seconds: float, advice: str = ""):
        self.numbers, self.seconds = numbers, seconds
        self._said = f"tfcollapse: stopped before the step at hand ended{advice}\n".encode()
        self.answered = threading.Event()
        self._stderr = os.dup(2)  # what TensorFlow prints while it starts is kept from the terminal
        self._reader, self._writer = socket.socketpair()
        self._writer.setblocking(False)
        self._earlier_wakeup = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        threading.Thread(target=self._watch, daemon=True).start()

    def close(self) -> None:
        """Stop watching. The watch that was there before goes on."""
        self.answered.set()
        signal.set_wakeup_fd(self._earlier_wakeup)
        self._writer.close()  # this ends the thread

    def _watch(self) -> None:
        with self._reader:
            while received := self._reader.recv(1):
                if received[0] in self.numbers and not self.answered.wait(self.seconds):
                    os.write(self._stderr, self._said)
                    os._exit(128 + received[0])
        os.close(self._stderr)


@contextlib.contextmanager
def command_signals(*, ends_process: bool) -> Iterator[None]:
    """Let SIGTERM and Ctrl-C end a command inside a `with` statement, whatever it waits for.

    They raise Terminated and KeyboardInterrupt. Where no exception can be raised within ANSWER seconds, since an
    operation outside Python does not end, the process ends with status 143 or 130. Outside the main thread nothing is
    caught, and a signal that is ignored stays so.

    Args:
      ends_process: whether the process ends after the command. After a signal it then does so within ANSWER seconds,
        even if threads of TensorFlow or of a download go on.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    caught = {n for n in (signal.SIGTERM, signal.SIGINT) if signal.getsignal(n) not in (signal.SIG_IGN, None)}
    watch = _Watch(caught, ANSWER)

    def handle(number: int, frame: FrameType | None) -> NoReturn:
        watch.answered.set()
        _raise(number)

    earlier_handlers = {number: signal.signal(number, handle) for number in caught}
    try:
        yield
    except (KeyboardInterrupt, Terminated) as stopped:
        if ends_process:
            number = signal.SIGTERM if isinstance(stopped, Terminated) else signal.SIGINT
            threading.Thread(target=_exit_soon, args=(128 + number,), daemon=True).start()
        raise
    finally:
        watch.close()
        for number, handler in earlier_handlers.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def signals_end_at_once() -> Iterator[None]:
    """Let SIGTERM and Ctrl-C kill the process inside a `with` statement, before it has anything to save.

    For calls that hold Python's lock while they wait: neither a handler nor a thread of Python can run meanwhile.
    TensorFlow catches SIGTERM itself while it waits for other workers; Ctrl-C is then the signal that is left.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    caught = {n for n in (signal.SIGTERM, signal.SIGINT) if signal.getsignal(n) not in (signal.SIG_IGN, None)}
    earlier_handlers = {number: signal.signal(number, signal.SIG_DFL) for number in caught}
    try:
        yield
    finally:
        for number, handler in earlier_handlers.items():
            signal.signal(number, handler)


def _exit_soon(status: int) -> None:
    time.sleep(ANSWER)
    os._exit(status)


def _raise(number: int) -> NoReturn:
    raise KeyboardInterrupt if number == signal.SIGINT else Terminated


class Preemption:
    """Catch SIGTERM and Ctrl-C inside a `with` statement, so that the loop can save before it stops.

    A signal sets `signal_number`, and the loop calls `stop` when it has saved. A second Ctrl-C stops at once. Outside
    the main thread Python receives no signals, and nothing is caught. Ctrl-C is not caught either where it is ignored
    or has a handler that is neither Python's own nor `command_signals`'.

    The process ends DEADLINE seconds after SIGTERM, unless the `with` statement has ended before; a command also after
    Ctrl-C. A process of the user's own, such as a notebook, outlives Ctrl-C.

    Attributes:
      signal_number: the signal that asks the process to stop, or None.
    """

    def __init__(self) -> None:
        self.signal_number: int | None = None
        self._earlier_handlers: dict[int, object] = {}

    def stop(self) -> None:
        """Raise what the signal stands for: KeyboardInterrupt, or Terminated (exit status 143)."""
        assert self.signal_number is not None
        _raise(self.signal_number)

    @contextlib.contextmanager
    def first(self) -> Iterator[None]:
        """Let a signal that has arrived decide how the process ends, where a lost worker would say otherwise."""
        try:
            yield
        except RunError:
            if self.signal_number is not None:
                self.stop()
            raise

    def __enter__(self) -> Preemption:
        if threading.current_thread() is not threading.main_thread():
            return self
        deadlines, caught = {signal.SIGTERM}, [signal.SIGTERM]
        ctrl_c = signal.getsignal(signal.SIGINT)
        if getattr(ctrl_c, "__module__", None) == __name__:
            deadlines.add(signal.SIGINT)
        if ctrl_c is signal.default_int_handler or signal.SIGINT in deadlines:
            caught.append(signal.SIGINT)
        self._earlier_handlers = {number: signal.signal(number, self._handle) for number in caught}
        self._watch = _Watch({int(number) for number in deadlines}, DEADLINE, "; run again to resume")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._earlier_handlers:
            return
        self._watch.close()
        for number, handler in self._earlier_handlers.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and self.signal_number is not None:
            raise KeyboardInterrupt
        self.signal_number = number
