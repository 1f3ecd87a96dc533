"""What a program in the foreground does first: streams, and the duties of process 1.

The kernel hands every orphan of a process namespace to process 1. Were that the scheduler itself,
it could not tell an orphan that has ended from a child that some function of the program is about
to wait for. So process 1 does nothing but this, as tini and dumb-init do.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress

PASSED_ON = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1}
PASSED_ON |= {signal.SIGUSR2, signal.SIGCONT}


def leave_process_one() -> None:
    """As process 1, go on as its child; process 1 ends when that does, with its exit code (128 and
    the number, if by a signal). For any other process there is nothing to do.

    Before there are threads. The child has a group of its own: a Ctrl-C in a terminal comes to it
    once, from process 1.
    """
    if os.getpid() != 1:
        return
    heard = PASSED_ON | {signal.SIGCHLD}
    signal.pthread_sigmask(signal.SIG_BLOCK, heard)
    child = os.fork()
    if child:
        os._exit(_attend(child, heard))
    os.setpgid(0, 0)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, heard)


def fill_streams() -> None:
    """Open what there is not of stdin, stdout and stderr on nothing: else the next file or socket
    would get its number, and be printed to (libuv refuses to close such a one)."""
    for fd in range(3):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free


def _attend(child: int, heard: set[signal.Signals]) -> int:
    """Pass signals on and reap, until the child has ended; its exit code."""
    while True:
        number = signal.sigwait(heard)
        if number != signal.SIGCHLD:
            with suppress(ProcessLookupError):  # it has ended: SIGCHLD is next
                os.kill(child, number)
        elif (code := _reap(child)) is not None:
            return code


def _reap(child: int) -> int | None:
    """All that have ended; the exit code, if the child is among them."""
    code = None
    with suppress(ChildProcessError):  # nobody is left
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            if ended[0] == child:
                code = os.waitstatus_to_exitcode(ended[1])
    return code if code is None or code >= 0 else 128 - code
