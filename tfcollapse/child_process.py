"""Run a function of this package in a fresh Python process, which ends when its parent does."""

from __future__ import annotations

import contextlib
import multiprocessing
import multiprocessing.connection
import os
import pathlib
import signal
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any

_PACKAGE = pathlib.Path(__file__).resolve().parent

_BEGIN = """
import importlib.util, sys
file, folder, descriptor = sys.argv[1:]
spec = importlib.util.spec_from_file_location("tfcollapse", file, submodule_search_locations=[folder])
sys.modules["tfcollapse"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(sys.modules["tfcollapse"])
from tfcollapse.child_process import serve
serve(int(descriptor))
"""
"""The code with which the process begins: it loads the package from the files that the parent has loaded."""

_ENDING_SECONDS = 15.0
"""The time that a process is waited for after it was asked to end. Training takes 9 s at most to save and to end."""


class ChildProcess:
    """Call `function(connection, *arguments)` in a fresh process.

    The process imports nothing from the working directory (`-P`), and it does not import the parent's main module. It
    ignores Ctrl-C, which reaches every process of a terminal: its parent decides when it ends. When the parent ends,
    even by `kill -9`, the process receives SIGTERM.

    Args:
      function: a function at the top level of a module of this package.
      arguments: values that can be pickled.
      cores: the numbers of the cores on which the process may run; None leaves all of the parent's.
      environment: environment variables beside those of the parent.

    Attributes:
      connection: the parent's end of a two-way pipe of Python objects.
    """

    def __init__(
        self,
        function: Callable[..., None],
        *arguments: Any,
        cores: Sequence[int] | None = None,
        environment: Mapping[str, str] | None = None,
    ):
        self.connection, theirs = multiprocessing.Pipe()
        with theirs:
            begin = [_BEGIN, str(_PACKAGE / "__init__.py"), str(_PACKAGE), str(theirs.fileno())]
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", *begin],
                stdin=subprocess.PIPE,  # nothing is written there: it closes when this process ends
                pass_fds=[theirs.fileno()],
                env=os.environ | (environment or {}),
            )
        weakref.finalize(self, _end, self._process, self.connection)
        with contextlib.suppress(OSError):  # the process has died already, which the reader of the connection sees
            self.connection.send(cores)
            self.connection.send((function, arguments))

    @property
    def exit_code(self) -> int | None:
        """Return the exit status; minus the number of a signal that killed the process; None while it runs."""
        return self._process.poll()

    def terminate(self) -> None:
        """Send SIGTERM."""
        self._process.terminate()

    def wait(self) -> None:
        """Wait for the process to end."""
        self._process.wait()


def serve(descriptor: int) -> None:
    """Do in the child what the parent asks for over the connection of that file descriptor."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    connection = multiprocessing.connection.Connection(descriptor)
    cores = connection.recv()
    if cores is not None:
        os.sched_setaffinity(0, cores)  # before NumPy or a framework counts them
    function, arguments = connection.recv()
    function(connection, *arguments)


def _end_with_parent() -> None:
    """Wait until the parent has ended, and send SIGTERM to the main thread: training then saves before it stops."""
    os.read(0, 1)
    main_thread = threading.main_thread().ident
    assert main_thread is not None
    signal.pthread_kill(main_thread, signal.SIGTERM)


def _end(process: subprocess.Popen[bytes], connection: Any) -> None:
    """Let the process end, since nothing refers to it any more or this process ends."""
    connection.close()
    assert process.stdin is not None
    process.stdin.close()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_ENDING_SECONDS)
