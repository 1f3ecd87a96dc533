"""A started process, seen from its parent: what it prints is read, its end is noticed."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable
from contextlib import suppress
from signal import SIGKILL
from subprocess import Popen

from .groups import signal_group
from .output import Output

_READ_BYTES = 64 * 1024
_TAIL_BYTES = 4 * 1024
_LINE_CHARACTERS = 500
_POLL_S = 0.05
_REST_READS = 16  # more than a pipe holds


class Process:
    """One process; one thread. It holds two descriptors: the pipe, and the pidfd if there are any.

    `exit_code` is negative for a signal; None before the end, and if somebody else reaped it.
    """

    def __init__(self, popen: Popen[bytes], output: Output) -> None:
        assert popen.stdout is not None
        self.pid = popen.pid
        self.exit_code: int | None = None
        self._popen = popen
        self._output = output
        self._pipe = popen.stdout
        os.set_blocking(self._pipe.fileno(), False)
        self._tail = b""
        self._is_reaped = False
        self._pidfd = -1
        self._poll = select.poll()
        self._poll.register(self._pipe.fileno(), select.POLLIN)
        if hasattr(os, "pidfd_open"):
            with suppress(OSError):  # an old kernel, or no descriptor is left: we look now and then
                self._pidfd = os.pidfd_open(self.pid)
                self._poll.register(self._pidfd, select.POLLIN)

    def await_end(self) -> None:
        """Until the process itself has ended, whoever else may have the pipe."""
        while not self._is_reaped:
            ready = self._wait(None if self._pidfd >= 0 else _POLL_S)
            if self._pidfd < 0 or self._pidfd in ready:
                self._reap()

    def read_until(self, is_over: Callable[[], bool], every_s: float) -> None:
        """Read on until `is_over()`, which is asked that often."""
        while not is_over():
            self._wait(every_s)

    def read_rest(self, seconds: float) -> None:
        """What comes until everybody has closed the pipe, or the time is up."""
        end_s = time.monotonic() + seconds
        while not self._pipe.closed and (left_s := end_s - time.monotonic()) > 0:
            self._wait(left_s)
        for _ in range(_REST_READS):
            if not self._read():
                return

    def last_line(self) -> str:
        """The last line it printed that is not blank."""
        lines = self._tail.decode("utf-8", "replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "")[
            :_LINE_CHARACTERS
        ]

    def close(self) -> None:
        """Give the descriptors back. A process that has not ended is killed, with its group."""
        if not self._is_reaped:
            signal_group(self.pid, SIGKILL)
            with suppress(ChildProcessError):
                os.waitpid(self.pid, 0)
        self._close_pipe()
        self._close_pidfd()
        self._popen.returncode = self.exit_code or 0  # else it would look after it itself

    def _wait(self, timeout_s: float | None) -> set[int]:
        """Sleep until there is something to read, or the end; read; what was ready."""
        timeout_ms = None if timeout_s is None else max(1, round(timeout_s * 1000))
        ready = {fd for fd, _ in self._poll.poll(timeout_ms)}
        if not self._pipe.closed and self._pipe.fileno() in ready:
            self._read()
        return ready

    def _read(self) -> bool:
        """Whether there was anything."""
        if self._pipe.closed:
            return False
        chunk = self._pipe.read(_READ_BYTES)
        if chunk is None:  # nothing at the moment
            return False
        if not chunk:
            self._close_pipe()
            return False
        self._output.write(chunk)
        self._tail = (self._tail + chunk)[-_TAIL_BYTES:]
        return True

    def _reap(self) -> None:
        try:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
        except ChildProcessError:  # by os.waitpid(-1) elsewhere, or SIGCHLD is ignored
            self._is_reaped = True
        else:
            if pid:
                self._is_reaped = True
                self.exit_code = os.waitstatus_to_exitcode(status)
        if self._is_reaped:
            self._close_pidfd()

    def _close_pipe(self) -> None:
        if not self._pipe.closed:
            self._poll.unregister(self._pipe.fileno())
            self._pipe.close()

    def _close_pidfd(self) -> None:
        if self._pidfd >= 0:
            self._poll.unregister(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = -1
