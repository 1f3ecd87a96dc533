"""The program around a scheduler: its loop thread, its end, its forks."""

from __future__ import annotations

import asyncio
import atexit
import os
import sys
import threading
import weakref
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from .host import Host

EXIT_SECONDS = 5.0


class Drainable(Protocol):
    """What the end of the program asks of a scheduler."""

    def leave(self, timeout: float) -> str | None:
        """Shut down; returns a line for people if work was left undone."""


class Forgettable(Protocol):
    """What a fork asks of a handle on threads that only the parent has."""

    def forget(self) -> None:
        """This is the child: there is nothing running here."""


_alive: weakref.WeakSet[Drainable] = weakref.WeakSet()
_known: weakref.WeakSet[Forgettable] = weakref.WeakSet()


def run_in_thread(host: Host) -> threading.Thread:
    """Carry the host on a loop of its own (uvloop where there is one) in a daemon thread."""
    thread = threading.Thread(target=_run, args=(host,), name="kron", daemon=True)
    thread.start()
    return thread


def _run(host: Host) -> None:
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(host.run())
            runner.run(host.linger())
    except BaseException as exc:
        host.fail(exc)
        if host.started.exception() is not exc:  # it is told nowhere else
            raise


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    with suppress(ImportError):
        import uvloop

        return uvloop.new_event_loop
    return asyncio.new_event_loop


def drain_at_exit(scheduler: Drainable) -> None:
    """When the program ends, shut this scheduler down in order."""
    if not _alive:
        atexit.unregister(_at_exit)
        atexit.register(_at_exit)
    _alive.add(scheduler)


def _at_exit() -> None:
    is_interactive = hasattr(sys, "ps1") or bool(sys.flags.interactive)
    for scheduler in list(_alive):
        line = scheduler.leave(EXIT_SECONDS)
        if line and not is_interactive and sys.stderr is not None:
            print(line, file=sys.stderr)


def forget_in_child(handle: Forgettable) -> None:
    """A forked child is to see what this handle is on as not started."""
    _known.add(handle)


def _in_child() -> None:
    for handle in list(_known):
        handle.forget()
    _alive.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)


def refuse_platform() -> None:
    """Raise a clear error where a scheduler cannot run."""
    if sys.platform == "win32":
        raise RuntimeError("Kron's data directory needs POSIX locks; Windows is not supported yet.")
    process = sys.modules.get("multiprocessing.process")
    if process is not None and getattr(process.current_process(), "_inheriting", False):
        raise RuntimeError(
            "start() was reached while a multiprocessing child imports your program. Put the"
            ' call under `if __name__ == "__main__":`.'
        )


def in_words(seconds: float) -> str:
    """A wait, roughly: 9.9 s, 1.5 h, 3 d."""
    if seconds < 600:
        return f"{seconds:.1f} s"
    return f"{seconds / 3600:.1f} h" if seconds < 48 * 3600 else f"{seconds / 86400:.0f} d"
